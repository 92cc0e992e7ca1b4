// Unicode facts from utf8proc, with the sort of combining marks done here because utf8proc's is
// quadratic.
#include "text/unicode.h"

#include <algorithm>
#include <vector>

#include "base/check.h"
#include "text/utf8.h"

#ifdef MILLRACE_WITH_UTF8PROC
#include <utf8proc.h>
#endif

namespace millrace {
namespace {

constexpr bool is_ascii_letter(char32_t c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
constexpr bool is_ascii_digit(char32_t c) {
  return c >= '0' && c <= '9';
}
constexpr bool is_ascii_punctuation(char32_t c) {
  return c > ' ' && c < 0x7F && !is_ascii_letter(c) && !is_ascii_digit(c);
}

// The characters of category So that are Alphabetic: letters in circles and squares.
[[maybe_unused]] constexpr bool is_alphabetic_symbol(char32_t c) {
  return (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) ||
         (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189);
}

}  // namespace

bool is_whitespace(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == ' ' || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

#ifdef MILLRACE_WITH_UTF8PROC

namespace {

utf8proc_category_t category(char32_t code_point) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(code_point));
}

utf8proc_propval_t combining_class(utf8proc_int32_t code_point) {
  return utf8proc_get_property(code_point)->combining_class;
}

// Appends the decomposition of one character.
void decompose(char32_t code_point, utf8proc_option_t options, std::vector<utf8proc_int32_t>& out) {
  constexpr utf8proc_ssize_t kLongestDecomposition = 18;  // U+FDFA in NFKD, Unicode 15.
  const std::size_t num_before = out.size();
  out.resize(num_before + kLongestDecomposition);
  int boundary_class = 0;
  const utf8proc_ssize_t n =
      utf8proc_decompose_char(static_cast<utf8proc_int32_t>(code_point), out.data() + num_before,
                              kLongestDecomposition, options, &boundary_class);
  CHECK(n >= 0);
  CHECK(n <= kLongestDecomposition);
  out.resize(num_before + static_cast<std::size_t>(n));
}

// The canonical ordering algorithm: every run of marks sorted by class, equal classes in place.
void sort_marks(std::vector<utf8proc_int32_t>& code_points) {
  auto begin = code_points.begin();
  while (begin != code_points.end()) {
    if (combining_class(*begin) == 0) {
      ++begin;
      continue;
    }
    const auto end = std::find_if(begin, code_points.end(),
                                  [](utf8proc_int32_t c) { return combining_class(c) == 0; });
    std::stable_sort(begin, end, [](utf8proc_int32_t a, utf8proc_int32_t b) {
      return combining_class(a) < combining_class(b);
    });
    begin = end;
  }
}

}  // namespace

Status require_unicode_tables(const std::string&) {
  return Ok{};
}

bool is_letter(char32_t c) {
  if (c < 0x80) return is_ascii_letter(c);
  const utf8proc_category_t kind = category(c);
  return kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_LO;
}

bool is_numeric(char32_t c) {
  if (c < 0x80) return is_ascii_digit(c);
  const utf8proc_category_t kind = category(c);
  return kind == UTF8PROC_CATEGORY_ND || kind == UTF8PROC_CATEGORY_NL ||
         kind == UTF8PROC_CATEGORY_NO;
}

bool is_punctuation(char32_t c) {
  if (c < 0x80) return is_ascii_punctuation(c);
  const utf8proc_category_t kind = category(c);
  return kind >= UTF8PROC_CATEGORY_PC && kind <= UTF8PROC_CATEGORY_PO;
}

bool is_word(char32_t c) {
  if (c < 0x80) return is_ascii_letter(c) || is_ascii_digit(c) || c == '_';
  const utf8proc_category_t kind = category(c);
  return (kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_ND) ||
         kind == UTF8PROC_CATEGORY_PC || kind == UTF8PROC_CATEGORY_NL || c == 0x200C ||
         c == 0x200D || is_alphabetic_symbol(c);
}

bool is_mark(char32_t c) {
  if (c < 0x80) return false;
  const utf8proc_category_t kind = category(c);
  return kind >= UTF8PROC_CATEGORY_MN && kind <= UTF8PROC_CATEGORY_ME;
}

bool is_nonspacing_mark(char32_t c) {
  return c >= 0x80 && category(c) == UTF8PROC_CATEGORY_MN;
}

bool is_control(char32_t c) {
  if (c == '\t' || c == '\n' || c == '\r') return false;
  if (c < 0x80) return c < 0x20 || c == 0x7F;
  const utf8proc_category_t kind = category(c);
  return (kind >= UTF8PROC_CATEGORY_CC && kind <= UTF8PROC_CATEGORY_CO) ||
         kind == UTF8PROC_CATEGORY_CN;
}

std::size_t grapheme_bytes(std::string_view text) {
  Utf8Character last = decode_utf8(text);
  std::size_t num_bytes = last.num_bytes;
  utf8proc_int32_t state = 0;
  while (num_bytes < text.size()) {
    const Utf8Character next = decode_utf8(text.substr(num_bytes));
    const bool ends =
        utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(last.code_point),
                                         static_cast<utf8proc_int32_t>(next.code_point), &state);
    if (ends) break;
    num_bytes += next.num_bytes;
    last = next;
  }
  return num_bytes;
}

