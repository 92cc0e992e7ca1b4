// The pages that people and editors read, in the order of the table.
#include "serve/config/config_documentation.h"

#include <cmath>

#include "base/json.h"
#include "serve/config/profile.h"
#include "serve/config/schema.h"
#include "serve/config/server_config.h"
#include "serve/config/setting_value.h"

namespace millrace {
namespace {

// An owner with defaults for every section.
struct Walk {
  const Section* section;
  void* owner;
  std::string path;
};

std::vector<Walk> all_sections(ServerConfig& defaults) {
  std::vector<Walk> walks = {{&config_schema(), &defaults, ""}};
  for (std::size_t i = 0; i < walks.size(); ++i) {
    const Walk outer = walks[i];
    std::size_t place = i + 1;
    for (const Section& inner : outer.section->sections) {
      const std::string path = join_path(outer.path, inner.key) + (inner.is_list() ? "[]" : "");
      const Walk walk = {&inner, inner.open(outer.owner), path};
      walks.insert(walks.begin() + static_cast<std::ptrdiff_t>(place), walk);
      ++place;
    }
  }
  return walks;
}

std::string default_of(const Setting& setting, void* owner) {
  std::string list;
  for (const std::string& text : value_texts(setting, owner)) {
    list += (list.empty() ? "`" : ", `") + text + "`";
  }
  return list;
}

std::string kind_of(const Setting& setting, void* owner) {
  const std::string allowed = allowed_values(setting, owner);
  return type_name(setting, owner) + (allowed.empty() ? "" : ": " + allowed);
}

void add_rows(const Walk& walk, std::string& page) {
  page += "\n| key | default | value | flag | live | |\n|---|---|---|---|---|---|\n";
  for (const Setting& setting : walk.section->settings) {
    page += "| `" + std::string(setting.key) + "` | " + default_of(setting, walk.owner) + " | " +
            kind_of(setting, walk.owner) + " | " +
            (setting.flag != nullptr ? "`" + std::string(setting.flag) + "`" : "") + " | " +
            (setting.reload == Reload::kLive ? "yes" : "") + " | " + setting.help + " |\n";
  }
}

void add_profile(const char* name, Profile profile, std::string& page) {
  page += "\n## Profile " + std::string(name) + "\n\n| path | value | why |\n|---|---|---|\n";
  for (const ProfileSetting& setting : profile_settings(profile)) {
    page +=
        "| `" + std::string(setting.path) + "` | `" + setting.value + "` | " + setting.why + " |\n";
  }
}

// A value as it may stand in the file. Any value may also be "${NAME}".
struct ValueSchema {
  const Setting& setting;

  template <class T>
  OrderedJson operator()(std::optional<T>*) const {
    OrderedJson schema = (*this)(static_cast<T*>(nullptr));
    return {{"anyOf", OrderedJson::array({schema, {{"type", "null"}}})}};
  }
  OrderedJson operator()(std::string*) const {
    if (setting.choices != nullptr) return choices();
    return {{"type", "string"}};
  }
  OrderedJson operator()(bool*) const { return {{"type", "boolean"}}; }
  OrderedJson operator()(std::uint16_t*) const { return number("integer"); }
  OrderedJson operator()(std::uint64_t*) const {
    if (setting.unit == Unit::kNone) return number("integer");
    const OrderedJson text = {{"type", "string"},
                              {"pattern", "^[0-9.]+ *([KkMmGgTt]([Ii]?[Bb])?|[Bb])?$"}};
    return {{"anyOf", OrderedJson::array({number("integer"), text})}};
  }
  OrderedJson operator()(double*) const { return number("number"); }
  OrderedJson operator()(Duration*) const {
    return {{"type", "string"}, {"pattern", "^[0-9.]+ *(ns|us|ms|s|m|h|d)$"}};
  }
  OrderedJson operator()(std::vector<std::string>*) const {
    const OrderedJson item =
        setting.choices != nullptr ? choices() : OrderedJson{{"type", "string"}};
    const OrderedJson list = {{"type", "array"}, {"items", item}};
    return {{"anyOf", OrderedJson::array({list, item})}};
  }
  OrderedJson operator()(ChoiceRef) const { return choices(); }

 private:
  OrderedJson choices() const {
    OrderedJson names = OrderedJson::array();
    for (const std::string_view name : split_choices(setting.choices)) names.push_back(name);
    return {{"enum", names}};
  }
  static OrderedJson bound(double value) {
    if (value == std::floor(value)) return static_cast<std::int64_t>(value);
    return value;
  }
  OrderedJson number(const char* type) const {
    OrderedJson schema = {{"type", type}, {"minimum", bound(setting.min)}};
    if (std::isfinite(setting.max)) schema["maximum"] = bound(setting.max);
    return schema;
  }
};

OrderedJson section_schema(const Section& section, void* owner) {
  OrderedJson properties = OrderedJson::object();
  for (const Setting& setting : section.settings) {
    OrderedJson value = std::visit(ValueSchema{setting}, setting.field(owner));
    if (!std::holds_alternative<std::string*>(setting.field(owner)) || setting.choices != nullptr) {
      const OrderedJson variable = {{"type", "string"}, {"pattern", "\\$\\{[A-Za-z0-9_]+\\}"}};
      value = {{"anyOf", OrderedJson::array({value, variable})}};
    }
    value["description"] = setting.help;
    properties[setting.key] = value;
  }
  for (const Section& inner : section.sections) {
    OrderedJson schema = section_schema(inner, inner.open(owner));
    if (inner.is_list()) {
      schema = {{"type", OrderedJson::array({"array", "null"})},
                {"items", schema},
                {"maxItems", inner.items_max}};
    } else {
      schema["type"] = OrderedJson::array({"object", "null"});
    }
    schema["description"] = inner.help;
    properties[inner.key] = schema;
  }
  return {{"type", "object"}, {"properties", properties}, {"additionalProperties", false}};
}

}  // namespace

std::string configuration_markdown() {
  ServerConfig defaults;
  std::string page;
  for (const Walk& walk : all_sections(defaults)) {
    page += "\n## " + (walk.path.empty() ? "Top level" : "`" + walk.path + "`") + "\n";
    if (walk.section->help[0] != '\0') page += "\n" + std::string(walk.section->help) + "\n";
    add_rows(walk, page);
  }
  add_profile("realtime", Profile::kRealtime, page);
  add_profile("batch", Profile::kBatch, page);
  return page;
}

std::string configuration_json_schema() {
  ServerConfig defaults;
  OrderedJson schema = {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                        {"title", "Configuration of millrace serve"}};
  schema.update(section_schema(config_schema(), &defaults));
  return schema.dump(2) + "\n";
}

}  // namespace millrace
