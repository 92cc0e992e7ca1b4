// A configuration as YAML that reads back, with where each value came from.
#pragma once

#include <string>

#include "serve/config/config_reader.h"

namespace millrace {

// Every setting, those that are not set as comments. Secrets are hidden; what was hidden is refused
// when it is read.
std::string print_config(const LoadedConfig& loaded);

}  // namespace millrace
