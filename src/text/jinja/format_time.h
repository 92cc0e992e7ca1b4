// strftime: dates and times as text, in the C locale.
#pragma once

#include <string>
#include <string_view>

#include "text/jinja/sandbox.h"

namespace millrace::jinja {

// The rendering's time in a format of strftime, glibc's flags included ("%-d").
Result<std::string> format_time(Sandbox& sandbox, std::string_view format);

}  // namespace millrace::jinja
