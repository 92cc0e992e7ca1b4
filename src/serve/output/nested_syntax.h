// Calls whose arguments are elements in elements, as MiniMax M3 writes them behind a mark each.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "serve/output/call_syntax.h"

namespace millrace {

inline constexpr std::string_view kNestedMark = "]<]minimax[>[";

// One call at the front of a text that begins behind `<invoke name="`; `num_bytes` is its length.
// Elements "item" make an array, others an object; texts are strings where the tool's schema says
// so, else JSON where they are JSON. Nothing when it is no call or is not all there.
std::optional<ParsedCall> parse_nested_call(std::string_view text, const OrderedJson& tools,
                                            std::size_t& num_bytes);

}  // namespace millrace
