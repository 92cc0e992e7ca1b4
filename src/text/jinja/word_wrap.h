// Breaking text into lines of a width.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/sandbox.h"

namespace millrace::jinja {

enum class LongWords : std::uint8_t { kKept, kBroken };
enum class Hyphens : std::uint8_t { kKept, kBroken };

struct WrapStyle {
  std::size_t width = 79;  // In code points, at least 1.
  LongWords long_words = LongWords::kBroken;
  Hyphens hyphens = Hyphens::kBroken;
};

// The lines that one line becomes, as textwrap.wrap of Python gives them when it leaves white space
// as it is.
Result<std::vector<std::string>> wrap_line(Sandbox& sandbox, std::string_view line,
                                           const WrapStyle& style);

}  // namespace millrace::jinja
