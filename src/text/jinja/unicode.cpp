// Letter cases and classes from utf8proc, with what Python has beyond its simple mappings.
#include "text/jinja/unicode.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <vector>

#include "text/utf8.h"

#ifdef MILLRACE_WITH_UTF8PROC
#include <utf8proc.h>
#endif

namespace millrace::jinja {
namespace {

struct CaseExpansion {
  char32_t from;
  std::array<char32_t, 3> to;  // Ends at the first zero.
};

struct CodePointRange {
  char32_t first;
  char32_t last;
};

#include "text/jinja/unicode_tables.inc"

// Unicode's Other_ID_Start and Other_ID_Continue: in names whatever their category.
// Source: Unicode 15.0, PropList.txt.
constexpr CodePointRange kOtherWordStarts[] = {
    {0x1885, 0x1886}, {0x2118, 0x2118}, {0x212E, 0x212E}, {0x309B, 0x309C}};
constexpr CodePointRange kOtherWordParts[] = {
    {0x00B7, 0x00B7}, {0x0387, 0x0387}, {0x1369, 0x1371}, {0x19DA, 0x19DA}};

template <std::size_t N>
bool is_in(const CodePointRange (&ranges)[N], char32_t code_point) {
  const auto* after =
      std::upper_bound(std::begin(ranges), std::end(ranges), code_point,
                       [](char32_t c, const CodePointRange& range) { return c < range.first; });
  return after != std::begin(ranges) && code_point <= std::prev(after)->last;
}

template <std::size_t N>
bool append_expansion(const CaseExpansion (&table)[N], char32_t code_point, std::string& out) {
  const auto* found =
      std::lower_bound(std::begin(table), std::end(table), code_point,
                       [](const CaseExpansion& row, char32_t c) { return row.from < c; });
  if (found == std::end(table) || found->from != code_point) return false;
  for (const char32_t to : found->to) {
    if (to != 0) append_utf8(to, out);
  }
  return true;
}

#ifdef MILLRACE_WITH_UTF8PROC
int category(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}
char32_t simple_upper(char32_t c) {
  return static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c)));
}
char32_t simple_lower(char32_t c) {
  return static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
}
char32_t simple_title(char32_t c) {
  return static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(c)));
}

void append_folded(char32_t c, std::string& out) {
  std::array<utf8proc_int32_t, 8> folded{};
  int boundary_class = 0;
  const auto num_folded = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), folded.data(),
                                                  static_cast<utf8proc_ssize_t>(folded.size()),
                                                  UTF8PROC_CASEFOLD, &boundary_class);
  for (utf8proc_ssize_t i = 0; i < num_folded; ++i) {
    append_utf8(static_cast<char32_t>(folded[static_cast<std::size_t>(i)]), out);
  }
}

constexpr int kLu = UTF8PROC_CATEGORY_LU;
constexpr int kLl = UTF8PROC_CATEGORY_LL;
constexpr int kLt = UTF8PROC_CATEGORY_LT;
constexpr int kLm = UTF8PROC_CATEGORY_LM;
constexpr int kLo = UTF8PROC_CATEGORY_LO;
constexpr int kMn = UTF8PROC_CATEGORY_MN;
constexpr int kMc = UTF8PROC_CATEGORY_MC;
constexpr int kMe = UTF8PROC_CATEGORY_ME;
constexpr int kNd = UTF8PROC_CATEGORY_ND;
constexpr int kNl = UTF8PROC_CATEGORY_NL;
constexpr int kNo = UTF8PROC_CATEGORY_NO;
constexpr int kPc = UTF8PROC_CATEGORY_PC;
constexpr int kSk = UTF8PROC_CATEGORY_SK;
constexpr int kZs = UTF8PROC_CATEGORY_ZS;
constexpr int kCf = UTF8PROC_CATEGORY_CF;
#else
// Without the library only ASCII has classes; require_unicode_tables() keeps other text away.
enum : int { kLu = 1, kLl, kLt, kLm, kLo, kMn, kMc, kMe, kNd, kNl, kNo, kPc, kSk, kElse, kZs, kCf };
int category(char32_t c) {
  if (c >= 'A' && c <= 'Z') return kLu;
  if (c >= 'a' && c <= 'z') return kLl;
  if (c >= '0' && c <= '9') return kNd;
  return c == '_' ? kPc : c == ' ' ? kZs : kElse;
}
char32_t simple_upper(char32_t c) {
  return c >= 'a' && c <= 'z' ? c - 32 : c;
}
char32_t simple_lower(char32_t c) {
  return c >= 'A' && c <= 'Z' ? c + 32 : c;
}
char32_t simple_title(char32_t c) {
  return simple_upper(c);
}
void append_folded(char32_t c, std::string& out) {
  append_utf8(simple_lower(c), out);
}
#endif

