// Names of calls.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/random.h"

namespace millrace {

// Letters and digits that differ for every seed and call; templates of Mistral insist on nine.
inline std::string call_digits(std::uint64_t seed, std::size_t call, std::size_t num_digits) {
  constexpr std::string_view kDigits =
      "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  std::string digits;
  for (std::size_t i = 0; i < num_digits; ++i) {
    const double chance = uniform01({seed, call, i});
    digits += kDigits[static_cast<std::size_t>(chance * static_cast<double>(kDigits.size()))];
  }
  return digits;
}

inline std::string make_call_id(std::uint64_t seed, std::size_t call) {
  return "call_" + call_digits(seed, call, 20);
}

}  // namespace millrace
