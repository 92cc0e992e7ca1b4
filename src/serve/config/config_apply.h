// Putting values into a ServerConfig by their paths in the table of settings.
#pragma once

#include <string>

#include "base/result.h"
#include "serve/config/config_reader.h"
#include "serve/config/yaml_reader.h"

namespace millrace {

// The file's whole tree. A list in it replaces the list that was there.
Status apply_tree(const ConfigSource& source, const YamlNode& root, LoadedConfig& loaded);

// One value by its path; "models.0.path" appends a model where there is none. A flag's path into
// a list is refused where the list has several items.
Status apply_override(const ConfigOverride& change, LoadedConfig& loaded);

// The known word that is spelt most like this one, first letter included; empty when none is near.
std::string nearest_word(const std::string& word, const std::vector<std::string>& known);

}  // namespace millrace
