// Where a JSON object or array ends, in a text that is still coming.
#pragma once

#include <cstddef>
#include <string_view>

namespace millrace {

// Counts brackets outside of strings; does not check the rest. Begins before the opening bracket,
// or behind it with depth 1.
class JsonScanner {
 public:
  explicit JsonScanner(std::size_t depth = 0) : depth_(depth) {}

  // How many bytes of the text belong to the value; all of them as long as it is not done.
  std::size_t feed(std::string_view text) {
    for (std::size_t i = 0; i < text.size(); ++i) {
      take(text[i]);
      if (is_done_) return i + 1;
    }
    return text.size();
  }
  bool is_done() const { return is_done_; }

 private:
  void take(char c) {
    if (in_string_) {
      if (is_escaped_) {
        is_escaped_ = false;
      } else if (c == '\\') {
        is_escaped_ = true;
      } else if (c == '"') {
        in_string_ = false;
      }
      return;
    }
    if (c == '"') in_string_ = true;
    if (c == '{' || c == '[') ++depth_;
    if ((c == '}' || c == ']') && --depth_ == 0) is_done_ = true;
  }

  std::size_t depth_;
  bool in_string_ = false;
  bool is_escaped_ = false;
  bool is_done_ = false;
};

}  // namespace millrace
