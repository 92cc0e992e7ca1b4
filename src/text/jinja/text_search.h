// Finding and cutting text, in linear time whatever the text.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "text/jinja/sandbox.h"

namespace millrace::jinja {

// The offset of the first or last occurrence; npos when there is none.
std::size_t find_text(std::string_view text, std::string_view wanted);
std::size_t find_last_text(std::string_view text, std::string_view wanted);

// Pieces are views into `text`. Without a limit the whole text is cut.
using Pieces = std::vector<std::string_view>;
inline constexpr std::int64_t kNoLimit = -1;
Result<Pieces> split_at(Sandbox& sandbox, std::string_view text, std::string_view separator,
                        std::int64_t num_cuts_max);
Result<Pieces> split_at_last(Sandbox& sandbox, std::string_view text, std::string_view separator,
                             std::int64_t num_cuts_max);
Result<Pieces> split_at_space(Sandbox& sandbox, std::string_view text, std::int64_t num_cuts_max);
Result<Pieces> split_at_last_space(Sandbox& sandbox, std::string_view text,
                                   std::int64_t num_cuts_max);
enum class LineEnds : std::uint8_t { kDropped, kKept };
Result<Pieces> split_lines(Sandbox& sandbox, std::string_view text, LineEnds ends);

// str.replace; an empty `from` stands between all characters.
Result<std::string> replace_text(Sandbox& sandbox, std::string_view text, std::string_view from,
                                 std::string_view to, std::int64_t num_times_max);

enum class Side : std::uint8_t { kLeft, kRight, kBoth };
std::string_view strip_space(std::string_view text, Side side);
// Takes away any of the characters of `set`.
std::string_view strip_characters(std::string_view text, std::string_view set, Side side);

// & < > " ' as HTML has them.
// Pays for looking for `wanted` in all of `text`, once.
Status spend_search(Sandbox& sandbox, std::string_view text, std::string_view wanted);

Result<std::string> escape_html(Sandbox& sandbox, std::string_view text);

}  // namespace millrace::jinja
