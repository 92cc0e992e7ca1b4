// From a YAML file, a profile and flags to a ServerConfig that is whole and right.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "serve/config/server_config.h"

namespace millrace {

// "limits.body_bytes_max" or "models.0.path" set by a flag.
struct ConfigOverride {
  std::string path;
  std::string value;
  std::string origin;  // "--max-body"
  // A flag for one model or key is refused where the file has several.
  enum class Item : std::uint8_t { kOnly, kThis } item = Item::kThis;
};

struct ConfigSource {
  std::string text;  // of the file; empty: none
  std::string name;  // of the file, for messages
  std::vector<ConfigOverride> overrides = {};
  // What ${NAME} in a value stands for; absent: it is not set.
  std::function<std::optional<std::string>(const std::string&)> variable = {};
};

// Where each value came from, by its path; what is not named is a default.
using ConfigOrigins = std::map<std::string, std::string>;

struct LoadedConfig {
  ServerConfig config;
  ConfigOrigins origins;
};

// Defaults, then the profile, then the file, then overrides; then key files are read, what follows
// from other values is filled in, and everything is checked. Texts of the file that name something
// on disk are relative to the file's folder. kInvalidArgument naming path, line, what was found and
// what is allowed; unknown keys with the nearest known one.
Result<LoadedConfig> read_config(const ConfigSource& source);

// The same of a file on disk.
Result<LoadedConfig> read_config_file(const std::string& path, ConfigSource source);

}  // namespace millrace
