// Turns between models by the time that each class has had.
#include "engine/arbiter.h"

#include <numeric>

#include "base/check.h"

namespace millrace {
namespace {

// What a class may be owed: as in one scheduler, about ten seconds.
constexpr std::uint64_t kCreditNanoseconds = 10'000'000'000;

}  // namespace

Arbiter::Arbiter(std::span<const double> parts)
    : num_classes_(parts.size()), shares_(parts, kCreditNanoseconds) {}

std::optional<std::size_t> Arbiter::choose(std::span<ArbiterLane> lanes) {
  ClassSet live;
  for (std::uint32_t i = 0; i < num_classes_; ++i) {
    for (const ArbiterLane& lane : lanes) {
      if (lane.live.contains(ClassId{i})) live.insert(ClassId{i});
    }
  }
  const std::optional<ClassId> behind = shares_.furthest_behind(live);
  if (!behind) return std::nullopt;
  std::optional<std::size_t> chosen;
  for (std::size_t i = 0; i < lanes.size(); ++i) {
    if (!lanes[i].live.contains(*behind)) continue;
    if (!chosen || lanes[i].last_turn < lanes[*chosen].last_turn) chosen = i;
  }
  lanes[*chosen].last_turn = ++num_turns_;
  return chosen;
}

void Arbiter::charge(std::span<const ArbiterLane> lanes, std::size_t chosen,
                     std::span<const std::uint64_t> work, Duration elapsed) {
  CHECK(work.size() == num_classes_);
  CHECK(chosen < lanes.size());
  const auto sum = static_cast<double>(std::accumulate(work.begin(), work.end(), std::uint64_t{0}));
  const auto nanoseconds = static_cast<double>(elapsed.count());
  ClassSet backlogged;  // had requests in models that did not step meanwhile
  for (std::uint32_t i = 0; i < num_classes_; ++i) {
    if (sum > 0) {
      const double part = static_cast<double>(work[i]) / sum;
      shares_.charge(ClassId{i}, static_cast<std::uint64_t>(part * nanoseconds));
    }
    for (std::size_t lane = 0; lane < lanes.size(); ++lane) {
      if (lane != chosen && lanes[lane].live.contains(ClassId{i})) backlogged.insert(ClassId{i});
    }
  }
  // In the chosen one the scheduler shares; who only runs there may be behind because of others.
  if (!backlogged.empty()) {
    for (std::uint32_t i = 0; i < num_classes_; ++i) {
      if (lanes[chosen].live.contains(ClassId{i})) backlogged.insert(ClassId{i});
    }
  }
  shares_.settle(backlogged);
}

}  // namespace millrace
