// A binary search in the table of ranges.
#include "text/unicode_scripts.h"

#include <algorithm>
#include <iterator>

namespace millrace {
namespace {

struct ScriptRange {
  char32_t first;
  char32_t last;
  std::uint16_t number;
};

// clang-format off
constexpr ScriptRange kScripts[] = {
#include "text/unicode_scripts.inc"
};
// clang-format on

}  // namespace

std::uint16_t script_number(char32_t code_point) {
  const auto* found = std::lower_bound(
      std::begin(kScripts), std::end(kScripts), code_point,
      [](const ScriptRange& range, char32_t wanted) { return range.last < wanted; });
  return found != std::end(kScripts) && found->first <= code_point ? found->number
                                                                   : std::uint16_t{0};
}

}  // namespace millrace
