// Calendar time: for what people and other programs read, never for measuring.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace millrace {

using WallTime = std::chrono::time_point<std::chrono::system_clock, std::chrono::nanoseconds>;

// May jump when somebody sets the clock.
WallTime wall_now();

// Since 1970, UTC.
inline std::int64_t unix_seconds(WallTime time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

// "2026-03-01T12:00:00.123Z".
std::string utc_text(WallTime time);

}  // namespace millrace
