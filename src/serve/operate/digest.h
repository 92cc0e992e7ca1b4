// SHA-256 of a text, and comparing two of them without telling by the time where they differ.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace millrace {

using Sha256 = std::array<std::uint8_t, 32>;

Sha256 sha256(std::string_view text);
// Of 64 hexadecimal digits.
std::optional<Sha256> sha256_from_hex(std::string_view hex);
bool equal_in_constant_time(const Sha256& a, const Sha256& b);

}  // namespace millrace
