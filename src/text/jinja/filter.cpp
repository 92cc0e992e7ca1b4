// The table of filters.
#include "text/jinja/filter.h"

#include <algorithm>
#include <array>

#include "text/jinja/filter_functions.h"

namespace millrace::jinja {
namespace {

template <const char* kName>
Result<Value> refuse(Sandbox&, const Arguments&) {
  return unsupported_error("the filter '" + std::string(kName) + "'");
}
constexpr char kPprint[] = "pprint";
constexpr char kRandom[] = "random";
constexpr char kStriptags[] = "striptags";
constexpr char kUrlize[] = "urlize";

constexpr std::array<Filter, 54> kFilters = {{
    {"abs", filter_abs},
    {"attr", filter_attr},
    {"batch", filter_batch},
    {"capitalize", filter_capitalize},
    {"center", filter_center},
    {"count", filter_length},
    {"d", filter_default},
    {"default", filter_default},
    {"dictsort", filter_dictsort},
    {"e", filter_escape},
    {"escape", filter_escape},
    {"filesizeformat", filter_filesizeformat},
    {"first", filter_first},
    {"float", filter_float},
    {"forceescape", filter_forceescape},
    {"format", filter_format},
    {"groupby", filter_groupby},
    {"indent", filter_indent},
    {"int", filter_int},
    {"items", filter_items},
    {"join", filter_join},
    {"last", filter_last},
    {"length", filter_length},
    {"list", filter_list},
    {"lower", filter_lower},
    {"map", filter_map},
    {"max", filter_max},
    {"min", filter_min},
    {"pprint", refuse<kPprint>},
    {"random", refuse<kRandom>},
    {"reject", filter_reject},
    {"rejectattr", filter_rejectattr},
    {"replace", filter_replace},
    {"reverse", filter_reverse},
    {"round", filter_round},
    {"safe", filter_safe},
    {"select", filter_select},
    {"selectattr", filter_selectattr},
    {"slice", filter_slice},
    {"sort", filter_sort},
    {"string", filter_string},
    {"striptags", refuse<kStriptags>},
    {"sum", filter_sum},
    {"title", filter_title},
    {"tojson", filter_tojson},
    {"trim", filter_trim},
    {"truncate", filter_truncate},
    {"unique", filter_unique},
    {"upper", filter_upper},
    {"urlencode", filter_urlencode},
    {"urlize", refuse<kUrlize>},
    {"wordcount", filter_wordcount},
    {"wordwrap", filter_wordwrap},
    {"xmlattr", filter_xmlattr},
}};

}  // namespace

const Filter* find_filter(std::string_view name) {
  const auto* found =
      std::lower_bound(kFilters.begin(), kFilters.end(), name,
                       [](const Filter& filter, std::string_view n) { return filter.name < n; });
  return found == kFilters.end() || found->name != name ? nullptr : found;
}

}  // namespace millrace::jinja
