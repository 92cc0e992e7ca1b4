// Headers read byte by byte; whole calls through JSON.
#include "serve/output/call_syntax.h"

#include <algorithm>
#include <utility>

#include "serve/output/literal_syntax.h"
#include "serve/output/mark_search.h"

namespace millrace {
namespace {

constexpr std::size_t kNameBytesMax = 256;

// Steps over a text; `is_short` says that it ended before the step could.
struct Cursor {
  std::string_view text;
  std::size_t at = 0;
  bool is_short = false;

  bool skip(char c) {
    at += num_white_front(text.substr(at));
    is_short = at == text.size();
    if (is_short || text[at] != c) return false;
    ++at;
    return true;
  }
  char peek() {
    at += num_white_front(text.substr(at));
    is_short = at == text.size();
    return is_short ? '\0' : text[at];
  }
  // A string without escapes.
  std::optional<std::string_view> plain_string() {
    if (!skip('"')) return std::nullopt;
    const std::size_t end = text.find_first_of("\"\\", at);
    is_short = end == std::string_view::npos;
    if (is_short || text[end] == '\\') return std::nullopt;
    const std::string_view found = text.substr(at, end - at);
    at = end + 1;
    return found;
  }
};

bool is_arguments_key(std::string_view key) {
  return key == "arguments" || key == "parameters";
}

bool is_name_key(std::string_view key) {
  return key == "name" || key == "tool_name";
}

// What the object of a call may begin with.
bool is_call_key(std::string_view key) {
  return is_name_key(key) || is_arguments_key(key) || key == "function" || key == "type" ||
         key == "id" || key == "tool_call_id";
}

CallHeader undecided(const Cursor& cursor, CallStart otherwise) {
  if (!cursor.is_short) return {.start = otherwise};
  return {.start = cursor.text.size() == kHeaderBytesMax ? CallStart::kNone : CallStart::kNeedMore};
}

// The arguments of a call object; nothing when it can be none.
std::optional<std::string> arguments_of(const OrderedJson& call) {
  for (const char* const key : {"arguments", "parameters"}) {
    const auto found = call.find(key);
    if (found == call.end() || found->is_null()) continue;
    if (found->is_string()) return found->get<std::string>();
    if (!found->is_object()) return std::nullopt;
    return found->dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
  }
  return "{}";
}

// The schema of one parameter of one tool, or null.
const OrderedJson* schema_of(const OrderedJson& tools, std::string_view name,
                             std::string_view parameter) {
  for (const OrderedJson& tool : tools) {
    const OrderedJson& function = tool["function"];
    if (function["name"] != name || !function.contains("parameters")) continue;
    const OrderedJson& parameters = function["parameters"];
    const auto properties = parameters.find("properties");
    if (properties == parameters.end() || !properties->is_object()) return nullptr;
    const auto found = properties->find(parameter);
    return found == properties->end() ? nullptr : &*found;
  }
  return nullptr;
}

bool says_string(const OrderedJson* schema) {
  if (schema == nullptr || !schema->is_object()) return false;
  const auto type = schema->find("type");
  return type != schema->end() && *type == "string";
}

// The template puts a value on lines of its own: one line end on each side is not the value's.
std::string_view without_line_ends(std::string_view text) {
  if (starts_with(text, "\n")) text.remove_prefix(1);
  if (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  return text;
}

// Takes `<open>inner<close>` off the front of the text.
std::optional<std::string_view> take_between(std::string_view& text, std::string_view open,
                                             std::string_view close) {
  text.remove_prefix(num_white_front(text));
  if (!starts_with(text, open)) return std::nullopt;
  const std::size_t end = text.find(close, open.size());
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view inner = text.substr(open.size(), end - open.size());
  text.remove_prefix(end + close.size());
  return inner;
}

ParsedCall call_of(std::string_view name, const OrderedJson& arguments) {
  return {std::string(name), arguments.dump(-1, ' ', false, OrderedJson::error_handler_t::replace)};
}

}  // namespace

OrderedJson argument_value(std::string_view text, const OrderedJson& tools, std::string_view name,
                           std::string_view parameter) {
  const OrderedJson* const schema = schema_of(tools, name, parameter);
  if (!says_string(schema)) {
    Result<OrderedJson> parsed = parse_ordered_json(text, "value");
    if (parsed.ok()) return std::move(parsed).value();
    // Templates that print a value as it is show models True and {'k': None}.
    std::optional<OrderedJson> literal;
    if (schema != nullptr) literal = parse_python_literal(text);
    if (literal) return *std::move(literal);
  }
  return std::string(text);
}

bool is_call_name(std::string_view name) {
  if (name.empty() || std::string_view("-.:/").find(name[0]) != std::string_view::npos)
    return false;
  return name.size() <= kNameBytesMax && std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  std::string_view("_-.:/").find(c) != std::string_view::npos;
         });
}

