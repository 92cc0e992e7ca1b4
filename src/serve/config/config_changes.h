// What differs between two configurations, and whether a reload takes it.
#pragma once

#include <string>
#include <vector>

#include "serve/config/server_config.h"
#include "serve/config/setting.h"

namespace millrace {

struct ConfigChange {
  std::string path;
  Reload reload = Reload::kRestart;
  std::string before;  // as the file has it; "nothing" where it was not set, secrets hidden
  std::string after;
};

// By path. Of a list that grew or shrank, its path alone; it is live when all of its items'
// settings are.
std::vector<ConfigChange> config_changes(const ServerConfig& before, const ServerConfig& after);

}  // namespace millrace
