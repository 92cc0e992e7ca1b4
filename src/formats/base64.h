// Base64 as tokenizer files use it: the standard alphabet, padding optional.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace millrace {

// Nothing when a character is outside the alphabet.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace millrace
