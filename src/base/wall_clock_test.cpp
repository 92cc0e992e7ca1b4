// Calendar time as text.
#include "base/wall_clock.h"

#include <gtest/gtest.h>

namespace millrace {
namespace {

TEST(WallClockTest, TextIsUtcWithMilliseconds) {
  const WallTime leap_day{std::chrono::seconds(1709208000) + std::chrono::milliseconds(7)};
  EXPECT_EQ(utc_text(leap_day), "2024-02-29T12:00:00.007Z");
  EXPECT_EQ(utc_text(WallTime{}), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(utc_text(WallTime{std::chrono::milliseconds(-1)}), "1969-12-31T23:59:59.999Z");
  EXPECT_EQ(unix_seconds(leap_day), 1709208000);
  EXPECT_GT(unix_seconds(wall_now()), 1709208000);
}

}  // namespace
}  // namespace millrace
