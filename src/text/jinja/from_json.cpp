// A deep copy, within the sandbox's limits.
#include "text/jinja/from_json.h"

#include <limits>

#include "text/utf8.h"

namespace millrace::jinja {
namespace {

Result<Value> checked_string(Sandbox& sandbox, const std::string& text) {
  if (const auto at = find_invalid_utf8(text)) {
    return template_error("text that is not UTF-8, at byte " + std::to_string(*at) + " of " +
                          std::to_string(text.size()));
  }
  return sandbox.string(text);
}

Result<Value> from_array(Sandbox& sandbox, const OrderedJson& json) {
  TRY(sandbox.reserve(json.size() * sizeof(Value)));
  std::vector<Value> items;
  items.reserve(json.size());
  for (const OrderedJson& item : json) items.push_back(TRY(from_json(sandbox, item)));
  return sandbox.list(std::move(items));
}

Result<Value> from_object(Sandbox& sandbox, const OrderedJson& json) {
  TRY(sandbox.reserve(json.size() * 2 * sizeof(Value)));
  std::vector<std::pair<Value, Value>> entries;
  entries.reserve(json.size());
  for (const auto& [key, value] : json.items()) {
    Value name = TRY(checked_string(sandbox, key));
    entries.emplace_back(std::move(name), TRY(from_json(sandbox, value)));
  }
  return sandbox.dict(std::move(entries));
}

}  // namespace

Result<Value> from_json(Sandbox& sandbox, const OrderedJson& json) {
  TRY(sandbox.spend(1));
  TRY(sandbox.enter());
  const DepthGuard guard(sandbox);
  switch (json.type()) {
    case OrderedJson::value_t::boolean:
      return Value::boolean(json.get<bool>());
    case OrderedJson::value_t::number_integer:
      return Value::integer(json.get<std::int64_t>());
    case OrderedJson::value_t::number_unsigned: {
      const auto number = json.get<std::uint64_t>();
      if (number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
        return template_error("integer " + std::to_string(number) + " exceeds 64 bits with a sign");
      }
      return Value::integer(static_cast<std::int64_t>(number));
    }
    case OrderedJson::value_t::number_float:
      return Value::number(json.get<double>());
    case OrderedJson::value_t::string:
      return checked_string(sandbox, json.get_ref<const std::string&>());
    case OrderedJson::value_t::array:
      return from_array(sandbox, json);
    case OrderedJson::value_t::object:
      return from_object(sandbox, json);
    default:
      return Value::none();
  }
}

}  // namespace millrace::jinja
