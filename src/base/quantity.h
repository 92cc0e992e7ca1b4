// Sizes and times as people write them, "8G", "250ms", and back without loss.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace millrace {

// "4096", "512M", "8G", "1.5GiB": powers of 1024, whatever the spelling. kInvalidArgument naming
// the text.
Result<std::uint64_t> parse_bytes(std::string_view text);
// "512M" or "4097": what parse_bytes reads as the same number.
std::string write_bytes(std::uint64_t num_bytes);

// "250ms", "1.5s", "10m", "2h", "1d"; also "us" and "ns". At most 100 years. kInvalidArgument
// naming the text.
Result<Duration> parse_duration(std::string_view text);
// "90s" or "1m": what parse_duration reads as the same time. Not below 0.
std::string write_duration(Duration duration);

}  // namespace millrace
