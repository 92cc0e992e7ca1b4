// The options of `millrace serve`, which become a configuration.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "base/result.h"
#include "serve/config/config_reader.h"

namespace CLI {
class App;
}  // namespace CLI

namespace millrace {

// As typed. Every setting of the configuration that has a flag has it here, from the same table.
struct ServeOptions {
  std::vector<std::string> paths;     // models, or one .yaml file
  std::vector<std::string> models;    // PATH or NAME=PATH
  std::vector<std::string> settings;  // path=value
  bool checks = false;
  bool prints = false;
  struct Flag {
    std::string flag;
    std::string path;
    std::vector<std::string> values;
  };
  std::deque<Flag> flags;  // CLI11 keeps pointers to the values
};

void add_serve_options(CLI::App& command, ServeOptions& options);

// Flags over the file over the profile over defaults. Without a model, the one that `run` takes.
Result<LoadedConfig> load_serve_config(const ServeOptions& options);

}  // namespace millrace
