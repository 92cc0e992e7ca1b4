// Reading the calendar, and writing it in UTC.
#include "base/wall_clock.h"

#include <time.h>

#include <array>
#include <cstdio>

namespace millrace {

WallTime wall_now() {
  return std::chrono::system_clock::now();
}

std::string utc_text(WallTime time) {
  const std::time_t whole = std::chrono::system_clock::to_time_t(
      std::chrono::time_point_cast<std::chrono::system_clock::duration>(
          std::chrono::floor<std::chrono::seconds>(time)));
  const auto rest = time - std::chrono::floor<std::chrono::seconds>(time);
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(rest).count();
  std::tm parts = {};
  ::gmtime_r(&whole, &parts);
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
                parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min,
                parts.tm_sec, static_cast<int>(milliseconds));
  return text.data();
}

}  // namespace millrace
