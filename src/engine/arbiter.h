// Which of several models steps next, so that the shares of the classes hold across models.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/clock.h"
#include "engine/fair_share.h"
#include "engine/service_class.h"

namespace millrace {

// One model as the arbiter sees it.
struct ArbiterLane {
  ClassSet live;                // classes with requests that wait or run in it
  std::uint64_t last_turn = 0;  // kept by the arbiter; 0 before the first
};

// Models share one device in turns of a step. Between models work is time: tokens of different
// models cost different amounts. The class that is furthest behind its share of the time gets the
// turn, in the model with requests of it that has waited longest; so with C classes and M models, a
// model whose class is furthest behind waits M - 1 turns at most. A step's time is charged to the
// classes in it in proportion to the work that each had of it. A value; no clock.
class Arbiter {
 public:
  explicit Arbiter(std::span<const double> parts);

  // Whose turn it is; nothing when no lane has live requests.
  std::optional<std::size_t> choose(std::span<ArbiterLane> lanes);
  // The step of `chosen` took so long, of which `work` by class.
  void charge(std::span<const ArbiterLane> lanes, std::size_t chosen,
              std::span<const std::uint64_t> work, Duration elapsed);

  // Shares from here on.
  void set_parts(std::span<const double> parts) { shares_.set_parts(parts); }
  // All that was ever charged to the class.
  Duration time_of(ClassId id) const {
    return Duration{static_cast<Duration::rep>(shares_.work_done(id))};
  }

 private:
  std::size_t num_classes_;
  FairShare shares_;  // in nanoseconds
  std::uint64_t num_turns_ = 0;
};

}  // namespace millrace
