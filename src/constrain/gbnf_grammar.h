// Grammars in the dialect of llama.cpp (GBNF).
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "constrain/grammar.h"
#include "constrain/token_vocabulary.h"

namespace millrace {

// The rules become rules of `grammar`; gives what stands for `root`.
//
//   root   ::= item ("," item){0,9}      # rules, sequences, groups, repetition, comments
//   item   ::= [a-z_] [^\n"]* | "quoted" | .
//
// A literal that is the whole name of a special token of the vocabulary stands for that token, or
// for its text. kInvalidArgument with the byte where it is no grammar.
Result<ExprId> parse_gbnf(Grammar& grammar, const TokenVocabulary& vocabulary,
                          std::string_view text);

}  // namespace millrace
