// Keeps a timeline short and the log of shares bounded.
#include "simulate/outcome.h"

#include "base/check.h"

namespace millrace {
namespace {

void add(Timeline::Span& sum, const Timeline::Span& other) {
  for (std::size_t i = 0; i < sum.work.size(); ++i) sum.work[i] += other.work[i];
  sum.busy_seconds += other.busy_seconds;
  sum.num_steps += other.num_steps;
  sum.num_waiting += other.num_waiting;
  sum.cache_fraction += other.cache_fraction;
  for (std::size_t i = 0; i < sum.share.size(); ++i) sum.share[i] += other.share[i];
}

}  // namespace

void ShareLog::add(const ShareDecision& decision) {
  ++num_decisions;
  if (decisions.size() < kDecisionsMax) decisions.push_back(decision);
  const auto reason = static_cast<std::size_t>(decision.reason);
  CHECK(reason < classes[0].num_received.size());
  ++classes[decision.to.index].num_received[reason];
  ++classes[decision.from.index].num_given;
}

Timeline::Span& Timeline::at(Duration time) {
  CHECK(time >= Duration{0});
  while (time / span_ >= static_cast<std::int64_t>(kSpansMax)) {
    span_ *= 2;
    for (std::size_t i = 0; 2 * i < spans_.size(); ++i) {
      Span merged = spans_[2 * i];
      if (2 * i + 1 < spans_.size()) add(merged, spans_[2 * i + 1]);
      spans_[i] = merged;
    }
    spans_.resize((spans_.size() + 1) / 2);
  }
  const auto index = static_cast<std::size_t>(time / span_);
  if (index >= spans_.size()) spans_.resize(index + 1);
  return spans_[index];
}

}  // namespace millrace