void append_lowercase(char32_t c, std::string& out) {
  if (c == 0x130) {  // The one character whose lower case is two: i and a combining dot.
    out.append("i\xCC\x87");
    return;
  }
  append_utf8(static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))), out);
}

std::string to_unicode_form(std::string_view text, UnicodeForm form) {
  const bool compose = form == UnicodeForm::kNfc || form == UnicodeForm::kNfkc;
  const bool compatible = form == UnicodeForm::kNfkc || form == UnicodeForm::kNfkd;
  // Every character below U+0300 is its own NFC, below U+0080 its own in all forms.
  const std::uint8_t first_unsafe_lead = form == UnicodeForm::kNfc ? 0xCC : 0x80;
  if (std::all_of(text.begin(), text.end(), [first_unsafe_lead](char c) {
        const auto byte = static_cast<std::uint8_t>(c);
        return byte < first_unsafe_lead;
      })) {
    return std::string(text);
  }
  const auto options = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE |
                                                      (compatible ? UTF8PROC_COMPAT : 0));
  std::vector<utf8proc_int32_t> code_points;
  code_points.reserve(text.size());
  while (!text.empty()) {
    const Utf8Character character = decode_utf8(text);
    decompose(character.code_point, options, code_points);
    text.remove_prefix(character.num_bytes);
  }
  sort_marks(code_points);
  auto num_code_points = static_cast<utf8proc_ssize_t>(code_points.size());
  if (compose) {
    num_code_points = utf8proc_normalize_utf32(
        code_points.data(), num_code_points,
        static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
    CHECK(num_code_points >= 0);
  }
  std::string out;
  out.reserve(static_cast<std::size_t>(num_code_points));
  for (utf8proc_ssize_t i = 0; i < num_code_points; ++i) {
    append_utf8(static_cast<char32_t>(code_points[static_cast<std::size_t>(i)]), out);
  }
  return out;
}

#else

Status require_unicode_tables(const std::string& what) {
  return Error{ErrorCode::kUnsupported,
               what + " needs Unicode tables, and this build was made without libutf8proc"};
}

bool is_letter(char32_t c) {
  return is_ascii_letter(c);
}
bool is_numeric(char32_t c) {
  return is_ascii_digit(c);
}
bool is_punctuation(char32_t c) {
  return is_ascii_punctuation(c);
}
bool is_word(char32_t c) {
  return is_ascii_letter(c) || is_ascii_digit(c) || c == '_';
}
bool is_mark(char32_t) {
  return false;
}
bool is_nonspacing_mark(char32_t) {
  return false;
}
bool is_control(char32_t c) {
  return (c < 0x20 || c == 0x7F) && c != '\t' && c != '\n' && c != '\r';
}

std::size_t grapheme_bytes(std::string_view text) {
  return decode_utf8(text).num_bytes;
}

void append_lowercase(char32_t c, std::string& out) {
  append_utf8(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c, out);
}

std::string to_unicode_form(std::string_view text, UnicodeForm) {
  return std::string(text);
}

#endif

}  // namespace millrace
