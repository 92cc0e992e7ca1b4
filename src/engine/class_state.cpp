// The order of waiting sequences, and how fast they start.
#include "engine/class_state.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace millrace {

Sequence& WaitingQueue::head() const {
  CHECK(!sequences_.empty());
  return *sequences_.back();
}

void WaitingQueue::insert(Sequence& sequence) {
  CHECK(sequences_.size() < sequences_.capacity());
  const auto goes_after = [](const Sequence* a, const Sequence* b) { return b->goes_before(*a); };
  sequences_.insert(std::upper_bound(sequences_.begin(), sequences_.end(), &sequence, goes_after),
                    &sequence);
}

void WaitingQueue::pop_head() {
  CHECK(!sequences_.empty());
  sequences_.pop_back();
}

void WaitingQueue::erase_finished() {
  std::erase_if(sequences_, [](const Sequence* sequence) { return sequence->finish.has_value(); });
}

void TokenPace::add(std::size_t num_tokens, Duration elapsed) {
  constexpr double kMemorySeconds = 30;
  const double keep = std::exp(-seconds(elapsed) / kMemorySeconds);
  tokens_ = keep * tokens_ + static_cast<double>(num_tokens);
  seconds_ = keep * seconds_ + seconds(elapsed);
}

}  // namespace millrace
