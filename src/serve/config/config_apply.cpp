// Walking the table of settings along a YAML tree or a path.
#include "serve/config/config_apply.h"

#include <algorithm>
#include <charconv>
#include <numeric>

#include "serve/config/schema.h"
#include "serve/config/setting_value.h"

namespace millrace {
namespace {

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash + 1);
}

bool names_place_on_disk(const Setting& setting, const std::string& text) {
  if (setting.path == PathKind::kNone || text.empty() || text.front() == '/') return false;
  if (setting.path == PathKind::kNewFile && text == "-") return false;
  return text.rfind("hf://", 0) != 0;
}

std::string quoted_list(const std::vector<std::string>& words) {
  std::string list;
  for (const std::string& word : words) list += (list.empty() ? "" : ", ") + word;
  return list;
}

std::vector<std::string> known_keys(const Section& section) {
  std::vector<std::string> keys;
  for (const Setting& setting : section.settings) keys.emplace_back(setting.key);
  for (const Section& inner : section.sections) keys.emplace_back(inner.key);
  return keys;
}

template <class Row>
const Row* find_row(std::span<const Row> rows, const std::string& key) {
  for (const Row& row : rows) {
    if (key == row.key) return &row;
  }
  return nullptr;
}

Error unknown_key(const Section& section, const std::string& path, const std::string& key) {
  const std::vector<std::string> keys = known_keys(section);
  const std::string near = nearest_word(key, keys);
  return Error{ErrorCode::kInvalidArgument,
               join_path(path, key) + " is unknown" +
                   (near.empty() ? ", expected one of " + quoted_list(keys)
                                 : ", did you mean " + near + "?")};
}

// Once over the tree of one file.
class TreeReader {
 public:
  TreeReader(const ConfigSource& source, ConfigOrigins& origins)
      : source_(source), origins_(origins) {}

  Status read_section(const Section& section, void* owner, const YamlNode& node,
                      const std::string& path) {
    if (node.kind == YamlNode::Kind::kNull) return Ok{};
    if (node.kind != YamlNode::Kind::kMap) {
      return at(node.line, path + " is not allowed to be a value or a list, expected keys: " +
                               quoted_list(known_keys(section)));
    }
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      TRY(read_entry(section, owner, node, i, path));
    }
    return Ok{};
  }

 private:
  Error at(std::size_t line, const std::string& message) const {
    return Error{ErrorCode::kInvalidArgument,
                 source_.name + ":" + std::to_string(line) + ": " + message};
  }

  Status read_entry(const Section& section, void* owner, const YamlNode& node, std::size_t i,
                    const std::string& path) {
    const std::string& key = node.keys[i];
    const std::size_t line = node.key_lines[i];
    const std::string inner_path = join_path(path, key);
    if (const Setting* setting = find_row(section.settings, key)) {
      return read_setting(*setting, owner, node.items[i], inner_path);
    }
    const Section* inner = find_row(section.sections, key);
    if (inner == nullptr) return at(line, unknown_key(section, path, key).message);
    if (inner->is_list()) return read_list(*inner, owner, node.items[i], inner_path);
    return read_section(*inner, inner->open(owner), node.items[i], inner_path);
  }

  Status read_list(const Section& section, void* owner, const YamlNode& node,
                   const std::string& path) {
    section.list.clear(owner);
    std::erase_if(origins_, [&](const auto& entry) { return entry.first.starts_with(path + "."); });
    if (node.kind == YamlNode::Kind::kNull) return Ok{};
    if (node.kind != YamlNode::Kind::kList) {
      return at(node.line, path + " is not a list, expected one item with \"- \" for each");
    }
    if (node.items.size() > section.items_max) {
      return at(node.line, path + " has " + std::to_string(node.items.size()) + " items, at most " +
                               std::to_string(section.items_max));
    }
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      section.list.append(owner);
      const std::string item_path = join_path(path, std::to_string(i));
      if (node.items[i].kind == YamlNode::Kind::kNull) {
        return at(node.items[i].line, item_path + " is empty");
      }
      TRY(read_section(section, section.list.at(owner, i), node.items[i], item_path));
    }
    return Ok{};
  }

  Status read_setting(const Setting& setting, void* owner, const YamlNode& node,
                      const std::string& path) {
    RawValue value;
    if (node.kind == YamlNode::Kind::kNull) {
      value.kind = RawValue::Kind::kNone;
    } else if (node.kind == YamlNode::Kind::kText) {
      value.texts.push_back(node.text);
    } else if (node.kind == YamlNode::Kind::kList) {
      value.kind = RawValue::Kind::kList;
      for (const YamlNode& item : node.items) {
        if (item.kind != YamlNode::Kind::kText) {
          return at(item.line, path + " has an item that is no text");
        }
        value.texts.push_back(item.text);
      }
    } else {
      return at(node.line, path + " has keys, expected " + type_name(setting, owner));
    }
    for (std::string& text : value.texts) {
      const Status expanded = expand(text);
      if (!expanded.ok()) return at(node.line, path + ": " + expanded.error().message);
      if (names_place_on_disk(setting, text)) text = folder_of(source_.name) + text;
    }
    const Status done = set_value(setting, owner, value);
    if (!done.ok()) return at(node.line, path + ": " + done.error().message);
    origins_[path] = source_.name + ":" + std::to_string(node.line);
    return Ok{};
  }

  // ${NAME} becomes the variable's value, $${ a plain ${.
  Status expand(std::string& text) const {
    std::string result;
    std::size_t from = 0;
    for (;;) {
      const std::size_t begin = text.find("${", from);
      if (begin == std::string::npos) break;
      if (begin > from && text[begin - 1] == '$') {
        result += text.substr(from, begin - from - 1) + "${";
        from = begin + 2;
        continue;
      }
      const std::size_t end = text.find('}', begin);
      const std::string name =
          end == std::string::npos ? "" : text.substr(begin + 2, end - begin - 2);
      const bool is_name = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
      });
      if (!is_name) {
        return Error{ErrorCode::kInvalidArgument,
                     "\"${\" is not followed by a name and \"}\"; write $${ for a plain ${"};
      }
      const auto value = source_.variable ? source_.variable(name) : std::nullopt;
      if (!value) {
        return Error{ErrorCode::kInvalidArgument,
                     "the environment variable " + name + " is not set"};
      }
      result += text.substr(from, begin - from) + *value;
      from = end + 1;
    }
    text = result + text.substr(from);
    return Ok{};
  }

  const ConfigSource& source_;
  ConfigOrigins& origins_;
};

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts(1);
  for (const char letter : text) {
    if (letter == separator) {
      parts.emplace_back();
    } else {
      parts.back() += letter;
    }
  }
  return parts;
}

