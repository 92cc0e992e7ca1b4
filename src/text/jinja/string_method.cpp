// Methods of str that give the text in another form.
#include <algorithm>
#include <array>

#include "text/jinja/arguments.h"
#include "text/jinja/brace_format.h"
#include "text/jinja/compare.h"
#include "text/jinja/iterate.h"
#include "text/jinja/method.h"
#include "text/jinja/repr.h"
#include "text/jinja/text_search.h"
#include "text/jinja/unicode.h"
#include "text/utf8.h"

namespace millrace::jinja {
namespace {

template <LetterCase kCase>
Result<Value> cased(Sandbox& sandbox, const Value& self, const Arguments& arguments) {
  TRY(bind(arguments, {"a change of case", {}, 0}));
  TRY(sandbox.spend_items(self.text().size()));
  return sandbox.string_like(self, TRY(change_case(self.text(), kCase)));
}

template <Side kSide>
Result<Value> stripped(Sandbox& sandbox, const Value& self, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"strip", {""}, 0}));
  TRY(sandbox.spend_bytes(2 * self.text().size()));
  if (bound[0].is_missing() || bound[0].is_none()) {
    return sandbox.string_like(self, std::string(strip_space(self.text(), kSide)));
  }
  const std::string_view set = TRY(to_text(bound[0], "strip"));
  TRY(sandbox.spend_items(self.text().size() + 4 * set.size()));
  return sandbox.string_like(self, std::string(strip_characters(self.text(), set, kSide)));
}

Result<Value> pieces_to_list(Sandbox& sandbox, const Value& self, const Pieces& pieces) {
  std::vector<Value> items;
  items.reserve(pieces.size());
  for (const std::string_view piece : pieces) {
    items.push_back(TRY(sandbox.string_like(self, std::string(piece))));
  }
  return sandbox.list(std::move(items));
}

template <Side kSide>
Result<Value> split(Sandbox& sandbox, const Value& self, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"split", {"sep", "maxsplit"}, 0}));
  TRY(sandbox.spend_bytes(self.text().size()));
  std::int64_t limit = kNoLimit;
  if (!bound[1].is_missing()) limit = TRY(to_index(bound[1]));
  const bool from_left = kSide == Side::kLeft;
  if (bound[0].is_missing() || bound[0].is_none()) {
    TRY(sandbox.spend_items(self.text().size()));
    const Pieces pieces = TRY(from_left ? split_at_space(sandbox, self.text(), limit)
                                        : split_at_last_space(sandbox, self.text(), limit));
    return pieces_to_list(sandbox, self, pieces);
  }
  const std::string_view separator = TRY(to_text(bound[0], "split"));
  if (separator.empty()) return template_error("empty separator");
  const Pieces pieces = TRY(from_left ? split_at(sandbox, self.text(), separator, limit)
                                      : split_at_last(sandbox, self.text(), separator, limit));
  return pieces_to_list(sandbox, self, pieces);
}

Result<Value> split_into_lines(Sandbox& sandbox, const Value& self, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"splitlines", {"keepends"}, 0}));
  TRY(sandbox.spend_items(self.text().size()));
  const LineEnds ends = is_true(bound[0]) ? LineEnds::kKept : LineEnds::kDropped;
  return pieces_to_list(sandbox, self, TRY(split_lines(sandbox, self.text(), ends)));
}

// What Markup's methods do to the strings that they are given.
Result<std::string> escaped(Sandbox& sandbox, const Value& value) {
  if (value.is_string() && value.string().is_markup) return value.text();
  return escape_html(sandbox, TRY(to_str(sandbox, value)));
}

Result<Value> join(Sandbox& sandbox, const Value& self, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"join", {""}, 1}));
  const IteratorPtr items = TRY(iterate(sandbox, bound[0]));
  std::string out;
  for (std::size_t i = 0; const std::optional<Value> item = TRY(items->next(sandbox)); ++i) {
    if (i > 0) TRY(sandbox.append(out, self.text()));
    if (self.string().is_markup) {
      TRY(sandbox.append(out, TRY(escaped(sandbox, *item))));
    } else if (item->is_string()) {
      TRY(sandbox.append(out, item->text()));
    } else {
      return template_error("sequence item " + std::to_string(i) + ": expected str instance, " +
                            std::string(type_name(*item)) + " found");
    }
  }
  return sandbox.string_like(self, std::move(out));
}

struct Padding {
  std::size_t num_left = 0;
  std::size_t num_right = 0;
};

Result<Value> pad(Sandbox& sandbox, const Value& self, std::string_view fill, Padding padding) {
  std::string out;
  TRY(sandbox.append_repeated(out, fill, padding.num_left));
  TRY(sandbox.append(out, self.text()));
  TRY(sandbox.append_repeated(out, fill, padding.num_right));
  return sandbox.string_like(self, std::move(out));
}

// How many characters are missing to a width.
Result<std::size_t> num_missing(const Value& self, const Value& width) {
  const auto num_present = static_cast<std::int64_t>(self.string().num_code_points);
  const std::int64_t wanted = TRY(to_index(width));
  return static_cast<std::size_t>(wanted > num_present ? wanted - num_present : 0);
}

template <Side kTextSide>
Result<Value> justified(Sandbox& sandbox, const Value& self, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"justify", {"", ""}, 1}));
  const std::string_view fill = bound[1].is_missing() ? " " : TRY(to_text(bound[1], "justify"));
  if (count_code_points(fill) != 1) {
    return template_error("the fill character must be exactly one character long");
  }
  const std::size_t missing = TRY(num_missing(self, bound[0]));
  if (kTextSide == Side::kLeft) return pad(sandbox, self, fill, {0, missing});
  if (kTextSide == Side::kRight) return pad(sandbox, self, fill, {missing, 0});
  // An odd place goes to the left when the width is odd, as Python has it.
  const auto width = static_cast<std::size_t>(TRY(to_index(bound[0])));
  const std::size_t left = missing / 2 + (missing & width & 1);
  return pad(sandbox, self, fill, {left, missing - left});
}

