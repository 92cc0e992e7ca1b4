// What operators have done to the text of answers on its way to clients.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/regex.h"

namespace millrace {

struct TextHook {
  enum class Kind : std::uint8_t {
    kTrim,      // white space at both ends goes
    kTidyJson,  // a text that is JSON as a whole is written without white space; held to its end
    kRedact,    // what the pattern matches becomes the replacement
  };
  Kind kind = Kind::kTrim;
  std::optional<Regex> pattern = {};  // of kRedact
  std::string replacement = {};       // of kRedact
};

// A text is held back by so many bytes while it streams, so that a match may still grow or begin.
// Matches that are longer are not promised to be found.
inline constexpr std::size_t kRedactBytesMax = 256;

// kCorruptData or kUnsupported from Regex::compile.
Result<TextHook> redact_hook(std::string_view pattern, std::string replacement);

// One stream of text through several hooks, in order; one thread at a time.
class TextHooks {
 public:
  explicit TextHooks(std::vector<TextHook> hooks);

  // What can be sent. Whole characters in, whole characters out.
  std::string push(std::string text);
  // The end of the text: what was held back. The object then starts over.
  std::string flush();

  bool empty() const { return stages_.empty(); }

 private:
  struct Stage {
    TextHook hook;
    std::string held = {};
    std::size_t num_context = 0;  // bytes at the front of held that are sent already
    bool has_begun = false;
  };
  static std::string push_stage(Stage& stage, const std::string& text);
  static std::string flush_stage(Stage& stage);

  std::vector<Stage> stages_;
};

}  // namespace millrace
