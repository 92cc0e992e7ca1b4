// The rows of the table that are live.
#include "serve/config/class_settings.h"

#include "serve/config/schema_parts.h"
#include "serve/config/setting_value.h"

namespace millrace {

Status set_class_setting(ClassConfig& changed, const std::string& key, const std::string& text) {
  std::string known;
  for (const Setting& setting : kClassesSection.settings) {
    if (setting.reload != Reload::kLive) continue;
    known += (known.empty() ? "" : ", ") + std::string(setting.key);
    if (key != setting.key) continue;
    const Status status = set_value(setting, &changed, {.texts = {text}});
    return status.ok() ? status : with_context(status.error(), key);
  }
  return Error{ErrorCode::kInvalidArgument,
               key + " cannot be changed while the server runs, expected one of " + known};
}

}  // namespace millrace
