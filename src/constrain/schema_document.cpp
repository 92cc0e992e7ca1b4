// Names and pointers into a schema.
#include "constrain/schema_document.h"

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "constrain/schema_rewrite.h"

namespace millrace {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string percent_decoded(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool is_escape = text[i] == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 &&
                           hex_digit(text[i + 2]) >= 0;
    if (!is_escape) {
      out += text[i];
      continue;
    }
    out += static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
    i += 2;
  }
  return out;
}

// ~1 is a slash, ~0 a tilde (RFC 6901).
std::string pointer_decoded(const std::string& token) {
  std::string out;
  for (std::size_t i = 0; i < token.size(); ++i) {
    if (token[i] == '~' && i + 1 < token.size() && (token[i + 1] == '0' || token[i + 1] == '1')) {
      out += token[++i] == '0' ? '~' : '/';
    } else {
      out += token[i];
    }
  }
  return out;
}

std::string pointer_encoded(const std::string& key) {
  std::string out;
  for (const char c : key) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out += c;
    }
  }
  return out;
}

const SchemaNode* child_of(const SchemaNode& node, const std::string& token) {
  if (node.is_object()) {
    const auto found = node.find(token);
    return found == node.end() ? nullptr : &*found;
  }
  constexpr std::size_t kIndexDigitsMax = 9;
  if (!node.is_array() || token.empty() || token.size() > kIndexDigitsMax) return nullptr;
  if (token.find_first_not_of("0123456789") != std::string::npos) return nullptr;
  const std::size_t index = std::stoul(token);
  return index < node.size() ? &node[index] : nullptr;
}

bool find_place(const SchemaNode& at, const SchemaNode& wanted, std::string& place) {
  if (&at == &wanted) return true;
  if (!at.is_structured()) return false;
  std::size_t index = 0;
  for (auto child = at.begin(); child != at.end(); ++child, ++index) {
    const std::size_t size = place.size();
    place += '/';
    place += at.is_object() ? pointer_encoded(child.key()) : std::to_string(index);
    if (find_place(*child, wanted, place)) return true;
    place.resize(size);
  }
  return false;
}

}  // namespace

const SchemaNode* follow_pointer(const SchemaNode& from, const std::string& pointer) {
  const SchemaNode* node = &from;
  std::size_t begin = 1;  // behind the first slash
  while (node != nullptr && begin <= pointer.size()) {
    const std::size_t end = std::min(pointer.find('/', begin), pointer.size());
    node = child_of(*node, pointer_decoded(pointer.substr(begin, end - begin)));
    begin = end + 1;
  }
  return node;
}

Error schema_error(ErrorCode code, const std::string& place, const std::string& what) {
  constexpr std::size_t kPlaceBytesMax = 300;
  return Error{code, "schema at " + place.substr(0, kPlaceBytesMax) + ": " + what};
}

Result<SchemaDocument> SchemaDocument::parse(const std::string& text, const JsonLimits& limits) {
  SchemaDocument document;
  auto parsed = std::make_unique<SchemaNode>(TRY(parse_ordered_json(text, "schema", limits)));
  rewrite_conditions(*parsed);
  document.root_ = std::move(parsed);
  const SchemaNode& root = *document.root_;
  if (!root.is_object() && !root.is_boolean()) {
    return Error{ErrorCode::kInvalidArgument, "schema: expected an object or a boolean"};
  }
  document.collect_names(root, "");
  return document;
}

void SchemaDocument::collect_names(const SchemaNode& node, const std::string& id) {
  std::string own_id = id;
  if (node.is_object()) {
    const auto text_of = [&](const char* key) -> std::optional<std::string> {
      const auto found = node.find(key);
      if (found == node.end() || !found->is_string()) return std::nullopt;
      return found->get<std::string>();
    };
    if (const auto found = text_of("$id")) {
      own_id = found->substr(0, found->find('#'));
      names_.try_emplace(own_id, &node);
    }
    if (const auto found = text_of("$anchor")) names_.try_emplace(own_id + "#" + *found, &node);
  }
  if (&node == root_.get()) root_id_ = own_id;
  if (!node.is_structured()) return;
  for (const SchemaNode& child : node) collect_names(child, own_id);
}

Result<const SchemaNode*> SchemaDocument::resolve(const std::string& reference) const {
  const std::size_t hash = std::min(reference.find('#'), reference.size());
  const std::string id = reference.substr(0, hash);
  const std::string fragment =
      hash < reference.size() ? percent_decoded(reference.substr(hash + 1)) : "";
  const SchemaNode* base = root_.get();
  if (!id.empty()) {
    const auto found = names_.find(id);
    base = found == names_.end() ? nullptr : found->second;
  }
  const SchemaNode* target = base;
  if (base != nullptr && fragment.starts_with('/')) {
    target = follow_pointer(*base, fragment);
  } else if (base != nullptr && !fragment.empty()) {
    const auto found = names_.find((id.empty() ? root_id_ : id) + "#" + fragment);
    target = found == names_.end() ? nullptr : found->second;
  }
  if (target == nullptr) {
    return Error{ErrorCode::kInvalidArgument,
                 "$ref '" + reference + "' leads nowhere in the schema; others are not fetched"};
  }
  return target;
}

std::string SchemaDocument::place_of(const SchemaNode& node) const {
  std::string place = "#";
  return find_place(*root_, node, place) ? place : "#";
}

}  // namespace millrace
