// The table of all settings, and the ways to walk it.
#pragma once

#include <functional>
#include <string>

#include "base/function_ref.h"
#include "serve/config/server_config.h"
#include "serve/config/setting.h"

namespace millrace {

// The whole; its owner is a ServerConfig.
const Section& config_schema();

// "limits", "" → "limits"; "models.0", "name" → "models.0.name".
std::string join_path(const std::string& path, const std::string& key);

// A flag and what it sets: "--context" sets models.0.context.
struct ConfigFlag {
  std::string flag;
  std::string path;
  const Setting* setting = nullptr;
};
std::vector<ConfigFlag> config_flags();

}  // namespace millrace
