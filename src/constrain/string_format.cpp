// The table of formats; each row from the document that it names.
#include "constrain/string_format.h"

#include <algorithm>
#include <array>
#include <string>

namespace millrace {
namespace {

// RFC 3339, with the days of each month and leap years.
constexpr const char* kDate =
    "(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    "|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)";
constexpr const char* kTime =
    "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,9})?"
    "(?:Z|[-+](?:[01][0-9]|2[0-3]):[0-5][0-9])";
// RFC 3339, appendix A.
constexpr const char* kDuration =
    "P(?:[0-9]+W|(?:[0-9]+Y(?:[0-9]+M(?:[0-9]+D)?)?|[0-9]+M(?:[0-9]+D)?|[0-9]+D)"
    "(?:T(?:[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?|[0-9]+M(?:[0-9]+S)?|[0-9]+S))?"
    "|T(?:[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?|[0-9]+M(?:[0-9]+S)?|[0-9]+S))";
constexpr const char* kUuid =
    "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}";
// RFC 1123: labels of letters, digits and inner hyphens, one at a time, not two.
constexpr const char* kHostname =
    "(?:[A-Za-z0-9](?:-?[A-Za-z0-9]){0,30}\\.){0,3}[A-Za-z0-9](?:-?[A-Za-z0-9]){0,30}";
// RFC 5321, an atom or more at a host.
constexpr const char* kEmail =
    "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@"
    "(?:[A-Za-z0-9](?:-?[A-Za-z0-9]){0,30}\\.){0,3}[A-Za-z0-9](?:-?[A-Za-z0-9]){0,30}";
constexpr const char* kIpv4 =
    "(?:(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])\\.){3}"
    "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
// RFC 4291, section 2.2, its forms 1 and 2.
constexpr const char* kIpv6 =
    "(?:(?:[0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}|(?:[0-9a-fA-F]{1,4}:){1,7}:"
    "|(?:[0-9a-fA-F]{1,4}:){1,6}:[0-9a-fA-F]{1,4}"
    "|(?:[0-9a-fA-F]{1,4}:){1,5}(?::[0-9a-fA-F]{1,4}){1,2}"
    "|(?:[0-9a-fA-F]{1,4}:){1,4}(?::[0-9a-fA-F]{1,4}){1,3}"
    "|(?:[0-9a-fA-F]{1,4}:){1,3}(?::[0-9a-fA-F]{1,4}){1,4}"
    "|(?:[0-9a-fA-F]{1,4}:){1,2}(?::[0-9a-fA-F]{1,4}){1,5}"
    "|[0-9a-fA-F]{1,4}:(?::[0-9a-fA-F]{1,4}){1,6}|:(?::[0-9a-fA-F]{1,4}){1,7}|::)";
// RFC 3986: a scheme, then an authority and a path or a path alone, query, fragment.
constexpr const char* kUri =
    "[A-Za-z][A-Za-z0-9+.-]*:"
    "(?://(?:(?:[A-Za-z0-9._~!$&'()*+,;=:-]|%[0-9a-fA-F]{2})*@)?"
    "(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9a-fA-F]{2})+(?::[0-9]{1,5})?"
    "(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9a-fA-F]{2})*)?"
    "|/?(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9a-fA-F]{2})+"
    "(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9a-fA-F]{2})*)*)"
    "(?:\\?(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9a-fA-F]{2})*)?"
    "(?:#(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9a-fA-F]{2})*)?";
// RFC 6901.
constexpr const char* kJsonPointer = "(?:/(?:[^/~]|~[01])*)*";

struct Row {
  std::string_view name;
  std::string_view pattern;
};

}  // namespace

std::optional<std::string_view> format_pattern(std::string_view format) {
  static const std::string kDateTime = std::string(kDate) + "T" + kTime;
  static const std::array<Row, 11> kRows = {{{"date", kDate},
                                             {"time", kTime},
                                             {"date-time", kDateTime},
                                             {"duration", kDuration},
                                             {"uuid", kUuid},
                                             {"hostname", kHostname},
                                             {"email", kEmail},
                                             {"ipv4", kIpv4},
                                             {"ipv6", kIpv6},
                                             {"uri", kUri},
                                             {"json-pointer", kJsonPointer}}};
  for (const Row& row : kRows) {
    if (row.name == format) return row.pattern;
  }
  return std::nullopt;
}

bool is_annotation_format(std::string_view format) {
  static constexpr std::array<std::string_view, 8> kNames = {
      "int32", "int64", "float", "double", "password", "byte", "binary", "decimal"};
  return std::find(kNames.begin(), kNames.end(), format) != kNames.end();
}

}  // namespace millrace
