// Counters of work over share, and who is owed.
#include "engine/fair_share.h"

#include <algorithm>
#include <limits>

#include "base/check.h"

namespace millrace {

FairShare::FairShare(std::span<const double> parts, std::uint64_t credit_max)
    : credit_max_(static_cast<double>(credit_max)),
      counters_(parts.size(), 0.0),
      work_done_(parts.size(), 0) {
  CHECK(!parts.empty());
  CHECK(parts.size() <= kClassesMax);
  parts_.resize(parts.size());
  set_parts(parts);
}

void FairShare::set_parts(std::span<const double> parts) {
  CHECK(parts.size() == parts_.size());
  for (const double part : parts) CHECK(part > 0);
  std::copy(parts.begin(), parts.end(), parts_.begin());
}

void FairShare::charge(ClassId id, std::uint64_t work) {
  CHECK(id.index < parts_.size());
  counters_[id.index] += static_cast<double>(work) / parts_[id.index];
  work_done_[id.index] += work;
}

std::optional<ClassId> FairShare::furthest_behind(ClassSet among) const {
  std::optional<ClassId> found;
  for (std::uint32_t i = 0; i < counters_.size(); ++i) {
    if (!among.contains(ClassId{i})) continue;
    if (!found || counters_[i] < counters_[found->index]) found = ClassId{i};
  }
  return found;
}

void FairShare::settle(ClassSet backlogged) {
  const std::optional<ClassId> least = furthest_behind(backlogged);
  const double most = *std::max_element(counters_.begin(), counters_.end());
  const double lift = least ? counters_[least->index] : most;
  for (std::uint32_t i = 0; i < counters_.size(); ++i) {
    if (!backlogged.contains(ClassId{i})) counters_[i] = std::max(counters_[i], lift);
    counters_[i] = std::max(counters_[i], most - credit_max_ / parts_[i]);
  }
}

}  // namespace millrace
