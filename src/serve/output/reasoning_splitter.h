// A stream of text into what a model thought and what it said.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "serve/output/answer_format.h"

namespace millrace {

// One answer; one thread at a time. Thoughts are at the answer's beginning only. Tags, and white
// space at their sides, go; everything else comes out once, in order. How the text was cut into
// pushes makes no difference to the sum of what comes out.
class ReasoningSplitter {
 public:
  // Without tags everything is content.
  ReasoningSplitter(std::optional<ReasoningTags> tags, ReasoningStart start);

  struct Output {
    std::string reasoning;
    std::string content;  // comes after the reasoning
  };
  Output push(std::string_view text);
  // The end of the stream: what was held back.
  Output flush();

  // Whether what comes next is thought, as far as is known.
  bool is_inside() const { return state_ == State::kInside || state_ == State::kAtStart; }

 private:
  enum class State {
    kUndecided,  // white space so far, or part of the opening tag
    kAtStart,    // inside, nothing but white space and perhaps the tag once more
    kInside,
    kAtContent,  // outside, nothing but white space
    kContent,
  };

  bool step(Output& output);
  bool step_undecided();
  bool step_inside(Output& output);

  std::optional<ReasoningTags> tags_;
  State state_;
  bool is_at_first_word_ = false;  // inside: white space goes
  std::string pending_;
};

}  // namespace millrace
