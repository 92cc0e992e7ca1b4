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
// Leap seconds in universal time only: elsewhere the hour would have to follow from the offset.
constexpr const char* kTime =
    "(?:(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,17})?"
    "(?:[Zz]|[-+](?:[01][0-9]|2[0-3]):[0-5][0-9])"
    "|23:59:60(?:\\.[0-9]{1,17})?(?:[Zz]|[-+]00:00))";
// RFC 3339, appendix A.
constexpr const char* kDuration =
    "P(?:[0-9]+W|(?:[0-9]+Y(?:[0-9]+M(?:[0-9]+D)?)?|[0-9]+M(?:[0-9]+D)?|[0-9]+D)"
    "(?:T(?:[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?|[0-9]+M(?:[0-9]+S)?|[0-9]+S))?"
    "|T(?:[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?|[0-9]+M(?:[0-9]+S)?|[0-9]+S))";
constexpr const char* kUuid =
    "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}";
constexpr const char* kIpv4 =
    "(?:(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])\\.){3}"
    "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
// RFC 4291, section 2.2, its forms 1 and 2; form 3 is kIpv6Before and an IPv4 address.
constexpr const char* kIpv6 =
    "(?:(?:[0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}|(?:[0-9a-fA-F]{1,4}:){1,7}:"
    "|(?:[0-9a-fA-F]{1,4}:){1,6}:[0-9a-fA-F]{1,4}"
    "|(?:[0-9a-fA-F]{1,4}:){1,5}(?::[0-9a-fA-F]{1,4}){1,2}"
    "|(?:[0-9a-fA-F]{1,4}:){1,4}(?::[0-9a-fA-F]{1,4}){1,3}"
    "|(?:[0-9a-fA-F]{1,4}:){1,3}(?::[0-9a-fA-F]{1,4}){1,4}"
    "|(?:[0-9a-fA-F]{1,4}:){1,2}(?::[0-9a-fA-F]{1,4}){1,5}"
    "|[0-9a-fA-F]{1,4}:(?::[0-9a-fA-F]{1,4}){1,6}|:(?::[0-9a-fA-F]{1,4}){1,7}|::)";
constexpr const char* kIpv6Before =
    "(?:(?:[0-9a-fA-F]{1,4}:){6}|::(?:[0-9a-fA-F]{1,4}:){0,5}"
    "|[0-9a-fA-F]{1,4}::(?:[0-9a-fA-F]{1,4}:){0,4}"
    "|(?:[0-9a-fA-F]{1,4}:){2}:(?:[0-9a-fA-F]{1,4}:){0,3}"
    "|(?:[0-9a-fA-F]{1,4}:){3}:(?:[0-9a-fA-F]{1,4}:){0,2}"
    "|(?:[0-9a-fA-F]{1,4}:){4}:(?:[0-9a-fA-F]{1,4}:)?|(?:[0-9a-fA-F]{1,4}:){5}:)";
// RFC 5321, what stands before the @: atoms, or a quoted text.
constexpr const char* kMailbox =
    "(?:[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    "|\"(?:[ !#-\\[\\]-~]|\\\\[ -~]){0,40}\")@";
// RFC 3986: a scheme, then an authority and a path or a path alone, query, fragment.
constexpr const char* kUriBeforeHost =
    "[A-Za-z][A-Za-z0-9+.-]*:"
    "(?://(?:(?:[A-Za-z0-9._~!$&'()*+,;=:-]|%[0-9a-fA-F]{2})*@)?"
    "(?:(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9a-fA-F]{2})+|\\[";
constexpr const char* kUriBehindHost =
    "\\])(?::[0-9]{1,5})?"
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

// RFC 1123 and 5891: letters, digits and inner hyphens, not two in the third and fourth place.
std::string label_of(int chars_max) {
  const std::string tail = "(?:[A-Za-z0-9-]{0," + std::to_string(chars_max - 4) + "}[A-Za-z0-9])?";
  const std::string short_tail =
      "(?:[A-Za-z0-9-]{0," + std::to_string(chars_max - 5) + "}[A-Za-z0-9])?";
  return "[A-Za-z0-9](?:[A-Za-z0-9]|[A-Za-z0-9-](?:[A-Za-z0-9]" + tail + "|-[A-Za-z0-9]" +
         short_tail + "))?";
}

// Four labels at most, 253 characters together.
std::string hostname() {
  return "(?:" + label_of(63) + "\\.){0,3}" + label_of(61);
}

std::string ipv6() {
  return "(?:" + std::string(kIpv6) + "|" + kIpv6Before + kIpv4 + ")";
}

}  // namespace

std::optional<std::string_view> format_pattern(std::string_view format) {
  static const std::string kDateTime = std::string(kDate) + "[Tt]" + kTime;
  static const std::string kHostname = hostname();
  static const std::string kIpv6Address = ipv6();
  static const std::string kEmail =
      kMailbox + ("(?:" + kHostname) + "|\\[(?:" + kIpv4 + "|IPv6:" + kIpv6Address + ")\\])";
  static const std::string kUri = kUriBeforeHost + kIpv6Address + kUriBehindHost;
  static const std::array<Row, 11> kRows = {{{"date", kDate},
                                             {"time", kTime},
                                             {"date-time", kDateTime},
                                             {"duration", kDuration},
                                             {"uuid", kUuid},
                                             {"hostname", kHostname},
                                             {"email", kEmail},
                                             {"ipv4", kIpv4},
                                             {"ipv6", kIpv6Address},
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
