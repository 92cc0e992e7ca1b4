// Expectations, and what is said when they are not met.
#include "text/jinja/token_reader.h"

namespace millrace::jinja {
namespace {

std::string quoted(std::string_view text) {
  return "'" + std::string(text) + "'";
}

}  // namespace

std::string describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::kData:
      return "text";
    case TokenKind::kVariableBegin:
      return "'{{'";
    case TokenKind::kVariableEnd:
      return "end of print statement";
    case TokenKind::kBlockBegin:
      return "'{%'";
    case TokenKind::kBlockEnd:
      return "end of statement block";
    case TokenKind::kString:
      return "string";
    case TokenKind::kEnd:
      return "end of template";
    default:
      return quoted(token.text);
  }
}

Error TokenReader::unexpected(std::string_view expected) const {
  return syntax_error(line(), "expected " + std::string(expected) + ", got " + describe(current()));
}

Status TokenReader::expect(TokenKind kind, std::string_view what) {
  if (!at(kind)) return unexpected(what);
  take();
  return Ok{};
}

Status TokenReader::expect_operator(std::string_view op) {
  if (!skip_operator(op)) return unexpected(quoted(op));
  return Ok{};
}

Status TokenReader::expect_name(std::string_view name) {
  if (!skip_name(name)) return unexpected(quoted(name));
  return Ok{};
}

Result<std::string> TokenReader::expect_any_name() {
  if (!at(TokenKind::kName)) return unexpected("a name");
  return take().text;
}

Status TokenReader::enter() {
  if (nesting_ == nesting_max_) {
    return Error{ErrorCode::kTooLarge, "chat template line " + std::to_string(line()) +
                                           ": nested deeper than " + std::to_string(nesting_max_)};
  }
  ++nesting_;
  return Ok{};
}

}  // namespace millrace::jinja
