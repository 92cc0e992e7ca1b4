// Whose turn it is: the work of each class over its share.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/service_class.h"

namespace millrace {

// A few classes, by index.
class ClassSet {
 public:
  bool contains(ClassId id) const { return (bits_ >> id.index & 1u) != 0; }
  void insert(ClassId id) { bits_ |= 1u << id.index; }
  void erase(ClassId id) { bits_ &= ~(1u << id.index); }
  bool empty() const { return bits_ == 0; }

 private:
  static_assert(kClassesMax <= 32);
  std::uint32_t bits_ = 0;
};

// Weighted fair counters (Sheng et al. 2024, arXiv:2401.00588, VTC): work is charged to a class as
// work / share, and the class with the least goes first. A value; no clock.
//
// Deviation: VTC lifts a client's counter when it comes back from having no request. Here a class
// keeps what it is behind only while it has work left over (is backlogged), judged after every
// step. Otherwise it got all that it wanted, so it is owed nothing, and its counter is lifted
// to the least of the backlogged ones; when nobody is backlogged all are lifted to the largest. So
// neither idling nor a trickle of requests banks credit, and what a class borrowed while nobody
// else wanted it costs it nothing later. And nobody is owed more than `credit_max` of work: a class
// that lacks sequences rather than tokens cannot use what it is owed, and shall not keep others out
// for long when that changes.
class FairShare {
 public:
  // Each above 0, adding up to 1.
  FairShare(std::span<const double> parts, std::uint64_t credit_max);

  // From here on; what was charged stays.
  void set_parts(std::span<const double> parts);
  double part(ClassId id) const { return parts_[id.index]; }

  void charge(ClassId id, std::uint64_t work);
  // All that was ever charged.
  std::uint64_t work_done(ClassId id) const { return work_done_[id.index]; }
  // Comparable between classes at one moment only.
  double counter(ClassId id) const { return counters_[id.index]; }

  // The member that is furthest behind, the first of equals.
  std::optional<ClassId> furthest_behind(ClassSet among) const;

  // After each step: who has work left over.
  void settle(ClassSet backlogged);

 private:
  const double credit_max_;
  std::vector<double> parts_;
  std::vector<double> counters_;
  std::vector<std::uint64_t> work_done_;
};

}  // namespace millrace
