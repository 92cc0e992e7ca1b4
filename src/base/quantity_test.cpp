// Sizes and times: what is read, what is refused, and that writing loses nothing.
#include "base/quantity.h"

#include <gtest/gtest.h>

#include <limits>

namespace millrace {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(QuantityTest, SizesArePowersOf1024WhateverTheSpelling) {
  EXPECT_EQ(MUST(parse_bytes("4096")), 4096u);                  // in the table
  EXPECT_EQ(MUST(parse_bytes("512M")), 512u << 20);             // in the table
  EXPECT_EQ(MUST(parse_bytes("512 mib")), 512u << 20);          // in the table
  EXPECT_EQ(MUST(parse_bytes("1.5GiB")), 3ull << 29);           // in the table
  EXPECT_EQ(MUST(parse_bytes("2TB")), std::uint64_t{2} << 40);  // in the table
  for (const char* text : {"", "M", "-1", "1X", "nan", "inf", "1e30", "8388608T", "0x10"}) {
    EXPECT_FALSE(parse_bytes(text).ok()) << text;
  }
}

TEST(QuantityTest, TimesNeedAUnit) {
  EXPECT_EQ(MUST(parse_duration("250ms")), milliseconds(250));   // in the table
  EXPECT_EQ(MUST(parse_duration("1.5 s")), milliseconds(1500));  // in the table
  EXPECT_EQ(MUST(parse_duration("2h")), seconds(7200));          // in the table
  EXPECT_EQ(MUST(parse_duration("0s")), seconds(0));             // in the table
  for (const char* text : {"", "10", "s", "-1s", "1w", "nan s", "1e30d", "101e6h"}) {
    EXPECT_FALSE(parse_duration(text).ok()) << text;
  }
  EXPECT_EQ(parse_duration("10").error().message,
            "\"10\" is no time: write a number and its unit, as 250ms, 10s, 5m");
}

TEST(QuantityTest, WritingAndReadingIsTheSame) {
  for (const std::uint64_t bytes :
       std::initializer_list<std::uint64_t>{0, 1, 1023, 1024, 1025, 524288000,
                                            std::uint64_t{3} << 40, (std::uint64_t{1} << 53) - 1}) {
    EXPECT_EQ(MUST(parse_bytes(write_bytes(bytes))), bytes);  // it was written just now
  }
  EXPECT_EQ(write_bytes(524288000), "500M");
  for (const Duration time : std::initializer_list<Duration>{
           Duration{0}, Duration{1}, milliseconds(250), seconds(60), seconds(61), seconds(86400)}) {
    EXPECT_EQ(MUST(parse_duration(write_duration(time))), time);  // it was written just now
  }
  EXPECT_EQ(write_duration(seconds(90)), "90s");
  EXPECT_EQ(write_duration(seconds(60)), "1m");
}

}  // namespace
}  // namespace millrace
