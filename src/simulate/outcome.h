// What became of each request, and what a run did over time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engine/service_class.h"

namespace millrace {

enum class RequestFate : std::uint8_t {
  kUnfinished,  // still live when the simulation was stopped
  kFinished,
  kTooLarge,   // never fits the cache
  kQueueFull,  // refused when it came
};

struct RequestOutcome {
  Duration arrival{0};
  Duration first_token{0};  // since the beginning, as all of these
  Duration end{0};
  std::uint32_t num_prompt = 0;
  std::uint32_t num_output = 0;
  std::uint32_t num_cached = 0;  // of the prompt, found in the cache when it first ran
  std::uint32_t num_preemptions = 0;
  std::uint32_t class_index = 0;
  RequestFate fate = RequestFate::kUnfinished;
  bool has_started = false;
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
    std::uint64_t num_waiting = 0;  // summed over steps
    double cache_fraction = 0;      // held by sequences, summed over steps
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
  RunTotals totals;
  Timeline timeline;
  std::size_t num_replicas = 1;
};

}  // namespace millrace
