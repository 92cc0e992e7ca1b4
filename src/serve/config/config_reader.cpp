// Layer upon layer, then the checks.
#include "serve/config/config_reader.h"

#include "base/file.h"
#include "serve/config/config_apply.h"
#include "serve/config/config_check.h"
#include "serve/config/profile.h"
#include "serve/config/schema.h"
#include "serve/config/setting_value.h"

namespace millrace {
namespace {

Status apply_layers(const ConfigSource& source, const YamlNode& root, Profile profile,
                    LoadedConfig& loaded) {
  for (const ProfileSetting& setting : profile_settings(profile)) {
    TRY(apply_override({.path = setting.path, .value = setting.value, .origin = "profile"},
                       loaded));
  }
  TRY(apply_tree(source, root, loaded));
  const std::size_t num_models = loaded.config.models.size();
  const std::size_t num_keys = loaded.config.api_keys.size();
  for (const ConfigOverride& change : source.overrides) {
    const bool is_model = change.path.starts_with("models.0.");
    const std::size_t num_items = is_model                                 ? num_models
                                  : change.path.starts_with("api_keys.0.") ? num_keys
                                                                           : 0;
    if (change.item == ConfigOverride::Item::kOnly && num_items > 1) {
      return Error{ErrorCode::kInvalidArgument,
                   change.origin + ": " + source.name + " has " + std::to_string(num_items) +
                       (is_model ? " models" : " keys") + ", expected one; use --set"};
    }
    TRY(apply_override(change, loaded));
  }
  return Ok{};
}

}  // namespace

Result<LoadedConfig> read_config(const ConfigSource& source) {
  const YamlNode root = TRY(parse_yaml(source.text, source.name));
  // The profile lies under everything, but file and flags say which it is.
  LoadedConfig first;
  TRY(apply_layers(source, root, Profile::kNone, first));
  LoadedConfig loaded;
  TRY(apply_layers(source, root, first.config.profile, loaded));
  TRY(complete_config(loaded.config));
  TRY(check_config(loaded.config));
  return loaded;
}

Result<LoadedConfig> read_config_file(const std::string& path, ConfigSource source) {
  source.text = TRY(read_file(path, YamlLimits{}.bytes_max));
  source.name = path;
  return read_config(source);
}

}  // namespace millrace
