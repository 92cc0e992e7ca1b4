// A stream of content into text and calls of tools, in the format of the model.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/function_ref.h"
#include "base/json.h"
#include "serve/api/answer.h"
#include "serve/output/answer_format.h"
#include "serve/output/call_syntax.h"
#include "serve/output/json_scanner.h"
#include "serve/output/literal_syntax.h"

namespace millrace {

struct ToolCallParserOptions {
  ToolFormat format = ToolFormat::kNone;
  OrderedJson tools = nullptr;  // in OpenAI's chat form
  std::uint64_t id_seed = 0;    // equal seeds give equal call ids
};

// One answer; one thread at a time. What begins like a call and turns out to be none is text; marks
// of calls, and white space around calls, go; everything else comes out once, in order. The
// arguments of a call come as they are written once its name is known, in formats that are JSON.
// How the text was cut into pushes makes no difference to the sum of what comes out.
class ToolCallParser {
 public:
  using Output = std::vector<AnswerEventKind>;

  explicit ToolCallParser(ToolCallParserOptions options);

  void push(std::string_view text, Output& out);
  // The end of the stream: what was held back. A call that has begun ends as far as it came.
  void flush(Output& out);

  // Calls that have ended.
  std::size_t num_calls() const { return num_ended_; }

 private:
  enum class State {
    kText,
    kOpened,      // behind an opening mark; raw_ has what is text again when there is no call
    kWhole,       // in an object that only as a whole shows whether it is a call
    kArguments,   // in the arguments of a call that has begun
    kObjectRest,  // behind the arguments, before the brace that closes the call
    kClosing,     // behind a call: marks that close it
  };

  bool step(Output& out);
  bool step_text(Output& out);
  bool step_opened(Output& out);
  bool step_whole(Output& out);
  bool step_arguments(Output& out);
  bool step_object_rest();
  bool step_closing();

  bool open_object(Output& out);
  bool open_function_tags(Output& out);
  bool open_tags(Output& out);
  bool open_list(Output& out);
  bool open_python(Output& out);
  bool open_invoke(Output& out);
  bool open_invoked(const std::string& opening, const std::string& closing,
                    FunctionRef<std::optional<ParsedCall>(std::string_view, std::size_t&)> parse,
                    Output& out);
  bool open_hunyuan(Output& out);
  bool open_until_close(Output& out,
                        FunctionRef<std::optional<ParsedCall>(std::string_view)> parse);
  bool open_function_tag(Output& out);
  bool open_mistral(Output& out);
  bool open_section(Output& out);

  void emit_text(std::string_view text, Output& out);
  bool fail(Output& out);
  bool begin_call(std::string name, std::size_t arguments_at, State after, Output& out);
  bool whole_call(const ParsedCall& call, Output& out);
  bool is_known(std::string_view name) const;
  std::string next_id() const;

  ToolCallParserOptions options_;
  std::vector<std::string_view> open_marks_;
  std::vector<std::string_view> close_marks_;
  State state_ = State::kText;
  State after_arguments_ = State::kClosing;
  std::string pending_;
  std::string raw_;
  std::size_t num_searched_ = 0;  // bytes of pending_ in which an end was looked for already
  bool is_bare_ = false;          // the call that is opening has no mark in front
  bool in_array_ = false;         // in a list of calls
  bool at_boundary_ = true;       // nothing but white space since the beginning or the last call
  JsonScanner scanner_;
  PythonScanner python_;
  std::size_t num_begun_ = 0;
  std::size_t num_ended_ = 0;
};

}  // namespace millrace
