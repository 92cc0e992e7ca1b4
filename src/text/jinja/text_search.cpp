// Searching with the C library's two-way algorithm, splitting, stripping.
#include "text/jinja/text_search.h"

#include <algorithm>
#include <cstring>

#include "text/jinja/unicode.h"
#include "text/utf8.h"

namespace millrace::jinja {
namespace {

bool is_space_at(std::string_view text) {
  return is_space(decode_utf8(text).code_point);
}

std::string_view html_entity(char c) {
  switch (c) {
    case '&':
      return "&amp;";
    case '<':
      return "&lt;";
    case '>':
      return "&gt;";
    case '\'':
      return "&#39;";
    default:
      return "&#34;";
  }
}

Status add_piece(Sandbox& sandbox, Pieces& pieces, std::string_view piece) {
  TRY(sandbox.spend(1));
  if (pieces.size() == pieces.capacity()) {
    TRY(sandbox.reserve(2 * pieces.size() * sizeof(std::string_view)));
  }
  pieces.push_back(piece);
  return Ok{};
}

}  // namespace

// Texts in which the wanted one almost occurs everywhere cost the C library up to m / 12 ns a byte
// for m bytes that are wanted; beyond 256 it takes another way, with 2 ns a byte at most.
Status spend_search(Sandbox& sandbox, std::string_view text, std::string_view wanted) {
  constexpr std::size_t kLongBytes = 256;
  const std::size_t factor = wanted.size() > kLongBytes ? 4 : 1 + wanted.size() / 8;
  return sandbox.spend_bytes(text.size() * factor);
}

std::size_t find_text(std::string_view text, std::string_view wanted) {
  if (wanted.empty()) return 0;
  // std::string_view::find takes quadratic time on repetitive text, memmem does not.
  const void* found = memmem(text.data(), text.size(), wanted.data(), wanted.size());
  if (found == nullptr) return std::string_view::npos;
  return static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
}

std::size_t find_last_text(std::string_view text, std::string_view wanted) {
  if (wanted.size() > text.size()) return std::string_view::npos;
  if (wanted.size() <= 1) return wanted.empty() ? text.size() : text.rfind(wanted[0]);
  // The first occurrence in the mirrored text.
  const std::string mirrored_text(text.rbegin(), text.rend());
  const std::string mirrored_wanted(wanted.rbegin(), wanted.rend());
  const std::size_t found = find_text(mirrored_text, mirrored_wanted);
  return found == std::string_view::npos ? found : text.size() - found - wanted.size();
}

Result<Pieces> split_at(Sandbox& sandbox, std::string_view text, std::string_view separator,
                        std::int64_t num_cuts_max) {
  TRY(spend_search(sandbox, text, separator));
  Pieces pieces;
  while (num_cuts_max < 0 || static_cast<std::int64_t>(pieces.size()) < num_cuts_max) {
    const std::size_t at = find_text(text, separator);
    if (at == std::string_view::npos) break;
    TRY(add_piece(sandbox, pieces, text.substr(0, at)));
    text.remove_prefix(at + separator.size());
  }
  TRY(add_piece(sandbox, pieces, text));
  return pieces;
}

Result<Pieces> split_at_last(Sandbox& sandbox, std::string_view text, std::string_view separator,
                             std::int64_t num_cuts_max) {
  // Mirrored once, not once for each cut.
  const std::string mirrored(text.rbegin(), text.rend());
  const std::string mirrored_separator(separator.rbegin(), separator.rend());
  Pieces pieces;
  std::size_t end = text.size();
  const Pieces cut = TRY(split_at(sandbox, mirrored, mirrored_separator, num_cuts_max));
  for (const std::string_view piece : cut) {
    TRY(add_piece(sandbox, pieces, text.substr(end - piece.size(), piece.size())));
    end -= std::min(end, piece.size() + separator.size());
  }
  std::reverse(pieces.begin(), pieces.end());
  return pieces;
}

Result<Pieces> split_at_space(Sandbox& sandbox, std::string_view text, std::int64_t num_cuts_max) {
  Pieces pieces;
  text = strip_space_left(text);
  while (!text.empty()) {
    if (num_cuts_max >= 0 && static_cast<std::int64_t>(pieces.size()) >= num_cuts_max) {
      TRY(add_piece(sandbox, pieces, text));
      break;
    }
    std::size_t end = 0;
    while (end < text.size() && !is_space_at(text.substr(end))) {
      end += decode_utf8(text.substr(end)).num_bytes;
    }
    TRY(add_piece(sandbox, pieces, text.substr(0, end)));
    text = strip_space_left(text.substr(end));
  }
  return pieces;
}

Result<Pieces> split_at_last_space(Sandbox& sandbox, std::string_view text,
                                   std::int64_t num_cuts_max) {
  Pieces pieces;
  text = strip_space_right(text);
  while (!text.empty()) {
    if (num_cuts_max >= 0 && static_cast<std::int64_t>(pieces.size()) >= num_cuts_max) {
      TRY(add_piece(sandbox, pieces, text));
      break;
    }
    std::size_t start = text.size();
    while (start > 0) {
      const std::size_t previous = previous_code_point(text, start);
      if (is_space_at(text.substr(previous))) break;
      start = previous;
    }
    TRY(add_piece(sandbox, pieces, text.substr(start)));
    text = strip_space_right(text.substr(0, start));
  }
  std::reverse(pieces.begin(), pieces.end());
  return pieces;
}

Result<Pieces> split_lines(Sandbox& sandbox, std::string_view text, LineEnds ends) {
  Pieces lines;
  std::size_t start = 0;
  std::size_t at = 0;
  while (at < text.size()) {
    const Utf8Character character = decode_utf8(text.substr(at));
    std::size_t after = at + character.num_bytes;
    if (!is_line_break(character.code_point)) {
      at = after;
      continue;
    }
    if (character.code_point == '\r' && after < text.size() && text[after] == '\n') ++after;
    TRY(add_piece(sandbox, lines,
                  text.substr(start, (ends == LineEnds::kKept ? after : at) - start)));
    start = at = after;
  }
  if (start < text.size()) TRY(add_piece(sandbox, lines, text.substr(start)));
  return lines;
}

Result<std::string> replace_text(Sandbox& sandbox, std::string_view text, std::string_view from,
                                 std::string_view to, std::int64_t num_times_max) {
  TRY(spend_search(sandbox, text, from));
  std::string out;
  std::int64_t num_times = 0;
  std::size_t at = 0;
  while (num_times_max < 0 || num_times < num_times_max) {
    const std::size_t found = from.empty() ? 0 : find_text(text.substr(at), from);
    if (found == std::string_view::npos) break;
    TRY(sandbox.append(out, text.substr(at, found)));
    TRY(sandbox.append(out, to));
    ++num_times;
    at += found + from.size();
    if (!from.empty()) continue;
    if (at >= text.size()) break;
    const std::size_t num_bytes = decode_utf8(text.substr(at)).num_bytes;
    out += text.substr(at, num_bytes);
    at += num_bytes;
  }
  TRY(sandbox.append(out, text.substr(std::min(at, text.size()))));
  return out;
}

std::string_view strip_space(std::string_view text, Side side) {
  if (side != Side::kRight) text = strip_space_left(text);
  return side == Side::kLeft ? text : strip_space_right(text);
}

std::string_view strip_characters(std::string_view text, std::string_view set, Side side) {
  std::vector<char32_t> characters;
  while (!set.empty()) {
    const Utf8Character character = decode_utf8(set);
    characters.push_back(character.code_point);
    set.remove_prefix(character.num_bytes);
  }
  std::sort(characters.begin(), characters.end());
  const auto is_in_set = [&](std::string_view at) {
    return std::binary_search(characters.begin(), characters.end(), decode_utf8(at).code_point);
  };
  while (side != Side::kRight && !text.empty() && is_in_set(text)) {
    text.remove_prefix(decode_utf8(text).num_bytes);
  }
  while (side != Side::kLeft && !text.empty()) {
    const std::size_t last = previous_code_point(text, text.size());
    if (!is_in_set(text.substr(last))) break;
    text = text.substr(0, last);
  }
  return text;
}

Result<std::string> escape_html(Sandbox& sandbox, std::string_view text) {
  std::string out;
  TRY(sandbox.spend_bytes(2 * text.size()));
  while (!text.empty()) {
    const std::size_t plain = std::min(text.find_first_of("&<>'\""), text.size());
    TRY(sandbox.append(out, text.substr(0, plain)));
    text.remove_prefix(plain);
    if (text.empty()) break;
    TRY(sandbox.append(out, html_entity(text[0])));
    text.remove_prefix(1);
  }
  return out;
}

}  // namespace millrace::jinja
