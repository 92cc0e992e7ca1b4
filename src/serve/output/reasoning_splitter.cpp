// One state after the other over the text that is pending.
#include "serve/output/reasoning_splitter.h"

#include <utility>

#include "serve/output/mark_search.h"

namespace millrace {

ReasoningSplitter::ReasoningSplitter(std::optional<ReasoningTags> tags, ReasoningStart start)
    : tags_(tags), state_(State::kContent) {
  if (!tags_) return;
  if (start == ReasoningStart::kUndecided) state_ = State::kUndecided;
  if (start == ReasoningStart::kInside) state_ = State::kAtStart;
}

ReasoningSplitter::Output ReasoningSplitter::push(std::string_view text) {
  pending_ += text;
  Output output;
  while (step(output)) {
  }
  return output;
}

// True when it has moved and may move on.
bool ReasoningSplitter::step(Output& output) {
  switch (state_) {
    case State::kUndecided:
    case State::kAtStart:
      return step_undecided();
    case State::kInside:
      return step_inside(output);
    case State::kAtContent: {
      pending_.erase(0, num_white_front(pending_));
      if (pending_.empty()) return false;
      if (!tags_->skipped.empty()) {
        const MarkMatch match = match_front(pending_, tags_->skipped);
        if (match == MarkMatch::kMaybe) return false;
        if (match == MarkMatch::kYes) pending_.erase(0, tags_->skipped.size());
      }
      state_ = State::kContent;
      return true;
    }
    case State::kContent:
      output.content += std::exchange(pending_, {});
      return false;
  }
  return false;
}

bool ReasoningSplitter::step_undecided() {
  const std::size_t num_white = num_white_front(pending_);
  const std::string_view rest = std::string_view(pending_).substr(num_white);
  const MarkMatch match = match_front(rest, tags_->open);
  if (match == MarkMatch::kMaybe) return false;
  const bool was_inside = state_ == State::kAtStart;
  if (match == MarkMatch::kYes) {
    pending_.erase(0, num_white + tags_->open.size());
    pending_.erase(0, num_white_front(pending_));
    // Once more would be the model's own words.
    state_ = State::kInside;
    is_at_first_word_ = true;
    return true;
  }
  if (was_inside) pending_.erase(0, num_white);
  state_ = was_inside ? State::kInside : State::kContent;
  return true;
}

bool ReasoningSplitter::step_inside(Output& output) {
  if (is_at_first_word_) {
    pending_.erase(0, num_white_front(pending_));
    if (pending_.empty()) return false;
    is_at_first_word_ = false;
  }
  const std::size_t close = pending_.find(tags_->close);
  if (close != std::string::npos) {
    const std::string_view thought = std::string_view(pending_).substr(0, close);
    output.reasoning += thought.substr(0, thought.size() - num_white_back(thought));
    pending_.erase(0, close + tags_->close.size());
    state_ = State::kAtContent;
    return true;
  }
  const std::string_view text = pending_;
  std::size_t num_free = text.size() - held_bytes(text, tags_->close);
  num_free -= num_white_back(text.substr(0, num_free));
  output.reasoning += text.substr(0, num_free);
  pending_.erase(0, num_free);
  return false;
}

ReasoningSplitter::Output ReasoningSplitter::flush() {
  Output output;
  if (state_ == State::kInside || state_ == State::kAtStart) {
    output.reasoning = std::exchange(pending_, {});
  } else {
    if (state_ == State::kAtContent) pending_.erase(0, num_white_front(pending_));
    output.content = std::exchange(pending_, {});
  }
  pending_.clear();
  return output;
}

}  // namespace millrace
