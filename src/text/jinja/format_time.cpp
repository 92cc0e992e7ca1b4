// The conversions of strftime, written out: the C library's would look at the process's locale.
#include "text/jinja/format_time.h"

#include <algorithm>
#include <array>

#include "text/jinja/unicode.h"

namespace millrace::jinja {
namespace {

constexpr std::array<std::string_view, 7> kWeekdays = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                       "Thursday", "Friday", "Saturday"};
constexpr std::array<std::string_view, 12> kMonths = {
    "January", "February", "March",     "April",   "May",      "June",
    "July",    "August",   "September", "October", "November", "December"};

struct Time {
  std::int64_t year = 1970;
  std::int64_t month = 1;    // 1 to 12
  std::int64_t day = 1;      // 1 to 31
  std::int64_t weekday = 4;  // 0 is Sunday.
  std::int64_t yearday = 0;  // 0 is January 1st.
  std::int64_t hour = 0;
  std::int64_t minute = 0;
  std::int64_t second = 0;
};

constexpr std::int64_t kSecondsPerDay = 86'400;

bool is_leap(std::int64_t year) {
  return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

std::int64_t floor_div(std::int64_t a, std::int64_t b) {
  return a / b - (a % b != 0 && (a % b < 0) != (b < 0) ? 1 : 0);
}

// Source: Howard Hinnant, chrono-Compatible Low-Level Date Algorithms, civil_from_days.
Time split_time(std::int64_t unix_seconds) {
  Time time;
  const std::int64_t days = floor_div(unix_seconds, kSecondsPerDay);
  const std::int64_t rest = unix_seconds - days * kSecondsPerDay;
  time.hour = rest / 3600;
  time.minute = rest / 60 % 60;
  time.second = rest % 60;
  time.weekday = ((days + 4) % 7 + 7) % 7;
  const std::int64_t shifted = days + 719'468;  // From March 1st of year 0.
  const std::int64_t era = floor_div(shifted, 146'097);
  const std::int64_t day_of_era = shifted - era * 146'097;
  const std::int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const std::int64_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const std::int64_t month_from_march = (5 * day_of_year + 2) / 153;
  time.day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
  time.month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
  time.year = year_of_era + era * 400 + (time.month <= 2 ? 1 : 0);
  constexpr std::array<std::int64_t, 12> kDaysBefore = {0,   31,  59,  90,  120, 151,
                                                        181, 212, 243, 273, 304, 334};
  time.yearday = kDaysBefore[static_cast<std::size_t>(time.month - 1)] + time.day - 1 +
                 (time.month > 2 && is_leap(time.year) ? 1 : 0);
  return time;
}

struct IsoWeek {
  std::int64_t year = 0;
  std::int64_t week = 1;
};
IsoWeek iso_week(const Time& time) {
  const std::int64_t weekday = (time.weekday + 6) % 7;  // 0 is Monday.
  const std::int64_t week = (time.yearday - weekday + 10) / 7;
  const auto num_weeks = [](std::int64_t year) {
    const auto shift = [](std::int64_t y) {
      return (y + floor_div(y, 4) - floor_div(y, 100) + floor_div(y, 400)) % 7;
    };
    return shift(year) == 4 || shift(year - 1) == 3 ? 53 : 52;
  };
  if (week < 1) return {time.year - 1, num_weeks(time.year - 1)};
  if (week > num_weeks(time.year)) return {time.year + 1, 1};
  return {time.year, week};
}

// What a flag between % and the letter asks for.
struct Flags {
  char pad = '\0';  // - nothing, _ spaces, 0 zeros; else as the conversion has it.
  bool is_upper = false;
  bool swaps_case = false;
  std::size_t width = 0;
};

class TimeFormatter {
 public:
  TimeFormatter(Sandbox& sandbox, std::int64_t unix_seconds)
      : sandbox_(sandbox), unix_seconds_(unix_seconds), time_(split_time(unix_seconds)) {}

  Result<std::string> format(std::string_view format) {
    while (!format.empty()) {
      const std::size_t percent = std::min(format.find('%'), format.size());
      TRY(sandbox_.append(out_, format.substr(0, percent)));
      format.remove_prefix(percent);
      if (format.empty()) break;
      TRY(conversion(format));
    }
    return std::move(out_);
  }

 private:
  Status conversion(std::string_view& format) {
    const std::string_view whole = format;
    format.remove_prefix(1);
    const Flags flags = take_flags(format);
    if (format.starts_with('E') || format.starts_with('O')) format.remove_prefix(1);
    if (format.empty()) return sandbox_.append(out_, whole);
    const char letter = format[0];
    format.remove_prefix(1);
    std::string text;
    if (!number(letter, flags, text) && !name(letter, text) && !composite(letter, text)) {
      text = whole.substr(0, whole.size() - format.size());
    }
    if (flags.is_upper || (flags.swaps_case && letter != 'p')) {
      text = TRY(change_case(text, LetterCase::kUpper));
    }
    if (flags.swaps_case && letter == 'p') text = TRY(change_case(text, LetterCase::kLower));
    if (text.size() < flags.width) {
      const char fill = flags.pad == '0' ? '0' : ' ';
      TRY(sandbox_.append_repeated(out_, std::string(1, fill), flags.width - text.size()));
    }
    return sandbox_.append(out_, text);
  }

  static Flags take_flags(std::string_view& format) {
    Flags flags;
    for (; !format.empty(); format.remove_prefix(1)) {
      const char c = format[0];
      if (c == '-' || c == '_' || c == '0') {
        flags.pad = c;
      } else if (c == '^') {
        flags.is_upper = true;
      } else if (c == '#') {
        flags.swaps_case = true;
      } else {
        break;
      }
    }
    constexpr std::size_t kWidthMax = 1000;
    for (; !format.empty() && format[0] >= '0' && format[0] <= '9'; format.remove_prefix(1)) {
      flags.width =
          std::min(flags.width * 10 + static_cast<std::size_t>(format[0] - '0'), kWidthMax);
    }
    return flags;
  }

  static std::string padded(std::int64_t value, std::size_t width, char fill, Flags flags) {
    std::string digits = std::to_string(value);
    if (flags.pad == '-') return digits;
    if (flags.pad == '_') fill = ' ';
    if (flags.pad == '0') fill = '0';
    width = std::max(width, flags.width);
    return digits.size() < width ? std::string(width - digits.size(), fill) + digits : digits;
  }

  struct Number {
    char letter;
    std::int64_t value;
    std::size_t width;
    char fill;
  };

  bool number(char letter, Flags flags, std::string& text) const {
    const std::int64_t hour12 = time_.hour % 12 == 0 ? 12 : time_.hour % 12;
    const std::int64_t monday_based = (time_.weekday + 6) % 7;
    const IsoWeek iso = iso_week(time_);
    const std::array<Number, 22> numbers = {{
        {'d', time_.day, 2, '0'},
        {'e', time_.day, 2, ' '},
        {'H', time_.hour, 2, '0'},
        {'k', time_.hour, 2, ' '},
        {'I', hour12, 2, '0'},
        {'l', hour12, 2, ' '},
        {'j', time_.yearday + 1, 3, '0'},
        {'m', time_.month, 2, '0'},
        {'M', time_.minute, 2, '0'},
        {'S', time_.second, 2, '0'},
        {'y', (time_.year % 100 + 100) % 100, 2, '0'},
        {'Y', time_.year, 0, '0'},
        {'C', floor_div(time_.year, 100), 2, '0'},
        {'u', monday_based + 1, 1, '0'},
        {'w', time_.weekday, 1, '0'},
        {'U', (time_.yearday + 7 - time_.weekday) / 7, 2, '0'},
        {'W', (time_.yearday + 7 - monday_based) / 7, 2, '0'},
        {'V', iso.week, 2, '0'},
        {'G', iso.year, 0, '0'},
        {'g', (iso.year % 100 + 100) % 100, 2, '0'},
        {'s', unix_seconds_, 1, '0'},
        {'f', 0, 6, '0'},
    }};
    const auto* found = std::find_if(numbers.begin(), numbers.end(),
                                     [&](const Number& row) { return row.letter == letter; });
    if (found == numbers.end()) return false;
    text = padded(found->value, found->width, found->fill, flags);
    return true;
  }

  bool name(char letter, std::string& text) const {
    const std::string_view weekday = kWeekdays[static_cast<std::size_t>(time_.weekday)];
    const std::string_view month = kMonths[static_cast<std::size_t>(time_.month - 1)];
    switch (letter) {
      case 'a':
        text = weekday.substr(0, 3);
        return true;
      case 'A':
        text = weekday;
        return true;
      case 'b':
      case 'h':
        text = month.substr(0, 3);
        return true;
      case 'B':
        text = month;
        return true;
      case 'p':
        text = time_.hour < 12 ? "AM" : "PM";
        return true;
      case 'P':
        text = time_.hour < 12 ? "am" : "pm";
        return true;
      case '%':
      case 'n':
      case 't':
        text = letter == '%' ? "%" : letter == 'n' ? "\n" : "\t";
        return true;
      case 'z':
      case 'Z':
        text.clear();  // A time without a zone, as datetime.now() gives.
        return true;
      default:
        return false;
    }
  }

  bool composite(char letter, std::string& text) const {
    constexpr std::array<std::pair<char, std::string_view>, 8> kComposites = {{
        {'c', "%a %b %e %H:%M:%S %Y"},
        {'D', "%m/%d/%y"},
        {'x', "%m/%d/%y"},
        {'F', "%Y-%m-%d"},
        {'R', "%H:%M"},
        {'T', "%H:%M:%S"},
        {'X', "%H:%M:%S"},
        {'r', "%I:%M:%S %p"},
    }};
    for (const auto& [name, format] : kComposites) {
      if (name != letter) continue;
      Result<std::string> formatted = TimeFormatter(sandbox_, unix_seconds_).format(format);
      if (!formatted.ok()) return false;
      text = std::move(formatted).value();
      return true;
    }
    return false;
  }

  Sandbox& sandbox_;
  std::int64_t unix_seconds_;
  Time time_;
  std::string out_;
};

}  // namespace

Result<std::string> format_time(Sandbox& sandbox, std::string_view format) {
  // The years that Python's datetime has.
  constexpr std::int64_t kSecondsMin = -62'135'596'800;
  constexpr std::int64_t kSecondsMax = 253'402'300'799;
  if (sandbox.unix_seconds() < kSecondsMin || sandbox.unix_seconds() > kSecondsMax) {
    return template_error("strftime_now() at " + std::to_string(sandbox.unix_seconds()) +
                          " seconds is outside the years 1 to 9999");
  }
  return TimeFormatter(sandbox, sandbox.unix_seconds()).format(format);
}

}  // namespace millrace::jinja
