// The channels of "harmony" (gpt-oss): messages with headers, told apart into thoughts, text and
// calls.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "serve/api/answer.h"

namespace millrace {

struct ChannelParserOptions {
  OrderedJson tools = nullptr;  // null: calls are content
  std::uint64_t id_seed = 0;    // equal seeds give equal call ids
};

// One answer; one thread at a time. A message is [<|start|>]header<|message|>body<|end|>, its
// header says where it goes: channel "analysis" is thought, a recipient ("to=functions.name") makes
// it a call, all else is content. Text without a header is content. Marks go; everything else comes
// out once, in order, and how the text was cut into pushes makes no difference to the sum of it.
class ChannelParser {
 public:
  using Output = std::vector<AnswerEventKind>;

  explicit ChannelParser(ChannelParserOptions options) : options_(std::move(options)) {}

  void push(std::string_view text, Output& out);
  // The end of the stream: what was held back. A call that has begun ends as far as it came.
  void flush(Output& out);

  // Calls that have ended.
  std::size_t num_calls() const { return num_ended_; }
  // Whether what comes next is thought, as far as is known.
  bool is_inside() const { return state_ == State::kBody && kind_ == Kind::kThought; }

 private:
  enum class State {
    kBetween,  // before a header, or before text that has none
    kHeader,   // up to <|message|>
    kBody,
  };
  enum class Kind { kText, kThought, kCall };

  bool step(Output& out);
  bool step_between();
  bool step_header(Output& out);
  bool step_body(Output& out);
  void begin_body(std::string_view header, Output& out);
  void end_body(Output& out);
  void emit(std::string_view text, Output& out);
  bool is_known(std::string_view name) const;

  ChannelParserOptions options_;
  State state_ = State::kBetween;
  Kind kind_ = Kind::kText;
  std::string pending_;
  bool has_arguments_ = false;  // of the open call
  std::size_t num_begun_ = 0;
  std::size_t num_ended_ = 0;
};

// The special tokens that its messages are made of.
std::vector<std::string_view> channel_marks();

}  // namespace millrace
