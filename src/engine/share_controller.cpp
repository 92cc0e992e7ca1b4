// Who gives, who takes, how much, and how it is said.
#include "engine/share_controller.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/check.h"

namespace millrace {
namespace {

constexpr double kPressed = 1.0;
constexpr double kGiverFactor = 2.0;  // times less pressed than the receiver
constexpr double kCalmPressure = 0.5;
constexpr double kDriftPart = 0.2;  // of a step
constexpr double kPartMin = 1e-3;   // what a class keeps even with share_min 0

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2g", value);
  return text;
}

}  // namespace

std::string describe(const ShareDecision& decision, std::span<const ServiceClass> classes) {
  CHECK(decision.to.index < classes.size());
  CHECK(decision.from.index < classes.size());
  const std::string& to = classes[decision.to.index].name;
  const std::string& from = classes[decision.from.index].name;
  std::string text = "moved " + number(decision.moved) + " of all from " + from + " to " + to +
                     ", which has " + number(decision.parts[decision.to.index]) + " now: ";
  if (decision.reason == ShareReason::kCalm) return text + "nobody is pressed, back to the default";
  return text + "first tokens take " + number(decision.receiver.response_ratio) +
         " x their target, " + std::to_string(decision.receiver.num_waiting) + " wait, the queue " +
         number(decision.receiver.queue_ratio) + " x; " + from + " " +
         number(decision.giver.pressure()) + " x";
}

ShareController::ShareController(const ShareControllerOptions& options,
                                 const std::vector<ServiceClass>& classes)
    : options_(options), classes_(classes), configured_(share_parts(classes)), parts_(configured_) {
  CHECK(options.step > 0);
  CHECK(options.step < 1);
  CHECK(classes.size() <= kClassesMax);
}

// A class whose configured share lies outside its bounds may stay there but not go further.
double ShareController::room_above(std::size_t at) const {
  return std::max(0.0, classes_[at].share_max - parts_[at]);
}

double ShareController::room_below(std::size_t at) const {
  return std::max(0.0, parts_[at] - std::max(classes_[at].share_min, kPartMin));
}

std::optional<ShareDecision> ShareController::decide(
    TimePoint now, std::span<const ClassObservation> observations) {
  CHECK(observations.size() == classes_.size());
  const bool is_first = !last_;
  last_ = now;
  if (is_first) return std::nullopt;
  std::optional<ShareDecision> decision = relieve(observations);
  if (!decision) decision = calm_down(observations);
  if (decision) decision->at = now;
  return decision;
}

std::optional<ShareDecision> ShareController::relieve(
    std::span<const ClassObservation> observations) {
  std::optional<std::size_t> to;
  std::optional<std::size_t> from;
  for (std::size_t i = 0; i < observations.size(); ++i) {
    const double pressure = observations[i].pressure();
    const bool may_take = pressure > kPressed && room_above(i) > 0;
    if (may_take && (!to || pressure > observations[*to].pressure())) to = i;
    if (room_below(i) <= 0) continue;
    if (!from || pressure < observations[*from].pressure()) from = i;
  }
  if (!to || !from || *to == *from) return std::nullopt;
  if (observations[*to].pressure() < kGiverFactor * observations[*from].pressure()) {
    return std::nullopt;
  }
  ShareDecision decision = move(*from, *to, options_.step, observations);
  const ClassObservation& receiver = observations[*to];
  decision.reason =
      receiver.response_ratio >= receiver.queue_ratio ? ShareReason::kLate : ShareReason::kQueue;
  return decision;
}

std::optional<ShareDecision> ShareController::calm_down(
    std::span<const ClassObservation> observations) {
  std::size_t most_above = 0;
  std::size_t most_below = 0;
  for (std::size_t i = 0; i < observations.size(); ++i) {
    if (observations[i].pressure() > kCalmPressure) return std::nullopt;
    const double above = parts_[i] - configured_[i];
    if (above > parts_[most_above] - configured_[most_above]) most_above = i;
    if (above < parts_[most_below] - configured_[most_below]) most_below = i;
  }
  const double distance = std::min(parts_[most_above] - configured_[most_above],
                                   configured_[most_below] - parts_[most_below]);
  if (distance <= kPartMin) return std::nullopt;
  ShareDecision decision =
      move(most_above, most_below, std::min(distance, kDriftPart * options_.step), observations);
  decision.reason = ShareReason::kCalm;
  return decision;
}

ShareDecision ShareController::move(std::size_t from, std::size_t to, double part,
                                    std::span<const ClassObservation> observations) {
  const double moved = std::min({part, room_below(from), room_above(to)});
  CHECK(moved >= 0);
  parts_[from] -= moved;
  parts_[to] += moved;
  ShareDecision decision;
  decision.to.index = static_cast<std::uint32_t>(to);
  decision.from.index = static_cast<std::uint32_t>(from);
  decision.moved = moved;
  decision.receiver = observations[to];
  decision.giver = observations[from];
  std::copy(parts_.begin(), parts_.end(), decision.parts.begin());
  return decision;
}

}  // namespace millrace
