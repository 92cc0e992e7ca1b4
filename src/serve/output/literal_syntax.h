// Values as Python or Gemma writes them, which some models put into the arguments of calls.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "serve/output/call_syntax.h"

namespace millrace {

// True, None, 'text', [1, {'k': 2.5}], … as a whole; nothing when it is no such literal.
std::optional<OrderedJson> parse_python_literal(std::string_view text);

// name(key='value', other=[1, None]) as a whole. Nothing when it is no call, or when a value is not
// a literal.
std::optional<ParsedCall> parse_python_call(std::string_view text);

// name{key:<|"|>value<|"|>,other:[1,null]} as a whole; `text` begins behind "call:".
std::optional<ParsedCall> parse_gemma_call(std::string_view text);

// Where the brackets of a Python call close, in a text that is still coming.
class PythonScanner {
 public:
  // How many bytes of the text belong to the value; all of them as long as it is not done.
  std::size_t feed(std::string_view text);
  bool is_done() const { return is_done_; }

 private:
  void take(char c);

  std::size_t depth_ = 0;
  char quote_ = '\0';  // of the string that it is in
  bool is_escaped_ = false;
  bool is_done_ = false;
};

}  // namespace millrace