bool is_lower(char32_t c) {
  return category(c) == kLl || is_in(kOtherLower, c);
}
bool is_upper(char32_t c) {
  return category(c) == kLu || is_in(kOtherUpper, c);
}
bool is_cased(char32_t c) {
  return is_lower(c) || is_upper(c) || category(c) == kLt;
}

// Case_Ignorable of Unicode's DerivedCoreProperties.
bool is_case_ignorable(char32_t c) {
  const int of = category(c);
  if (of == kMn || of == kMe || of == kCf || of == kLm || of == kSk) return true;
  constexpr std::array<char32_t, 17> kMidLetters = {0x27,   0x2E,   0x3A,   0xB7,   0x387,  0x55F,
                                                    0x5F4,  0x2018, 0x2019, 0x2024, 0x2027, 0xFE13,
                                                    0xFE52, 0xFE55, 0xFF07, 0xFF0E, 0xFF1A};
  return std::binary_search(kMidLetters.begin(), kMidLetters.end(), c);
}

bool is_letter(int of) {
  return of == kLu || of == kLl || of == kLt || of == kLm || of == kLo;
}
bool is_numeric(char32_t c) {
  const int of = category(c);
  return of == kNd || of == kNl || of == kNo || is_in(kOtherNumbers, c);
}

constexpr char32_t kCapitalSigma = 0x3A3;
constexpr char32_t kFinalSigma = 0x3C2;

// Unicode's Final_Sigma condition: after a letter and before none, marks and the like aside.
bool is_final_sigma(const std::vector<char32_t>& text, std::size_t at) {
  std::size_t before = at;
  while (before > 0 && is_case_ignorable(text[before - 1])) --before;
  if (before == 0 || !is_cased(text[before - 1])) return false;
  std::size_t after = at + 1;
  while (after < text.size() && is_case_ignorable(text[after])) ++after;
  return after == text.size() || !is_cased(text[after]);
}

void append_lower(const std::vector<char32_t>& text, std::size_t at, std::string& out) {
  const char32_t c = text[at];
  if (c == kCapitalSigma && is_final_sigma(text, at)) {
    append_utf8(kFinalSigma, out);
    return;
  }
  append_utf8(simple_lower(c), out);
  if (c == 0x130)
    append_utf8(0x307, out);  // The one letter with a longer lower case: I with a dot.
}
void append_upper(char32_t c, std::string& out) {
  if (!append_expansion(kUpperExpansions, c, out)) append_utf8(simple_upper(c), out);
}
void append_title(char32_t c, std::string& out) {
  if (!append_expansion(kTitleExpansions, c, out)) append_utf8(simple_title(c), out);
}

std::vector<char32_t> decode(std::string_view text) {
  std::vector<char32_t> code_points;
  code_points.reserve(text.size());
  while (!text.empty()) {
    const Utf8Character character = decode_utf8(text);
    code_points.push_back(character.code_point);
    text.remove_prefix(character.num_bytes);
  }
  return code_points;
}

void append_cased(const std::vector<char32_t>& text, std::size_t at, LetterCase to,
                  std::string& out) {
  switch (to) {
    case LetterCase::kUpper:
      return append_upper(text[at], out);
    case LetterCase::kLower:
      return append_lower(text, at, out);
    case LetterCase::kFold:
      return append_folded(text[at], out);
    case LetterCase::kTitle:
      return at > 0 && is_cased(text[at - 1]) ? append_lower(text, at, out)
                                              : append_title(text[at], out);
    case LetterCase::kCapitalize:
      return at > 0 ? append_lower(text, at, out) : append_title(text[at], out);
    case LetterCase::kSwap:
      if (is_upper(text[at])) return append_lower(text, at, out);
      return is_lower(text[at]) ? append_upper(text[at], out) : append_utf8(text[at], out);
  }
}

}  // namespace