Result<Value> zero_filled(Sandbox& sandbox, const Value& self, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"zfill", {""}, 1}));
  const std::size_t missing = TRY(num_missing(self, bound[0]));
  const std::string& text = self.text();
  const bool has_sign = !text.empty() && (text[0] == '+' || text[0] == '-');
  std::string out = has_sign ? text.substr(0, 1) : "";
  TRY(sandbox.append_repeated(out, "0", missing));
  TRY(sandbox.append(out, std::string_view(text).substr(has_sign ? 1 : 0)));
  return sandbox.string_like(self, std::move(out));
}

Result<Value> tabs_expanded(Sandbox& sandbox, const Value& self, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"expandtabs", {"tabsize"}, 0}));
  const std::int64_t tab_size = bound[0].is_missing() ? 8 : TRY(to_index(bound[0]));
  std::string out;
  std::int64_t column = 0;
  for (std::string_view rest = self.text(); !rest.empty();) {
    const Utf8Character character = decode_utf8(rest);
    if (character.code_point == '\t') {
      const std::int64_t num_spaces = tab_size > 0 ? tab_size - column % tab_size : 0;
      TRY(sandbox.append_repeated(out, " ", static_cast<std::uint64_t>(num_spaces)));
      column += num_spaces;
    } else {
      const bool is_end = character.code_point == '\n' || character.code_point == '\r';
      column = is_end ? 0 : column + 1;
      out += rest.substr(0, character.num_bytes);
    }
    rest.remove_prefix(character.num_bytes);
  }
  TRY(sandbox.spend_items(out.size()));
  return sandbox.string_like(self, std::move(out));
}

Result<Value> replaced(Sandbox& sandbox, const Value& self, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"replace", {"", "", ""}, 2}));
  const std::string_view from = TRY(to_text(bound[0], "replace"));
  TRY(to_text(bound[1], "replace"));
  const std::int64_t limit = bound[2].is_missing() ? kNoLimit : TRY(to_index(bound[2]));
  const std::string to =
      self.string().is_markup ? TRY(escaped(sandbox, bound[1])) : bound[1].text();
  return sandbox.string_like(self, TRY(replace_text(sandbox, self.text(), from, to, limit)));
}

template <Side kSide>
Result<Value> affix_removed(Sandbox& sandbox, const Value& self, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"removeprefix", {""}, 1}));
  const std::string_view affix = TRY(to_text(bound[0], "removeprefix"));
  std::string_view text = self.text();
  if (kSide == Side::kLeft && text.starts_with(affix)) text.remove_prefix(affix.size());
  if (kSide == Side::kRight && text.ends_with(affix)) text.remove_suffix(affix.size());
  return sandbox.string_like(self, std::string(text));
}

template <Side kSide>
Result<Value> partitioned(Sandbox& sandbox, const Value& self, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"partition", {""}, 1}));
  const std::string_view separator = TRY(to_text(bound[0], "partition"));
  if (separator.empty()) return template_error("empty separator");
  const std::string_view text = self.text();
  TRY(spend_search(sandbox, text, separator));
  const bool from_left = kSide == Side::kLeft;
  const std::size_t at = from_left ? find_text(text, separator) : find_last_text(text, separator);
  std::array<std::string_view, 3> parts = {from_left ? text : "", "", from_left ? "" : text};
  if (at != std::string_view::npos) {
    parts = {text.substr(0, at), separator, text.substr(at + separator.size())};
  }
  std::vector<Value> items;
  for (const std::string_view part : parts) {
    items.push_back(TRY(sandbox.string_like(self, std::string(part))));
  }
  return sandbox.tuple(std::move(items));
}

constexpr std::array<Method, 25> kMethods = {{
    {"strip", stripped<Side::kBoth>},
    {"split", split<Side::kLeft>},
    {"lstrip", stripped<Side::kLeft>},
    {"rstrip", stripped<Side::kRight>},
    {"replace", replaced},
    {"format", format_braces},
    {"format_map", format_braces_map},
    {"join", join},
    {"upper", cased<LetterCase::kUpper>},
    {"lower", cased<LetterCase::kLower>},
    {"title", cased<LetterCase::kTitle>},
    {"capitalize", cased<LetterCase::kCapitalize>},
    {"casefold", cased<LetterCase::kFold>},
    {"swapcase", cased<LetterCase::kSwap>},
    {"rsplit", split<Side::kRight>},
    {"splitlines", split_into_lines},
    {"ljust", justified<Side::kLeft>},
    {"rjust", justified<Side::kRight>},
    {"center", justified<Side::kBoth>},
    {"zfill", zero_filled},
    {"expandtabs", tabs_expanded},
    {"removeprefix", affix_removed<Side::kLeft>},
    {"removesuffix", affix_removed<Side::kRight>},
    {"partition", partitioned<Side::kLeft>},
    {"rpartition", partitioned<Side::kRight>},
}};

}  // namespace

const Method* find_string_method(std::string_view name) {
  const auto* found = std::find_if(kMethods.begin(), kMethods.end(),
                                   [&](const Method& method) { return method.name == name; });
  return found == kMethods.end() ? nullptr : found;
}

}  // namespace millrace::jinja
