// Flags from the table of settings, and what paths on the command line mean.
#include "cli/serve_options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <utility>

#include "cli/model_session.h"
#include "serve/config/config_check.h"
#include "serve/config/schema.h"

namespace millrace {
namespace {

bool is_config_file(const std::string& path) {
  return path.ends_with(".yaml") || path.ends_with(".yml");
}

// NAME=PATH, where NAME has no slash; else a path.
std::pair<std::string, std::string> split_model(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || text.find('/') < equals) return {"", text};
  return {text.substr(0, equals), text.substr(equals + 1)};
}

void add_model(const std::string& text, std::size_t index, ConfigSource& source) {
  const auto [name, path] = split_model(text);
  const std::string item = "models." + std::to_string(index) + ".";
  source.overrides.push_back({.path = item + "path", .value = path, .origin = "--model"});
  if (name.empty()) return;
  source.overrides.push_back({.path = item + "name", .value = name, .origin = "--model"});
}

std::optional<std::string> environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

// Lists are given as often as they have items.
std::string joined(const std::vector<std::string>& values) {
  std::string text;
  for (const std::string& value : values) text += (text.empty() ? "" : ",") + value;
  return text;
}

Status add_settings(const ServeOptions& options, ConfigSource& source) {
  for (const ServeOptions::Flag& flag : options.flags) {
    if (flag.values.empty()) continue;
    const bool is_item = flag.path.find(".0.") != std::string::npos;
    source.overrides.push_back(
        {.path = flag.path,
         .value = joined(flag.values),
         .origin = flag.flag,
         .item = is_item ? ConfigOverride::Item::kOnly : ConfigOverride::Item::kThis});
  }
  for (const std::string& setting : options.settings) {
    const std::size_t equals = setting.find('=');
    if (equals == std::string::npos || equals == 0) {
      return Error{ErrorCode::kInvalidArgument, "--set " + setting + ": expected PATH=VALUE"};
    }
    source.overrides.push_back({.path = setting.substr(0, equals),
                                .value = setting.substr(equals + 1),
                                .origin = "--set"});
  }
  return Ok{};
}

}  // namespace

void add_serve_options(CLI::App& command, ServeOptions& options) {
  command.add_option("path", options.paths,
                     "Models to serve, or one .yaml file with everything (default: the small story "
                     "teller that comes with Millrace)");
  command
      .add_option("-m,--model", options.models,
                  "A model to serve, once for each; NAME is what "
                  "requests call it")
      ->type_name("[NAME=]PATH")
      ->allow_extra_args(false);
  command
      .add_option("--set", options.settings, "Any setting by its path in the configuration file")
      ->type_name("PATH=VALUE")
      ->allow_extra_args(false);
  command.add_flag("--check", options.checks, "Say whether the configuration is right, and end");
  command.add_flag("--print-config", options.prints,
                   "Print every setting with where it comes from, and end");
  for (const ConfigFlag& known : config_flags()) {
    if (known.flag == "--model") continue;
    ServeOptions::Flag& flag = options.flags.emplace_back();
    flag.flag = known.flag;
    flag.path = known.path;
    command.add_option(known.flag, flag.values, known.setting->help)
        ->type_name("VALUE")
        ->allow_extra_args(false)
        ->group("Settings");
  }
}

Result<LoadedConfig> load_serve_config(const ServeOptions& options) {
  ConfigSource source;
  source.name = "the command line";
  source.variable = environment;
  std::vector<std::string> models;
  std::vector<std::string> files;
  for (const std::string& path : options.paths) {
    (is_config_file(path) ? files : models).push_back(path);
  }
  if (files.size() > 1) {
    return Error{ErrorCode::kInvalidArgument,
                 "expected one configuration file, found " + files[0] + " and " + files[1]};
  }
  models.insert(models.end(), options.models.begin(), options.models.end());
  if (models.empty() && files.empty()) {
    const std::string bundled = default_model();
    if (bundled.empty()) return no_model();
    models.push_back(bundled);
  }
  for (std::size_t i = 0; i < models.size(); ++i) add_model(models[i], i, source);
  TRY(add_settings(options, source));
  if (files.empty()) return read_config(source);
  LoadedConfig loaded = TRY(read_config_file(files.front(), source));
  if (!loaded.config.models.empty()) return loaded;
  // A file that names no model gets the one that comes along, like no file at all.
  const std::string bundled = default_model();
  if (bundled.empty()) return no_model();
  add_model(bundled, 0, source);
  return read_config_file(files.front(), source);
}

}  // namespace millrace
