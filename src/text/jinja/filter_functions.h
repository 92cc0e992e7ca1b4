// The functions behind the table of filters; see jinja2's documentation for what each does.
#pragma once

#include "text/jinja/sandbox.h"

namespace millrace::jinja {

// filter_text.cpp
Result<Value> filter_capitalize(Sandbox& sandbox, const Arguments& arguments);
Result<Value> filter_center(Sandbox& sandbox, const Arguments& arguments);
Result<Value> filter_escape(Sandbox& sandbox, const Arguments& arguments);
Result<Value> filter_filesizeformat(Sandbox& sandbox, const Arguments& arguments);
Result<Value> filter_forceescape(Sandbox& sandbox, const Arguments& arguments);
Result<Value> filter_format(Sandbox& sandbox, const Arguments& arguments);
Result<Value> filter_indent(Sandbox& sandbox, const Arguments& arguments);
Result<Value> filter_lower(Sandbox& sandbox, const Arguments& arguments);
Result<Value> filter_replace(Sandbox& sandbox, const Arguments& arguments);
Result<Value> filter_safe(Sandbox& sandbox, const Arguments& arguments);
Result<Value> filter_string(Sandbox& sandbox, const Arguments& arguments);
Result<Value> filter_title(Sandbox& sandbox, const Arguments& arguments);
Result<Value> filter_trim(Sandbox& sandbox, const Arguments& arguments);
Result<Value> filter_truncate(Sandbox& sandbox, const Arguments& arguments);
Result<Value> filter_upper(Sandbox& sandbox, const Arguments& arguments);
Result<Value> filter_urlencode(Sandbox& sandbox, const Arguments& arguments);
Result<Value> filter_wordcount(Sandbox& sandbox, const Arguments& arguments);
Result<Value> filter_wordwrap(Sandbox& sandbox, const Arguments& arguments);
Result<Value> filter_xmlattr(Sandbox& sandbox, const Arguments& arguments);

// filter_sequence.cpp
Result<Value> filter_batch(Sandbox& sandbox, const Arguments& arguments);
Result<Value> filter_first(Sandbox& sandbox, const Arguments& arguments);
Result<Value> filter_items(Sandbox& sandbox, const Arguments& arguments);
Result<Value> filter_join(Sandbox& sandbox, const Arguments& arguments);
Result<Value> filter_last(Sandbox& sandbox, const Arguments& arguments);
Result<Value> filter_length(Sandbox& sandbox, const Arguments& arguments);
Result<Value> filter_list(Sandbox& sandbox, const Arguments& arguments);
Result<Value> filter_map(Sandbox& sandbox, const Arguments& arguments);
Result<Value> filter_reject(Sandbox& sandbox, const Arguments& arguments);
Result<Value> filter_rejectattr(Sandbox& sandbox, const Arguments& arguments);
Result<Value> filter_reverse(Sandbox& sandbox, const Arguments& arguments);
Result<Value> filter_select(Sandbox& sandbox, const Arguments& arguments);
Result<Value> filter_selectattr(Sandbox& sandbox, const Arguments& arguments);
Result<Value> filter_slice(Sandbox& sandbox, const Arguments& arguments);

// filter_order.cpp
Result<Value> filter_dictsort(Sandbox& sandbox, const Arguments& arguments);
Result<Value> filter_groupby(Sandbox& sandbox, const Arguments& arguments);
Result<Value> filter_max(Sandbox& sandbox, const Arguments& arguments);
Result<Value> filter_min(Sandbox& sandbox, const Arguments& arguments);
Result<Value> filter_sort(Sandbox& sandbox, const Arguments& arguments);
Result<Value> filter_unique(Sandbox& sandbox, const Arguments& arguments);

// filter_value.cpp
Result<Value> filter_abs(Sandbox& sandbox, const Arguments& arguments);
Result<Value> filter_attr(Sandbox& sandbox, const Arguments& arguments);
Result<Value> filter_default(Sandbox& sandbox, const Arguments& arguments);
Result<Value> filter_float(Sandbox& sandbox, const Arguments& arguments);
Result<Value> filter_int(Sandbox& sandbox, const Arguments& arguments);
Result<Value> filter_round(Sandbox& sandbox, const Arguments& arguments);
Result<Value> filter_sum(Sandbox& sandbox, const Arguments& arguments);
Result<Value> filter_tojson(Sandbox& sandbox, const Arguments& arguments);

}  // namespace millrace::jinja