Status require_unicode_tables(std::string_view text) {
#ifndef MILLRACE_WITH_UTF8PROC
  for (const char c : text) {
    if (static_cast<unsigned char>(c) >= 0x80) {
      return Error{ErrorCode::kUnsupported,
                   "letters beyond ASCII need a build with utf8proc (libutf8proc-dev)"};
    }
  }
#endif
  static_cast<void>(text);
  return Ok{};
}

std::size_t count_code_points(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

std::size_t code_point_offset(std::string_view text, std::size_t index) {
  // Texts are well-formed: characters start where no continuation byte is.
  const auto continues = [&](std::size_t i) {
    return (static_cast<unsigned char>(text[i]) & 0xC0) == 0x80;
  };
  std::size_t offset = 0;
  while (index > 0 && offset < text.size()) {
    ++offset;
    if (offset == text.size() || !continues(offset)) --index;
  }
  return offset;
}

std::size_t previous_code_point(std::string_view text, std::size_t end) {
  std::size_t start = end - 1;
  while (start > 0 && (static_cast<unsigned char>(text[start]) & 0xC0) == 0x80) --start;
  return start;
}

bool is_space(char32_t c) {
  if (c < 0x80) return c == ' ' || (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x1F);
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

std::string_view strip_space_left(std::string_view text) {
  while (!text.empty()) {
    const auto first = static_cast<unsigned char>(text[0]);
    if (first < 0x80) {
      if (!is_space(first)) break;
      text.remove_prefix(1);
      continue;
    }
    const Utf8Character character = decode_utf8(text);
    if (!is_space(character.code_point)) break;
    text.remove_prefix(character.num_bytes);
  }
  return text;
}

std::string_view strip_space_right(std::string_view text) {
  while (!text.empty()) {
    const std::size_t last = previous_code_point(text, text.size());
    if (!is_space(decode_utf8(text.substr(last)).code_point)) break;
    text = text.substr(0, last);
  }
  return text;
}

bool is_line_break(char32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

bool has_class(char32_t c, CharacterClass wanted) {
  const int of = category(c);
  switch (wanted) {
    case CharacterClass::kAlpha:
      return is_letter(of);
    case CharacterClass::kDecimal:
      return of == kNd;
    case CharacterClass::kDigit:
      return of == kNd || is_in(kOtherDigits, c);
    case CharacterClass::kNumeric:
      return is_numeric(c);
    case CharacterClass::kAlnum:
      return is_letter(of) || is_numeric(c);
    case CharacterClass::kLower:
      return is_lower(c);
    case CharacterClass::kUpper:
      return is_upper(c);
    case CharacterClass::kTitle:
      return of == kLt;
    case CharacterClass::kCased:
      return is_cased(c);
    case CharacterClass::kWordStart:
      return is_letter(of) || of == kNl || c == '_' || is_in(kOtherWordStarts, c);
    case CharacterClass::kWord:
      return is_letter(of) || of == kNl || of == kMn || of == kMc || of == kNd || of == kPc ||
             is_in(kOtherWordStarts, c) || is_in(kOtherWordParts, c);
    case CharacterClass::kPrintable:
      return c < 0x7F ? c >= ' ' : of != 0 && of < kZs;
  }
  return false;
}

Result<std::string> change_case(std::string_view text, LetterCase to) {
  TRY(require_unicode_tables(text));
  if (count_code_points(text) == text.size() &&
      (to == LetterCase::kUpper || to == LetterCase::kLower)) {
    std::string ascii(text);
    for (char& c : ascii) {
      const bool changes = to == LetterCase::kUpper ? c >= 'a' && c <= 'z' : c >= 'A' && c <= 'Z';
      if (changes) c = static_cast<char>(c ^ 0x20);
    }
    return ascii;
  }
  const std::vector<char32_t> code_points = decode(text);
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < code_points.size(); ++i) append_cased(code_points, i, to, out);
  return out;
}

Result<bool> has_letter_case(std::string_view text, CharacterClass wanted) {
  TRY(require_unicode_tables(text));
  bool has_some = false;
  while (!text.empty()) {
    const Utf8Character character = decode_utf8(text);
    const bool is_wanted = has_class(character.code_point, wanted);
    if (!is_wanted && has_class(character.code_point, CharacterClass::kCased)) return false;
    has_some = has_some || is_wanted;
    text.remove_prefix(character.num_bytes);
  }
  return has_some;
}

}  // namespace millrace::jinja
