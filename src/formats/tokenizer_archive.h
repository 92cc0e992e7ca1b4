// A TokenizerSpec as bytes, for packed models: read back without parsing anything.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "base/result.h"
#include "text/tokenizer_spec.h"

namespace millrace {

std::string write_tokenizer_archive(const TokenizerSpec& spec);

// kCorruptData when the bytes are not what the function above writes; what the spec says is checked
// by Tokenizer::create, as always. `name` is for messages.
Result<TokenizerSpec> read_tokenizer_archive(std::span<const std::byte> bytes,
                                             const std::string& name);

}  // namespace millrace
