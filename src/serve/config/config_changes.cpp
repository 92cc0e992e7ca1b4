// Two walks of the table of settings, side by side.
#include "serve/config/config_changes.h"

#include <algorithm>

#include "serve/config/schema.h"
#include "serve/config/setting_value.h"

namespace millrace {
namespace {

bool is_all_live(const Section& section) {
  return section.sections.empty() &&
         std::all_of(section.settings.begin(), section.settings.end(),
                     [](const Setting& setting) { return setting.reload == Reload::kLive; });
}

std::string text_of(const Setting& setting, const std::vector<std::string>& texts) {
  if (setting.secrecy == Secrecy::kSecret) return kHiddenValue;
  if (texts.empty()) return "nothing";
  std::string all;
  for (const std::string& text : texts) all += (all.empty() ? "" : ", ") + text;
  return all;
}

std::string count_text(std::size_t num_items) {
  return std::to_string(num_items) + (num_items == 1 ? " item" : " items");
}

void compare(const Section& section, void* before, void* after, const std::string& path,
             std::vector<ConfigChange>& changes) {
  for (const Setting& setting : section.settings) {
    const std::vector<std::string> first = value_texts(setting, before);
    const std::vector<std::string> second = value_texts(setting, after);
    if (first == second) continue;
    changes.push_back({join_path(path, setting.key), setting.reload, text_of(setting, first),
                       text_of(setting, second)});
  }
  for (const Section& inner : section.sections) {
    const std::string inner_path = join_path(path, inner.key);
    if (!inner.is_list()) {
      compare(inner, inner.open(before), inner.open(after), inner_path, changes);
      continue;
    }
    const std::size_t num_items = inner.list.size(before);
    const std::size_t num_after = inner.list.size(after);
    if (num_items != num_after) {
      changes.push_back({inner_path, is_all_live(inner) ? Reload::kLive : Reload::kRestart,
                         count_text(num_items), count_text(num_after)});
      continue;
    }
    for (std::size_t i = 0; i < num_items; ++i) {
      compare(inner, inner.list.at(before, i), inner.list.at(after, i),
              join_path(inner_path, std::to_string(i)), changes);
    }
  }
}

}  // namespace

std::vector<ConfigChange> config_changes(const ServerConfig& before, const ServerConfig& after) {
  ServerConfig first = before;  // The table's functions take owners that may change.
  ServerConfig second = after;
  std::vector<ConfigChange> changes;
  compare(config_schema(), &first, &second, "", changes);
  return changes;
}

}  // namespace millrace
