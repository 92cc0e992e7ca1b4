// The automaton of Aho & Corasick 1975 over bytes, and the stream that runs on it.
#include "text/stop_matcher.h"

#include <algorithm>
#include <array>
#include <deque>
#include <limits>

#include "base/check.h"

namespace millrace {

// A state is the longest suffix of the text that is a prefix of some stop string.
struct StopMatcher::Automaton {
  static constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

  struct State {
    std::array<std::uint32_t, 256> next;  // Complete: failure links are folded in.
    std::uint32_t depth = 0;              // Bytes of that prefix: what must be held back.
    std::uint32_t stop = kNone;           // The longest stop string that ends here.
  };
  std::vector<State> states;
  std::vector<std::string> stops;

  std::uint32_t add_state(std::uint32_t depth) {
    states.emplace_back();
    states.back().next.fill(kNone);
    states.back().depth = depth;
    return static_cast<std::uint32_t>(states.size() - 1);
  }

  void add_stop(std::uint32_t index) {
    std::uint32_t at = 0;
    for (const char c : stops[index]) {
      const auto byte = static_cast<std::uint8_t>(c);
      if (states[at].next[byte] == kNone) {
        const std::uint32_t added = add_state(states[at].depth + 1);
        states[at].next[byte] = added;
      }
      at = states[at].next[byte];
    }
    if (states[at].stop == kNone) states[at].stop = index;  // The first of two equal ones.
  }

  // Breadth first, so that a state's failure target is complete before the state is.
  void fold_failures() {
    std::vector<std::uint32_t> failure(states.size(), 0);
    std::deque<std::uint32_t> queue;
    for (std::uint32_t& next : states[0].next) {
      if (next == kNone) {
        next = 0;
      } else {
        queue.push_back(next);
      }
    }
    while (!queue.empty()) {
      const std::uint32_t at = queue.front();
      queue.pop_front();
      State& state = states[at];
      const State& fallback = states[failure[at]];
      if (state.stop == kNone) state.stop = fallback.stop;
      for (std::size_t byte = 0; byte < state.next.size(); ++byte) {
        if (state.next[byte] == kNone) {
          state.next[byte] = fallback.next[byte];
        } else {
          failure[state.next[byte]] = fallback.next[byte];
          queue.push_back(state.next[byte]);
        }
      }
    }
  }
};

StopMatcher::StopMatcher(std::shared_ptr<const Automaton> automaton)
    : automaton_(std::move(automaton)) {}

Result<StopMatcher> StopMatcher::create(std::vector<std::string> stops) {
  if (stops.size() > kStopsMax) {
    return Error{ErrorCode::kInvalidArgument, std::to_string(stops.size()) +
                                                  " stop strings exceed the limit of " +
                                                  std::to_string(kStopsMax)};
  }
  std::size_t total_bytes = 0;
  for (std::size_t i = 0; i < stops.size(); ++i) {
    total_bytes += stops[i].size();
    if (stops[i].empty()) {
      return Error{ErrorCode::kInvalidArgument, "stop string " + std::to_string(i) + " is empty"};
    }
    if (stops[i].size() > kStopBytesMax) {
      return Error{ErrorCode::kInvalidArgument,
                   "stop string " + std::to_string(i) + " of " + std::to_string(stops[i].size()) +
                       " bytes exceeds the limit of " + std::to_string(kStopBytesMax)};
    }
  }
  if (total_bytes > kTotalBytesMax) {
    return Error{ErrorCode::kInvalidArgument, "stop strings of " + std::to_string(total_bytes) +
                                                  " bytes together exceed the limit of " +
                                                  std::to_string(kTotalBytesMax)};
  }
  auto automaton = std::make_shared<Automaton>();
  automaton->stops = std::move(stops);
  automaton->add_state(0);
  for (std::uint32_t i = 0; i < automaton->stops.size(); ++i) automaton->add_stop(i);
  automaton->fold_failures();
  return StopMatcher(std::move(automaton));
}

StopMatcher::Output StopMatcher::push(std::string_view text) {
  if (stop_) return {.text = {}, .stop = stop_};
  const std::vector<Automaton::State>& states = automaton_->states;
  for (std::size_t i = 0; i < text.size(); ++i) {
    state_ = states[state_].next[static_cast<std::uint8_t>(text[i])];
    if (states[state_].stop == Automaton::kNone) continue;
    stop_ = states[state_].stop;
    held_.append(text.substr(0, i + 1));
    held_.resize(held_.size() - automaton_->stops[*stop_].size());
    return {.text = std::move(held_), .stop = stop_};
  }
  held_.append(text);
  CHECK(states[state_].depth <= held_.size());
  const std::size_t num_free = held_.size() - states[state_].depth;
  Output output{.text = held_.substr(0, num_free), .stop = std::nullopt};
  held_.erase(0, num_free);
  return output;
}

std::string StopMatcher::flush() {
  if (stop_) return {};
  state_ = 0;
  return std::exchange(held_, {});
}

}  // namespace millrace
