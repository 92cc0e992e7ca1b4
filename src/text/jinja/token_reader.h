// The parser's place in the tokens, and how deep it is.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/jinja/lexer.h"
#include "text/jinja/token.h"

namespace millrace::jinja {

std::string describe(const Token& token);

class TokenReader {
 public:
  TokenReader(const std::vector<Token>& tokens, std::size_t nesting_max)
      : tokens_(tokens), nesting_max_(nesting_max) {}

  const Token& current() const { return tokens_[pos_]; }
  const Token& following() const { return tokens_[pos_ + 1 < tokens_.size() ? pos_ + 1 : pos_]; }
  int line() const { return current().line; }
  const Token& take() {
    const Token& token = current();
    if (pos_ + 1 < tokens_.size()) ++pos_;
    return token;
  }

  bool at(TokenKind kind) const { return current().kind == kind; }
  bool at_operator(std::string_view op) const {
    return at(TokenKind::kOperator) && current().text == op;
  }
  bool at_name(std::string_view name) const {
    return at(TokenKind::kName) && current().text == name;
  }
  bool skip_operator(std::string_view op) {
    if (!at_operator(op)) return false;
    take();
    return true;
  }
  bool skip_name(std::string_view name) {
    if (!at_name(name)) return false;
    take();
    return true;
  }
  Status expect(TokenKind kind, std::string_view what);
  Status expect_operator(std::string_view op);
  Status expect_name(std::string_view name);
  Result<std::string> expect_any_name();

  Error unexpected(std::string_view expected) const;

  // One bracket, operator or block deeper; leave() ends it.
  Status enter();
  void leave() { --nesting_; }
  std::size_t nesting_max() const { return nesting_max_; }

 private:
  const std::vector<Token>& tokens_;
  std::size_t pos_ = 0;
  std::size_t nesting_max_;
  std::size_t nesting_ = 0;
};

}  // namespace millrace::jinja
