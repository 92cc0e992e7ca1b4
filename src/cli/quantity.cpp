// Showing sizes to people, rounded to three digits.
#include "cli/quantity.h"

#include <array>
#include <cstdio>

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
