// Walks the table of settings and writes what it finds.
#include "serve/config/config_printer.h"

#include "base/check.h"
#include "base/json.h"
#include "serve/config/schema.h"
#include "serve/config/setting_value.h"

namespace millrace {
namespace {

constexpr std::size_t kCommentColumn = 44;

class Printer {
 public:
  explicit Printer(const ConfigOrigins& origins) : origins_(origins) {}

  void print_settings(const Section& section, void* owner, const std::string& path,
                      std::size_t indent) {
    for (const Setting& setting : section.settings) print_setting(setting, owner, path, indent);
    for (const Section& inner : section.sections) {
      const std::string inner_path = join_path(path, inner.key);
      const std::string margin(indent, ' ');
      if (path.empty()) text_ += "\n";
      if (inner.is_list()) {
        print_list(inner, owner, inner_path, indent);
      } else {
        text_ += margin + inner.key + ":\n";
        print_settings(inner, inner.open(owner), inner_path, indent + 2);
      }
    }
  }

  std::string text() && { return std::move(text_); }

 private:
  void print_list(const Section& section, void* owner, const std::string& path,
                  std::size_t indent) {
    const std::size_t num_items = section.list.size(owner);
    text_ += std::string(indent, ' ') + section.key + (num_items == 0 ? ": []\n" : ":\n");
    for (std::size_t i = 0; i < num_items; ++i) {
      const std::size_t begin = text_.size();
      const std::size_t inner = indent + 4;
      print_settings(section, section.list.at(owner, i), join_path(path, std::to_string(i)), inner);
      // The dash goes before the item's first key that is not a comment; comments may stand above.
      const std::size_t dash = first_key(begin, inner);
      CHECK(dash != std::string::npos);
      text_[dash - 2] = '-';
    }
  }

  // Where the first line after `begin` that is no comment has its key.
  std::size_t first_key(std::size_t begin, std::size_t indent) const {
    while (begin + indent < text_.size()) {
      if (text_[begin + indent] != '#') return begin + indent;
      begin = text_.find('\n', begin) + 1;
    }
    return std::string::npos;
  }

  void print_setting(const Setting& setting, void* owner, const std::string& path,
                     std::size_t indent) {
    const std::vector<std::string> texts = value_texts(setting, owner);
    const std::string margin(indent, ' ');
    const auto origin = origins_.find(join_path(path, setting.key));
    const std::string from = origin != origins_.end() ? origin->second : "default";
    if (texts.empty() && !is_list(setting, owner)) {
      text_ += margin + "# " + setting.key + ": is not set\n";
      return;
    }
    std::string line = margin + setting.key + ": " + value_of(setting, owner, texts);
    if (line.size() < kCommentColumn) line.resize(kCommentColumn, ' ');
    text_ += line + "  # " + from + "\n";
  }

  static std::string value_of(const Setting& setting, void* owner,
                              const std::vector<std::string>& texts) {
    if (setting.secrecy == Secrecy::kSecret) return quoted(kHiddenValue);
    if (is_plain(setting, owner)) return texts.front();
    if (!is_list(setting, owner)) return quoted(texts.front());
    std::string list;
    for (const std::string& text : texts) list += (list.empty() ? "" : ", ") + quoted(text);
    return "[" + list + "]";
  }

  // JSON's escapes are YAML's too. "${" would be taken for a variable.
  static std::string quoted(const std::string& text) {
    std::string escaped;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text.compare(i, 2, "${") == 0) escaped += '$';
      escaped += text[i];
    }
    return Json(escaped).dump(-1, ' ', true, Json::error_handler_t::replace);
  }

  const ConfigOrigins& origins_;
  std::string text_;
};

}  // namespace

std::string print_config(const LoadedConfig& loaded) {
  ServerConfig copy = loaded.config;  // The table's functions take owners that may change.
  // A key that came from a file is the file's.
  if (!copy.admin.key_file.empty()) copy.admin.key.clear();
  for (ApiKeyConfig& key : copy.api_keys) {
    if (!key.key_file.empty()) key.key.clear();
  }
  Printer printer(loaded.origins);
  printer.print_settings(config_schema(), &copy, "", 0);
  return std::move(printer).text();
}

}  // namespace millrace
