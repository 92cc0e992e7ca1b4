// Binding by position and by name.
#include "text/jinja/arguments.h"

#include <algorithm>

#include "text/jinja/attribute.h"
#include "text/jinja/compare.h"
#include "text/jinja/literal.h"
#include "text/jinja/text_search.h"
#include "text/jinja/unicode.h"

namespace millrace::jinja {
namespace {

std::string called(std::string_view function) {
  return std::string(function) + "()";
}

bool is_all_digits(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

Result<std::vector<Value>> bind(const Arguments& arguments, const Signature& signature) {
  const std::size_t num_parameters = signature.parameters.size();
  if (arguments.positional.size() > num_parameters) {
    return template_error(called(signature.function) + " takes at most " +
                          std::to_string(num_parameters) + " arguments (" +
                          std::to_string(arguments.positional.size()) + " given)");
  }
  std::vector<Value> bound = arguments.positional;
  bound.resize(num_parameters);
  for (const auto& [name, value] : arguments.named) {
    const auto* parameter =
        std::find(signature.parameters.begin(), signature.parameters.end(), name);
    if (parameter == signature.parameters.end() || parameter->empty()) {
      return template_error(called(signature.function) + " got an unexpected keyword argument '" +
                            name + "'");
    }
    Value& place = bound[static_cast<std::size_t>(parameter - signature.parameters.begin())];
    if (!place.is_missing()) {
      return template_error(called(signature.function) + " got multiple values for argument '" +
                            name + "'");
    }
    place = value;
  }
  for (std::size_t i = 0; i < signature.num_required; ++i) {
    if (bound[i].is_missing()) {
      return template_error(called(signature.function) + " expected at least " +
                            std::to_string(signature.num_required) + " arguments");
    }
  }
  return bound;
}

Result<std::int64_t> to_index(const Value& value) {
  if (value.is_integral()) return value.as_int();
  if (value.is_undefined()) return undefined_error(value);
  return template_error("'" + std::string(type_name(value)) +
                        "' object cannot be interpreted as an integer");
}

Result<std::int64_t> index_or(const Value& value, std::int64_t otherwise) {
  if (value.is_missing() || value.is_none()) return otherwise;
  return to_index(value);
}

Result<std::string_view> to_text(const Value& value, std::string_view function) {
  if (value.is_string()) return std::string_view(value.text());
  return template_error(called(function) + " argument must be str, not " +
                        std::string(type_name(value)));
}

Result<Value> get_path(Sandbox& sandbox, Value item, const Value& path, const Value& otherwise) {
  const auto step = [&](const Value& key) -> Status {
    item = TRY(get_item(sandbox, item, key));
    if (item.is_undefined() && !otherwise.is_missing() && !otherwise.is_none()) item = otherwise;
    return Ok{};
  };
  if (path.is_missing() || path.is_none()) return item;
  if (!path.is_string()) {
    TRY(step(path));
    return item;
  }
  for (const std::string_view part : TRY(split_at(sandbox, path.text(), ".", kNoLimit))) {
    if (!is_all_digits(part)) {
      TRY(step(TRY(sandbox.string(std::string(part)))));
      continue;
    }
    const auto index = parse_digits(part, 10);
    if (!index) return template_error("index '" + std::string(part) + "' does not fit");
    TRY(step(Value::integer(*index)));
  }
  return item;
}

Result<Value> call_value(Sandbox& sandbox, const Value& callee, Arguments arguments) {
  if (callee.is_undefined()) return undefined_error(callee);
  if (!callee.is(Kind::kObject) || !callee.opaque().is_callable()) {
    return template_error("'" + std::string(type_name(callee)) + "' object is not callable");
  }
  return callee.opaque().call(sandbox, std::move(arguments));
}

}  // namespace millrace::jinja
