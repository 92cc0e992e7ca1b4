// Tags taken off the front, one after the other.
#include "serve/output/invoke_syntax.h"

#include <string>

#include "serve/output/mark_search.h"

namespace millrace {
namespace {

// The value of a parameter between its tags: MiniCPM wraps texts that have tags themselves.
std::string_view without_cdata(std::string_view value) {
  constexpr std::string_view kOpen = "<![CDATA[";
  constexpr std::string_view kClose = "]]>";
  if (!starts_with(value, kOpen) || value.size() < kOpen.size() + kClose.size()) return value;
  if (value.substr(value.size() - kClose.size()) != kClose) return value;
  return value.substr(kOpen.size(), value.size() - kOpen.size() - kClose.size());
}

// Takes what ends with a quote off the front.
std::optional<std::string_view> take_quoted(std::string_view& rest) {
  const std::size_t end = rest.find('"');
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view found = rest.substr(0, end);
  rest.remove_prefix(end + 1);
  return found;
}

bool take(std::string_view& rest, std::string_view mark) {
  const std::string_view text = rest.substr(num_white_front(rest));
  if (!starts_with(text, mark)) return false;
  rest = text.substr(mark.size());
  return true;
}

}  // namespace

InvokeTags invoke_tags(ToolFormat format) {
  switch (format) {
    case ToolFormat::kDsml:
      return {"｜DSML｜invoke", "｜DSML｜parameter"};
    case ToolFormat::kAtem:
      return {"atem:invoke", "atem:parameter"};
    case ToolFormat::kMiniCpm:
      return {"function", "param"};
    default:
      return {"invoke", "parameter"};
  }
}

std::optional<ParsedCall> parse_invoke(std::string_view text, const InvokeTags& tags,
                                       const OrderedJson& tools, std::size_t& num_bytes) {
  const std::string call_end = "</" + std::string(tags.call) + ">";
  const std::string parameter_open = "<" + std::string(tags.parameter) + " name=\"";
  const std::string parameter_end = "</" + std::string(tags.parameter) + ">";
  std::string_view rest = text;
  const std::optional<std::string_view> name = take_quoted(rest);
  if (!name || !is_call_name(*name) || !take(rest, ">")) return std::nullopt;
  OrderedJson arguments = OrderedJson::object();
  while (!take(rest, call_end)) {
    if (!take(rest, parameter_open)) return std::nullopt;
    const std::optional<std::string_view> key = take_quoted(rest);
    if (!key) return std::nullopt;
    const bool is_text = take(rest, "string=\"true\"");
    if (!is_text) take(rest, "string=\"false\"");
    if (!take(rest, ">")) return std::nullopt;
    const std::size_t end = rest.find(parameter_end);
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view value = rest.substr(0, end);
    const std::string_view plain = without_cdata(value);
    rest.remove_prefix(end + parameter_end.size());
    const bool stays_text = is_text || plain.size() != value.size();
    arguments[std::string(*key)] =
        stays_text ? OrderedJson(std::string(plain)) : argument_value(plain, tools, *name, *key);
  }
  num_bytes = text.size() - rest.size();
  return ParsedCall{std::string(*name),
                    arguments.dump(-1, ' ', false, OrderedJson::error_handler_t::replace)};
}

}  // namespace millrace