// One member after the other, until the name and the arguments' brace have been seen.
CallHeader read_call_header(std::string_view text) {
  Cursor cursor{text.substr(0, kHeaderBytesMax)};
  if (!cursor.skip('{')) return undecided(cursor, CallStart::kNone);
  std::optional<std::string_view> name;
  for (bool is_first = true;; is_first = false) {
    if (!is_first && !cursor.skip(',')) return undecided(cursor, CallStart::kWholeOnly);
    const std::optional<std::string_view> key = cursor.plain_string();
    if (!key) return undecided(cursor, is_first ? CallStart::kNone : CallStart::kWholeOnly);
    if (is_first && !is_call_key(*key)) return {.start = CallStart::kNone};
    if (!cursor.skip(':')) return undecided(cursor, CallStart::kNone);
    const char next = cursor.peek();
    if (cursor.is_short) return undecided(cursor, CallStart::kNeedMore);
    if (is_arguments_key(*key) && name && next == '{') {
      return {.start = CallStart::kName, .name = std::string(*name), .arguments_at = cursor.at};
    }
    if (next != '"') return {.start = CallStart::kWholeOnly};
    const std::optional<std::string_view> value = cursor.plain_string();
    if (!value) return undecided(cursor, CallStart::kWholeOnly);
    if (!is_name_key(*key)) continue;
    if (!is_call_name(*value)) return {.start = CallStart::kNone};
    name = value;
  }
}

CallHeader read_named_header(std::string_view text) {
  Cursor cursor{text.substr(0, kHeaderBytesMax)};
  if (!cursor.skip('{')) return undecided(cursor, CallStart::kNone);
  const std::optional<std::string_view> name = cursor.plain_string();
  if (!name) return undecided(cursor, CallStart::kNone);
  if (!is_call_name(*name)) return {.start = CallStart::kNone};
  if (!cursor.skip(':')) return undecided(cursor, CallStart::kNone);
  const char next = cursor.peek();
  if (cursor.is_short || next != '{') return undecided(cursor, CallStart::kNone);
  return {.start = CallStart::kName, .name = std::string(*name), .arguments_at = cursor.at};
}

std::optional<ParsedCall> parse_call_object(std::string_view text) {
  const Result<OrderedJson> parsed = parse_ordered_json(text, "call");
  if (!parsed.ok() || !parsed.value().is_object()) return std::nullopt;
  const OrderedJson* call = &parsed.value();
  if (const auto function = call->find("function");
      function != call->end() && function->is_object()) {
    call = &*function;
  }
  auto name = call->find("name");
  for (const char* const other : {"tool_name", "function"}) {
    if (name == call->end()) name = call->find(other);
  }
  if (name == call->end() || !name->is_string()) return std::nullopt;
  std::optional<std::string> arguments = arguments_of(*call);
  if (!arguments || !is_call_name(name->get_ref<const std::string&>())) return std::nullopt;
  return ParsedCall{name->get<std::string>(), *std::move(arguments)};
}

std::optional<ParsedCall> parse_function_tags(std::string_view text, const OrderedJson& tools,
                                              std::size_t& num_bytes) {
  std::string_view rest = text;
  const std::optional<std::string_view> name = take_between(rest, "<function=", ">");
  if (!name || !is_call_name(*name)) return std::nullopt;
  OrderedJson arguments = OrderedJson::object();
  while (true) {
    rest.remove_prefix(num_white_front(rest));
    constexpr std::string_view kEnd = "</function>";
    if (starts_with(rest, kEnd)) {
      num_bytes = text.size() - rest.size() + kEnd.size();
      return call_of(*name, arguments);
    }
    const std::optional<std::string_view> key = take_between(rest, "<parameter=", ">");
    if (!key) return std::nullopt;
    const std::size_t end = rest.find("</parameter>");
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view value = without_line_ends(rest.substr(0, end));
    rest.remove_prefix(end + std::string_view("</parameter>").size());
    arguments[std::string(*key)] = argument_value(value, tools, *name, *key);
  }
}

std::optional<ParsedCall> parse_argument_tags(std::string_view text, const OrderedJson& tools,
                                              std::string_view suffix) {
  const auto tag = [&](const char* name) { return name + std::string(suffix) + ">"; };
  const std::string key_open = tag("<arg_key"), key_close = tag("</arg_key");
  const std::string value_open = tag("<arg_value"), value_close = tag("</arg_value");
  const std::string separator = suffix.empty() ? std::string() : tag("<tool_sep");
  const std::size_t name_end =
      std::min(text.find(separator.empty() ? key_open : separator), text.size());
  if (!separator.empty() && name_end == text.size()) return std::nullopt;
  std::string_view name = text.substr(0, name_end);
  name.remove_prefix(num_white_front(name));
  name.remove_suffix(num_white_back(name));
  if (!is_call_name(name)) return std::nullopt;
  std::string_view rest = text.substr(name_end + separator.size());
  OrderedJson arguments = OrderedJson::object();
  while (num_white_front(rest) < rest.size()) {
    const std::optional<std::string_view> key = take_between(rest, key_open, key_close);
    if (!key) return std::nullopt;
    const std::optional<std::string_view> value = take_between(rest, value_open, value_close);
    if (!value) return std::nullopt;
    arguments[std::string(*key)] = argument_value(*value, tools, name, *key);
  }
  return call_of(name, arguments);
}

}  // namespace millrace
