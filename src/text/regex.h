// Regular expressions with look-ahead and Unicode classes, within limits on steps and memory.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>

#include "base/result.h"

namespace millrace {

struct MatchRange {
  std::size_t begin = 0;
  std::size_t end = 0;
};

// What a thread needs while it matches; not shared, made once per call that matches many times.
class RegexScratch {
 public:
  RegexScratch();
  ~RegexScratch();
  RegexScratch(const RegexScratch&) = delete;
  RegexScratch& operator=(const RegexScratch&) = delete;

 private:
  friend class Regex;
  struct State;
  std::unique_ptr<State> state_;  // Made at the first match.
};

// A compiled pattern; immutable, copies share it, any thread may match with its own scratch.
class Regex {
 public:
  // Oniguruma syntax (regex_syntax.h). kCorruptData when the pattern is malformed, kUnsupported
  // when this build has no PCRE2 or the pattern asks for what we refuse.
  static Result<Regex> compile(std::string_view pattern);

  // The leftmost match that begins at or after `start`; `subject` is valid UTF-8 and `start` at a
  // character. kResourceExhausted when a limit stops the search.
  Result<std::optional<MatchRange>> find(std::string_view subject, std::size_t start,
                                         RegexScratch& scratch) const;

 private:
  struct Code;
  explicit Regex(std::shared_ptr<const Code> code);
  std::shared_ptr<const Code> code_;
};

}  // namespace millrace
