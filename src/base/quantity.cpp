// Reading and writing sizes and times.
#include "base/quantity.h"

#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <utility>

namespace millrace {
namespace {

struct Amount {
  double number = 0;
  std::string unit;  // capitals, without spaces
};

// False when it does not begin with a number of at least 0.
bool split_amount(std::string_view text, Amount& amount) {
  const char* const end = text.data() + text.size();
  const auto [rest, failed] = std::from_chars(text.data(), end, amount.number);
  if (failed != std::errc() || !(amount.number >= 0.0)) return false;
  for (const char* c = rest; c != end; ++c) {
    if (*c != ' ') {
      amount.unit += static_cast<char>(std::toupper(static_cast<unsigned char>(*c)));
    }
  }
  return true;
}

struct TimeUnit {
  std::string_view name;
  std::string_view upper;
  std::int64_t nanoseconds;
};

// Longest first, for writing.
constexpr std::array<TimeUnit, 7> kTimeUnits = {{
    {"d", "D", 86'400'000'000'000},
    {"h", "H", 3'600'000'000'000},
    {"m", "M", 60'000'000'000},
    {"s", "S", 1'000'000'000},
    {"ms", "MS", 1'000'000},
    {"us", "US", 1'000},
    {"ns", "NS", 1},
}};

}  // namespace

Result<std::uint64_t> parse_bytes(std::string_view text) {
  const Error wrong{ErrorCode::kInvalidArgument,
                    "\"" + std::string(text) + "\" is no size: write bytes, or 512M, 8G, 1.5GiB"};
  Amount amount;
  if (!split_amount(text, amount)) return wrong;
  static constexpr std::array<std::pair<std::string_view, int>, 14> kUnits = {{
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
      {"TB", 40},
      {"TIB", 40},
  }};
  for (const auto& [name, shift] : kUnits) {
    if (amount.unit != name) continue;
    const double bytes = std::ldexp(amount.number, shift);
    if (!(bytes < 0x1.0p63)) return wrong;
    return static_cast<std::uint64_t>(bytes);
  }
  return wrong;
}

std::string write_bytes(std::uint64_t num_bytes) {
  static constexpr std::array<std::pair<char, int>, 4> kUnits = {
      {{'T', 40}, {'G', 30}, {'M', 20}, {'K', 10}}};
  for (const auto& [name, shift] : kUnits) {
    const std::uint64_t unit = std::uint64_t{1} << shift;
    if (num_bytes >= unit && num_bytes % unit == 0) return std::to_string(num_bytes / unit) + name;
  }
  return std::to_string(num_bytes);
}

Result<Duration> parse_duration(std::string_view text) {
  const Error wrong{
      ErrorCode::kInvalidArgument,
      "\"" + std::string(text) + "\" is no time: write a number and its unit, as 250ms, 10s, 5m"};
  Amount amount;
  if (!split_amount(text, amount)) return wrong;
  for (const TimeUnit& unit : kTimeUnits) {
    if (amount.unit != unit.upper) continue;
    constexpr double kNanosecondsMax = 100.0 * 365 * 86'400e9;
    const double nanoseconds = std::round(amount.number * static_cast<double>(unit.nanoseconds));
    if (!(nanoseconds <= kNanosecondsMax)) return wrong;
    return Duration{static_cast<Duration::rep>(nanoseconds)};
  }
  return wrong;
}

std::string write_duration(Duration duration) {
  CHECK(duration.count() >= 0);
  for (const TimeUnit& unit : kTimeUnits) {
    if (duration.count() != 0 && duration.count() % unit.nanoseconds == 0) {
      return std::to_string(duration.count() / unit.nanoseconds) + std::string(unit.name);
    }
  }
  return "0s";
}

}  // namespace millrace