// The struct of one item of a list; `index` may be one past the end.
Result<void*> open_item(const Section& section, void* owner, const std::string& path,
                        const std::string& index_text) {
  std::size_t index = 0;
  const char* const end = index_text.data() + index_text.size();
  const auto [rest, failed] = std::from_chars(index_text.data(), end, index);
  const std::size_t size = section.list.size(owner);
  if (failed != std::errc() || rest != end || index > size || index >= section.items_max) {
    return Error{ErrorCode::kInvalidArgument, path + " has no item \"" + index_text +
                                                  "\", expected a number from 0 to " +
                                                  std::to_string(size)};
  }
  if (index == size) section.list.append(owner);
  return section.list.at(owner, index);
}

}  // namespace

std::string nearest_word(const std::string& word, const std::vector<std::string>& known) {
  constexpr std::size_t kLettersMax = 64;
  constexpr std::size_t kDistanceMax = 3;
  if (word.size() > kLettersMax) return "";
  std::string nearest;
  std::size_t nearest_distance = std::min(kDistanceMax, word.size() / 2) + 1;
  for (const std::string& other : known) {
    // What begins with another letter is rarely meant: "host" is not a slip of "port".
    if (other.substr(0, 1) != word.substr(0, 1)) continue;
    // Levenshtein's distance, one row at a time.
    std::vector<std::size_t> row(other.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 0; i < word.size(); ++i) {
      std::size_t diagonal = row[0];
      row[0] = i + 1;
      for (std::size_t j = 0; j < other.size(); ++j) {
        const std::size_t change = diagonal + (word[i] == other[j] ? 0 : 1);
        diagonal = row[j + 1];
        row[j + 1] = std::min({change, row[j] + 1, row[j + 1] + 1});
      }
    }
    if (row.back() < nearest_distance) {
      nearest_distance = row.back();
      nearest = other;
    }
  }
  return nearest;
}

Status apply_tree(const ConfigSource& source, const YamlNode& root, LoadedConfig& loaded) {
  TreeReader reader(source, loaded.origins);
  if (root.kind != YamlNode::Kind::kMap && root.kind != YamlNode::Kind::kNull) {
    return Error{ErrorCode::kInvalidArgument,
                 source.name + ":" + std::to_string(root.line) +
                     ": expected keys: " + quoted_list(known_keys(config_schema()))};
  }
  return reader.read_section(config_schema(), &loaded.config, root, "");
}

Status apply_override(const ConfigOverride& change, LoadedConfig& loaded) {
  const auto failed = [&](const std::string& message) {
    return Error{ErrorCode::kInvalidArgument, change.origin + ": " + message};
  };
  const std::vector<std::string> keys = split(change.path, '.');
  const Section* section = &config_schema();
  void* owner = &loaded.config;
  std::string path;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (const Setting* setting = find_row(section->settings, keys[i])) {
      if (i + 1 < keys.size()) return failed(join_path(path, keys[i]) + " has no keys");
      RawValue value{.texts = {change.value}};
      if (is_list(*setting, owner)) value = {RawValue::Kind::kList, split(change.value, ',')};
      const Status done = set_value(*setting, owner, value);
      if (!done.ok()) return failed(done.error().message);
      loaded.origins[change.path] = change.origin;
      return Ok{};
    }
    const Section* inner = find_row(section->sections, keys[i]);
    if (inner == nullptr) return failed(unknown_key(*section, path, keys[i]).message);
    path = join_path(path, keys[i]);
    if (!inner->is_list()) {
      owner = inner->open(owner);
    } else {
      if (++i == keys.size()) break;
      const Result<void*> item = open_item(*inner, owner, path, keys[i]);
      if (!item.ok()) return failed(item.error().message);
      owner = item.value();
      path = join_path(path, keys[i]);
    }
    section = inner;
  }
  return failed(change.path + " is no single value; its keys are " +
                quoted_list(known_keys(*section)));
}

}  // namespace millrace
