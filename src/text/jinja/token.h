// The tokens of a template: text, tags, and what is inside tags.
#pragma once

#include <cstdint>
#include <string>

namespace millrace::jinja {

enum class TokenKind : std::uint8_t {
  kData,
  kVariableBegin,
  kVariableEnd,
  kBlockBegin,
  kBlockEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

// For a name or operator `text` is its spelling, for a string or data its value, escapes resolved.
struct Token {
  TokenKind kind = TokenKind::kEnd;
  int line = 1;
  std::string text;
  std::int64_t integer = 0;
  double number = 0;
};

}  // namespace millrace::jinja
