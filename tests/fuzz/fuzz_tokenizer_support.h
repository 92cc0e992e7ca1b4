// What the fuzz targets of vocabularies share: use of a spec that a parser accepted.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "text/detokenizer.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace millrace {

// Compiles the spec and sends a text through it both ways.
inline void use_spec(TokenizerSpec spec, std::string_view text) {
  const auto created = Tokenizer::create(std::move(spec));
  if (!created.ok()) return;
  const Tokenizer& tokenizer = created.value();
  for (const ParseSpecial parse : {ParseSpecial::kNo, ParseSpecial::kYes}) {
    const auto ids = tokenizer.encode(text, {.parse_special = parse});
    if (!ids.ok()) continue;
    for (const TokenId id : ids.value()) CHECK(id < tokenizer.num_tokens());
    const auto decoded = tokenizer.decode(ids.value(), {.skip_special = SkipSpecial::kNo});
    CHECK(decoded.ok());
    CHECK(!find_invalid_utf8(decoded.value()));
  }
}

}  // namespace millrace
