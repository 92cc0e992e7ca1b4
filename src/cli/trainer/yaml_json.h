// A YAML tree as JSON, with the types that YAML gives plain words.
#pragma once

#include "base/json.h"
#include "serve/config/yaml_reader.h"

namespace millrace {

// true, false, null and numbers as such, every other scalar as text.
OrderedJson json_of_yaml(const YamlNode& node);

}  // namespace millrace
