// The byte table of GPT-2, both ways, and the <0xXX> pieces of byte fallback.
#include "text/byte_alphabet.h"

#include <array>

#include "text/utf8.h"

namespace millrace {
namespace {

constexpr bool stands_for_itself(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

constexpr std::size_t kNumOthers = 68;  // Bytes that do not stand for themselves.

struct Tables {
  std::array<char32_t, 256> to_alphabet{};
  std::array<std::uint8_t, kNumOthers> others{};
};

constexpr Tables make_tables() {
  Tables tables;
  std::size_t num_others = 0;
  for (unsigned byte = 0; byte < 256; ++byte) {
    if (stands_for_itself(byte)) {
      tables.to_alphabet[byte] = byte;
    } else {
      tables.to_alphabet[byte] = static_cast<char32_t>(0x100 + num_others);
      tables.others[num_others++] = static_cast<std::uint8_t>(byte);
    }
  }
  return tables;
}

constexpr Tables kTables = make_tables();

std::optional<std::uint8_t> hex_digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<std::uint8_t>(c - '0');
  if (c >= 'A' && c <= 'F') return static_cast<std::uint8_t>(c - 'A' + 10);
  if (c >= 'a' && c <= 'f') return static_cast<std::uint8_t>(c - 'a' + 10);
  return std::nullopt;
}

}  // namespace

char32_t byte_to_alphabet(std::uint8_t byte) {
  return kTables.to_alphabet[byte];
}

std::optional<std::uint8_t> alphabet_to_byte(char32_t code_point) {
  if (code_point < 0x100) {
    if (!stands_for_itself(static_cast<unsigned>(code_point))) return std::nullopt;
    return static_cast<std::uint8_t>(code_point);
  }
  if (code_point - 0x100 >= kNumOthers) return std::nullopt;
  return kTables.others[code_point - 0x100];
}

std::string bytes_to_alphabet(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const char c : bytes) append_utf8(byte_to_alphabet(static_cast<std::uint8_t>(c)), text);
  return text;
}

std::optional<std::string> alphabet_to_bytes(std::string_view text) {
  std::string bytes;
  bytes.reserve(text.size());
  while (!text.empty()) {
    const Utf8Character character = decode_utf8(text);
    if (!character.valid) return std::nullopt;
    const std::optional<std::uint8_t> byte = alphabet_to_byte(character.code_point);
    if (!byte) return std::nullopt;
    bytes.push_back(static_cast<char>(*byte));
    text.remove_prefix(character.num_bytes);
  }
  return bytes;
}

std::optional<std::uint8_t> parse_byte_piece(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return std::nullopt;
  const std::optional<std::uint8_t> high = hex_digit(text[3]);
  const std::optional<std::uint8_t> low = hex_digit(text[4]);
  if (!high || !low) return std::nullopt;
  return static_cast<std::uint8_t>(*high << 4 | *low);
}

std::string byte_piece(std::uint8_t byte) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  return {'<', '0', 'x', kDigits[byte >> 4], kDigits[byte & 0xF], '>'};
}

}  // namespace millrace
