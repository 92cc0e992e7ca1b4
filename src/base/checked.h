// 64-bit size arithmetic that reports overflow instead of wrapping: every size from a file goes
// through it.
#pragma once

#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <type_traits>

namespace millrace {

inline std::optional<std::uint64_t> checked_add(std::uint64_t a, std::uint64_t b) {
  std::uint64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

inline std::optional<std::uint64_t> checked_mul(std::uint64_t a, std::uint64_t b) {
  std::uint64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

// The same number in a narrower or differently signed type, or nothing when it does not fit.
template <std::integral To, std::integral From>
std::optional<To> checked_cast(From from) {
  const To to = static_cast<To>(from);
  if (static_cast<From>(to) != from) return std::nullopt;
  if ((to < To{}) != (from < From{})) return std::nullopt;
  return to;
}

constexpr std::uint64_t ceil_div(std::uint64_t a, std::uint64_t b) {
  return a / b + (a % b != 0);
}
constexpr std::uint64_t round_up(std::uint64_t a, std::uint64_t multiple) {
  return ceil_div(a, multiple) * multiple;
}

}  // namespace millrace
