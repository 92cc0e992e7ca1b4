// From tokens to the tree of a template; names are not resolved yet.
#pragma once

#include <vector>

#include "base/result.h"
#include "text/jinja/ast.h"
#include "text/jinja/token.h"

namespace millrace::jinja {

// Nesting of brackets and blocks beyond nesting_max is kTooLarge.
Result<Block> parse_tokens(const std::vector<Token>& tokens, std::size_t nesting_max);

}  // namespace millrace::jinja
