// Reading and showing sizes.
#include "cli/quantity.h"

#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <utility>

namespace millrace {
namespace {

std::string fixed(double value, const char* unit) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(),
                value >= 100.0  ? "%.0f %s"
                : value >= 10.0 ? "%.1f %s"
                                : "%.2f %s",
                value, unit);
  return text.data();
}

}  // namespace

Result<std::uint64_t> parse_bytes(std::string_view text) {
  const Error wrong{ErrorCode::kInvalidArgument,
                    "\"" + std::string(text) + "\" is no size: write bytes, or 512M, 8G, 1.5GiB"};
  double number = 0.0;
  const auto [rest, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc() || !(number >= 0.0)) return wrong;
  std::string unit;
  for (const char* c = rest; c != text.data() + text.size(); ++c) {
    if (*c != ' ') unit += static_cast<char>(std::toupper(static_cast<unsigned char>(*c)));
  }
  static constexpr std::array<std::pair<std::string_view, int>, 13> kUnits = {{
      {"", 0},
      {"B", 0},
      {"K", 10},
      {"KB", 10},
      {"KIB", 10},
      {"M", 20},
      {"MB", 20},
      {"MIB", 20},
      {"G", 30},
      {"GB", 30},
      {"GIB", 30},
      {"T", 40},
      {"TIB", 40},
  }};
  for (const auto& [name, shift] : kUnits) {
    if (unit != name) continue;
    const double bytes = std::ldexp(number, shift);
    if (bytes >= 0x1.0p63) return wrong;
    return static_cast<std::uint64_t>(bytes);
  }
  return wrong;
}

std::string show_bytes(std::uint64_t num_bytes) {
  static constexpr std::array<const char*, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  if (num_bytes < 1024) return std::to_string(num_bytes) + " B";
  double value = static_cast<double>(num_bytes);
  std::size_t unit = 0;
  while (value >= 1024.0 && unit + 1 < kUnits.size()) {
    value /= 1024.0;
    ++unit;
  }
  return fixed(value, kUnits[unit]);
}

std::string show_count(std::uint64_t count) {
  if (count < 1000) return std::to_string(count);
  if (count < 1'000'000) return fixed(static_cast<double>(count) / 1e3, "K");
  if (count < 1'000'000'000) return fixed(static_cast<double>(count) / 1e6, "M");
  return fixed(static_cast<double>(count) / 1e9, "G");
}

}  // namespace millrace
