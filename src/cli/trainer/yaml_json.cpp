// Types of YAML's plain words.
#include "cli/trainer/yaml_json.h"

namespace millrace {
namespace {

OrderedJson scalar_of(const std::string& text) {
  if (text == "true") return true;
  if (text == "false") return false;
  if (text == "null" || text == "~") return nullptr;
  // What JSON takes as a number; 1e-3 and 0.5 alike.
  const bool looks_numeric =
      !text.empty() && text.find_first_not_of("0123456789+-.eE") == std::string::npos;
  if (!looks_numeric) return text;
  OrderedJson number = OrderedJson::parse(text, nullptr, false);
  return number.is_number() ? number : OrderedJson(text);
}

}  // namespace

OrderedJson json_of_yaml(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      return nullptr;
    case YamlNode::Kind::kText:
      return scalar_of(node.text);
    case YamlNode::Kind::kList: {
      OrderedJson list = OrderedJson::array();
      for (const YamlNode& item : node.items) list.push_back(json_of_yaml(item));
      return list;
    }
    case YamlNode::Kind::kMap: {
      OrderedJson map = OrderedJson::object();
      for (std::size_t i = 0; i < node.items.size(); ++i) {
        map[node.keys[i]] = json_of_yaml(node.items[i]);
      }
      return map;
    }
  }
  CHECK(false);
}

}  // namespace millrace
