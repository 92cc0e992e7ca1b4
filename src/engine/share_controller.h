// Moves shares between classes, from those that have time to those that are late, within bounds.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engine/service_class.h"

namespace millrace {

struct ShareControllerOptions {
  Duration interval = std::chrono::seconds(1);  // between decisions
  double step = 0.05;                           // moved by one decision, a part of all
};

// How a class did since the last decision.
struct ClassObservation {
  std::size_t num_waiting = 0;
  // Mean time to first token of those that got one, over the class's target; 0 when none did.
  double response_ratio = 0;
  // Time that the queue needs by the pace at which prompts start, over the target.
  double queue_ratio = 0;

  double pressure() const { return response_ratio > queue_ratio ? response_ratio : queue_ratio; }
};

enum class ShareReason : std::uint8_t {
  kLate,   // first tokens come late
  kQueue,  // they will, by the length of the queue
  kCalm,   // nobody is pressed: back towards what was configured
};
inline constexpr std::size_t kShareReasons = 3;

// What was done and why: a line for the log, numbers for metrics. Plain data.
struct ShareDecision {
  TimePoint at{};
  ShareReason reason = ShareReason::kLate;
  ClassId to;
  ClassId from;
  double moved = 0;                         // a part of all
  ClassObservation receiver;                // `to`'s
  ClassObservation giver;                   // `from`'s
  std::array<double, kClassesMax> parts{};  // of all classes, from now on
};

// "moved 0.05 of all from background to interactive, which has 0.75 now: first tokens take 1.8 x
// their target, 12 wait, the queue 2.1 x; background 0.3 x".
std::string describe(const ShareDecision& decision, std::span<const ServiceClass> classes);

// At most one move per interval, from the class that is pressed least to the one that is pressed
// most, if that one's pressure is above 1 and twice the other's: so two classes that are both late
// keep what they have, and a move does not provoke its reverse. When everybody's pressure is below
// a half, shares drift back a fifth of a step at a time. Never beyond share_min and share_max.
// A value; no clock; allocates nothing after construction.
class ShareController {
 public:
  ShareController(const ShareControllerOptions& options, const std::vector<ServiceClass>& classes);

  bool is_due(TimePoint now) const { return !last_ || now - *last_ >= options_.interval; }
  // One observation per class. Nothing when shares stay as they are. The first call only starts
  // the clock.
  std::optional<ShareDecision> decide(TimePoint now,
                                      std::span<const ClassObservation> observations);
  std::span<const double> parts() const { return parts_; }

 private:
  std::optional<ShareDecision> relieve(std::span<const ClassObservation> observations);
  std::optional<ShareDecision> calm_down(std::span<const ClassObservation> observations);
  double room_above(std::size_t at) const;
  double room_below(std::size_t at) const;
  ShareDecision move(std::size_t from, std::size_t to, double part,
                     std::span<const ClassObservation> observations);

  const ShareControllerOptions options_;
  const std::vector<ServiceClass> classes_;
  const std::vector<double> configured_;
  std::vector<double> parts_;
  std::optional<TimePoint> last_;
};

}  // namespace millrace
