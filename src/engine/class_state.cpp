// The order of waiting sequences, and how fast they start.
#include "engine/class_state.h"

#include <cmath>

#include "base/check.h"

namespace millrace {

void WaitingQueue::insert(Sequence& sequence) {
  heap_.insert(sequence);
  num_tokens_ += sequence.num_queued_tokens;
}

void WaitingQueue::erase(Sequence& sequence) {
  heap_.erase(sequence);
  CHECK(num_tokens_ >= sequence.num_queued_tokens);
  num_tokens_ -= sequence.num_queued_tokens;
}

void TokenPace::add(std::size_t num_tokens, Duration elapsed) {
  constexpr double kMemorySeconds = 30;
  const double keep = std::exp(-seconds(elapsed) / kMemorySeconds);
  tokens_ = keep * tokens_ + static_cast<double>(num_tokens);
  seconds_ = keep * seconds_ + seconds(elapsed);
}

}  // namespace millrace
