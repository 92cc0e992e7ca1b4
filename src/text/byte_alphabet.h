// The alphabet in which byte-level vocabularies write bytes as printable characters.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace millrace {

// Source: Radford et al. 2019 (GPT-2), the published encoder's byte table: printable Latin-1 bytes
// stand for themselves, the other 68 are U+0100 and up, in order.
char32_t byte_to_alphabet(std::uint8_t byte);
std::optional<std::uint8_t> alphabet_to_byte(char32_t code_point);

std::string bytes_to_alphabet(std::string_view bytes);
// Nothing when a character is outside the alphabet.
std::optional<std::string> alphabet_to_bytes(std::string_view text);

// "<0x0A>" is the byte 10; nothing for any other text.
std::optional<std::uint8_t> parse_byte_piece(std::string_view text);
std::string byte_piece(std::uint8_t byte);

}  // namespace millrace
