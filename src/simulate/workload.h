// What a simulation is fed: a trace's requests, or drawn ones, dealt to classes and set in time.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"
#include "simulate/trace.h"

namespace millrace {

enum class ArrivalKind : std::uint8_t {
  kTrace,     // as the trace has them, faster or slower
  kConstant,  // evenly
  kPoisson,   // independently of each other
  kDay,       // Poisson, more by day than by night; each class has its day at another time
  kOnOff,     // each class in bursts of its own: Poisson while on, nothing while off
  kAtOnce,    // all at the beginning
};

struct ArrivalSpec {
  ArrivalKind kind = ArrivalKind::kTrace;
  // Requests per second of all classes together, on the mean. With kTrace: of the whole trace;
  // absent, its own.
  std::optional<double> rate = std::nullopt;
  // Means of the exponentially distributed periods of kOnOff.
  Duration on_mean = std::chrono::seconds(30);
  Duration off_mean = std::chrono::seconds(30);
  // Of kDay: rate·(1 + swing·cos 2π(t/day - phase)); class i of n has the phase i/n.
  Duration day = std::chrono::hours(24);
  double swing = 0.8;  // 0 to 1
  double phase = 0;
};

enum class LengthKind : std::uint8_t { kTrace, kFixed, kUniform, kLognormal };

struct LengthSpec {
  LengthKind kind = LengthKind::kTrace;
  // kFixed: the length. kUniform: half to one and a half times it. kLognormal: the median.
  std::uint32_t prompt_tokens = 512;
  std::uint32_t output_tokens = 128;
  double sigma = 1.0;  // of kLognormal, in natural logarithms
  std::uint32_t tokens_max = 32'768;
};

struct WorkloadSpec {
  std::uint64_t seed = 1;
  ArrivalSpec arrivals;
  LengthSpec lengths;
  // Absent: those of the trace. More than those go round the trace again.
  std::optional<std::size_t> num_requests = std::nullopt;
  // Requests that arrive later are left out.
  std::optional<Duration> first = std::nullopt;
  // How often each class is dealt a request, in proportion; empty: one class, or the trace's own.
  std::vector<double> class_weights;
};

// kInvalidArgument naming what is missing or out of range. Equal specs give equal workloads.
Result<Trace> make_workload(const WorkloadSpec& spec, const Trace& source);

// `count` arrivals of a class that has `part` of the rate; rising.
std::vector<Duration> draw_arrivals(const ArrivalSpec& spec, double part, std::size_t count,
                                    Random& random);

// Prompt tokens that an endless cache would spare, in the order of arrival: whole blocks of tokens
// that an earlier request began with too, and never the last token of a prompt.
std::uint64_t reusable_tokens(const Trace& trace, std::size_t block_tokens);

}  // namespace millrace
