// What became of each request, and what a run did over time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engine/service_class.h"
#include "engine/share_controller.h"

namespace millrace {

enum class RequestFate : std::uint8_t {
  kUnfinished,  // still live when the simulation was stopped
  kFinished,
  kTooLarge,     // never fits the cache
  kQueueFull,    // refused when it came: too many wait
  kWaitTooLong,  // refused when it came: by the measured pace it would wait too long
  kExpired,      // accepted, but its deadline passed before its end
};

struct RequestOutcome {
  Duration arrival{0};
  Duration started{0};  // since the beginning, as all of these: when it ran for the first time
  Duration first_token{0};
  Duration end{0};
  Duration foretold{0};  // the wait for its start that was expected when it came
  std::uint32_t num_prompt = 0;
  std::uint32_t num_output = 0;
  std::uint32_t num_cached = 0;  // of the prompt, found in the cache when it first ran
  std::uint32_t num_preemptions = 0;
  std::uint32_t class_index = 0;
  RequestFate fate = RequestFate::kUnfinished;
  bool has_started = false;
};

// One that was refused for now, and when the queue that kept it out had half gone.
struct Refusal {
  std::size_t number = 0;  // of the request
  Duration retry_after{0};
  std::optional<Duration> half_started;  // after the refusal, of the tokens that waited then
};

// What the share controllers did, of all replicas together.
struct ShareLog {
  static constexpr std::size_t kDecisionsMax = 10'000;
  struct OfClass {
    std::array<std::uint64_t, 3> num_received{};  // by ShareReason
    std::uint64_t num_given = 0;
    double part_min = 1;
    double part_max = 0;
    double part_seconds = 0;  // part times busy seconds
  };
  std::vector<ShareDecision> decisions;  // the first ones
  std::uint64_t num_decisions = 0;
  std::array<OfClass, kClassesMax> classes;

  void add(const ShareDecision& decision);
};

// Sums over equal spans of time; a span doubles, and neighbours merge, whenever there would be more
// than kSpansMax, so a simulated year takes no more room than a minute.
class Timeline {
 public:
  static constexpr std::size_t kSpansMax = 512;

  struct Span {
    std::array<double, kClassesMax> work{};
    double busy_seconds = 0;
    std::uint64_t num_steps = 0;
    std::uint64_t num_waiting = 0;            // summed over steps
    double cache_fraction = 0;                // held by sequences, summed over steps
    std::array<double, kClassesMax> share{};  // with a controller, summed over steps
  };

  explicit Timeline(Duration span = std::chrono::milliseconds(100)) : span_(span) {}
  Span& at(Duration time);
  Duration span() const { return span_; }
  const std::vector<Span>& spans() const { return spans_; }

 private:
  Duration span_;
  std::vector<Span> spans_;
};

// Counted while the simulation runs.
struct RunTotals {
  Duration end{0};           // of the last step
  Duration last_arrival{0};  // while requests come: until here
  std::uint64_t num_steps = 0;
  std::uint64_t num_tokens = 0;     // computed, those again that preemption lost
  std::uint64_t num_sequences = 0;  // summed over steps
  std::uint64_t num_preemptions = 0;
  double busy_seconds = 0;           // summed over replicas
  double busy_seconds_arriving = 0;  // until the last arrival
  std::array<double, kClassesMax> work{};
  std::array<double, kClassesMax> work_arriving{};    // until the last arrival
  std::array<double, kClassesMax> work_backlogged{};  // while every class had requests waiting
  double seconds_backlogged = 0;
};

struct SimulationResult {
  std::vector<RequestOutcome> outcomes;  // in the order of arrival
  std::vector<Refusal> refusals;         // of those that may try again
  ShareLog shares;
  RunTotals totals;
  Timeline timeline;
  std::size_t num_replicas = 1;
};

}  // namespace millrace
