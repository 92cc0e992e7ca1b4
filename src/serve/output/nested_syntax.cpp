// One recursive descent over marks and elements.
#include "serve/output/nested_syntax.h"

#include <string>
#include <utility>

#include "serve/output/mark_search.h"

namespace millrace {
namespace {

constexpr std::size_t kDepthMax = 32;
constexpr std::size_t kKeyBytesMax = 256;

const OrderedJson* member(const OrderedJson* schema, const char* keyword) {
  if (schema == nullptr || !schema->is_object()) return nullptr;
  const auto found = schema->find(keyword);
  return found == schema->end() ? nullptr : &*found;
}

class NestedReader {
 public:
  explicit NestedReader(std::string_view text) : rest_(text) {}

  std::string_view rest() const { return rest_; }

  bool take(std::string_view text) {
    if (!starts_with(rest_, text)) return false;
    rest_.remove_prefix(text.size());
    return true;
  }
  void skip_white() { rest_.remove_prefix(num_white_front(rest_)); }

  std::optional<std::string_view> until(std::string_view end) {
    const std::size_t at = rest_.find(end);
    if (at == std::string_view::npos) return std::nullopt;
    const std::string_view found = rest_.substr(0, at);
    rest_.remove_prefix(at + end.size());
    return found;
  }

  // Elements up to the mark of `end`, with it: of an array when all of them are items.
  std::optional<OrderedJson> elements(const std::string& end, const OrderedJson* schema,
                                      std::size_t depth) {
    if (depth > kDepthMax) return std::nullopt;
    OrderedJson object = OrderedJson::object();
    OrderedJson array = OrderedJson::array();
    while (true) {
      skip_white();
      if (!take(kNestedMark)) return std::nullopt;
      if (take("</" + end + ">")) break;
      if (!take("<")) return std::nullopt;
      const std::optional<std::string_view> key = until(">");
      if (!key || key->empty() || key->size() > kKeyBytesMax) return std::nullopt;
      const std::string name(*key);
      const OrderedJson* const own = schema_of(schema, name);
      std::optional<OrderedJson> value = this->value(name, own, depth + 1);
      if (!value) return std::nullopt;
      if (name == "item") array.push_back(*value);
      object[name] = *std::move(value);
    }
    const bool is_array = depth > 0 && !array.empty() && object.size() == 1;
    return is_array ? std::move(array) : std::move(object);
  }

 private:
  static const OrderedJson* schema_of(const OrderedJson* schema, const std::string& name) {
    if (const OrderedJson* const own = member(member(schema, "properties"), name.c_str())) {
      return own;
    }
    return name == "item" ? member(schema, "items") : nullptr;
  }

  // Behind its opening tag, up to its closing one, with it.
  std::optional<OrderedJson> value(const std::string& name, const OrderedJson* schema,
                                   std::size_t depth) {
    const std::string opening = std::string(kNestedMark) + "<";
    const std::string_view inside = rest_.substr(num_white_front(rest_));
    if (starts_with(inside, opening) && !starts_with(inside, opening + "/")) {
      return elements(name, schema, depth);
    }
    const std::optional<std::string_view> text =
        until(std::string(kNestedMark) + "</" + name + ">");
    if (!text) return std::nullopt;
    const OrderedJson* const type = member(schema, "type");
    if (type != nullptr && *type == "string") return OrderedJson(std::string(*text));
    if (text->empty() && type != nullptr && *type == "array") return OrderedJson::array();
    if (text->empty() && type != nullptr && *type == "object") return OrderedJson::object();
    Result<OrderedJson> parsed = parse_ordered_json(*text, "value");
    if (parsed.ok()) return std::move(parsed).value();
    return OrderedJson(std::string(*text));
  }

  std::string_view rest_;
};

const OrderedJson* parameters_of(const OrderedJson& tools, std::string_view name) {
  for (const OrderedJson& tool : tools) {
    const OrderedJson& function = tool["function"];
    const auto& known = function["name"].get_ref<const std::string&>();
    if (known == name) return member(&function, "parameters");
  }
  return nullptr;
}

}  // namespace

std::optional<ParsedCall> parse_nested_call(std::string_view text, const OrderedJson& tools,
                                            std::size_t& num_bytes) {
  NestedReader reader(text);
  const std::optional<std::string_view> name = reader.until("\">");
  if (!name || !is_call_name(*name)) return std::nullopt;
  const std::optional<OrderedJson> arguments =
      reader.elements("invoke", parameters_of(tools, *name), 0);
  if (!arguments) return std::nullopt;
  num_bytes = text.size() - reader.rest().size();
  return ParsedCall{std::string(*name),
                    arguments->dump(-1, ' ', false, OrderedJson::error_handler_t::replace)};
}

}  // namespace millrace
