// Keyword by keyword, as the standard says it.
#include "constrain/json_validator.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cmath>
#include <regex>

#include "text/utf8.h"

namespace millrace {
namespace {

bool is_integer(const OrderedJson& value) {
  return value.is_number_integer() ||
         (value.is_number_float() && std::floor(value.get<double>()) == value.get<double>());
}

bool has_type(const OrderedJson& value, const std::string& type) {
  if (type == "null") return value.is_null();
  if (type == "boolean") return value.is_boolean();
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "number") return value.is_number();
  return type == "integer" && is_integer(value);
}

// Equal as JSON: the order of properties says nothing, 1 is 1.0.
bool is_equal(const OrderedJson& a, const OrderedJson& b) {
  if (a.is_number() && b.is_number()) return a.get<double>() == b.get<double>();
  if (a.type() != b.type()) return false;
  if (a.is_array()) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), is_equal);
  }
  if (!a.is_object()) return a == b;
  if (a.size() != b.size()) return false;
  return std::all_of(a.items().begin(), a.items().end(), [&](const auto& item) {
    return b.contains(item.key()) && is_equal(item.value(), b[item.key()]);
  });
}

std::size_t num_characters(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

bool finds(const std::string& text, const std::string& pattern) {
  return std::regex_search(text, std::regex(pattern, std::regex::ECMAScript));
}

bool is_date(const std::string& text) {
  static const std::regex kForm("(\\d{4})-(\\d{2})-(\\d{2})");
  std::smatch parts;
  if (!std::regex_match(text, parts, kForm)) return false;
  const int year = std::stoi(parts[1]);
  const int month = std::stoi(parts[2]);
  const int day = std::stoi(parts[3]);
  const bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  const int days[] = {31, is_leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return month >= 1 && month <= 12 && day >= 1 && day <= days[month - 1];
}

bool is_time(const std::string& text) {
  static const std::regex kForm(
      "(\\d{2}):(\\d{2}):(\\d{2})(\\.\\d+)?([zZ]|([+-])(\\d{2}):(\\d{2}))");
  std::smatch parts;
  if (!std::regex_match(text, parts, kForm)) return false;
  const int hour = std::stoi(parts[1]);
  const int minute = std::stoi(parts[2]);
  const int second = std::stoi(parts[3]);
  int offset = 0;
  if (parts[6].matched) {
    if (std::stoi(parts[7]) > 23 || std::stoi(parts[8]) > 59) return false;
    offset = (std::stoi(parts[7]) * 60 + std::stoi(parts[8])) * (parts[6] == "+" ? 1 : -1);
  }
  const int utc = ((hour * 60 + minute - offset) % 1440 + 1440) % 1440;
  return hour < 24 && minute < 60 && (second < 60 || (second == 60 && utc == 1439));
}

bool is_address(int family, const std::string& text) {
  unsigned char address[16];
  return inet_pton(family, text.c_str(), address) == 1;
}

bool has_format(const std::string& text, const std::string& format) {
  if (format == "date") return is_date(text);
  if (format == "time") return is_time(text);
  if (format == "date-time") {
    return text.size() > 11 && (text[10] == 'T' || text[10] == 't') &&
           is_date(text.substr(0, 10)) && is_time(text.substr(11));
  }
  if (format == "ipv4") return is_address(AF_INET, text);
  if (format == "ipv6") return is_address(AF_INET6, text);
  if (format == "uuid") {
    return std::regex_match(text, std::regex("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"));
  }
  if (format == "email") {
    static const std::regex kMailbox(
        "([^@\\s.\"]+(\\.[^@\\s.\"]+)*|\"([^\"\\\\]|\\\\.)*\")"
        "@([A-Za-z0-9.-]+|\\[[A-Za-z0-9.:]+\\])");
    return std::regex_match(text, kMailbox);
  }
  if (format == "hostname") {
    return text.size() <= 253 &&
           std::regex_match(text, std::regex("(?!-)[A-Za-z0-9-]{1,63}(\\.[A-Za-z0-9-]{1,63})*"));
  }
  if (format == "uri") {
    return std::regex_match(text, std::regex("[A-Za-z][A-Za-z0-9+.-]*:[^\\s<>\"{}|\\\\^`]*"));
  }
  if (format == "duration") {
    return text.size() > 2 && text[0] == 'P' && text.back() != 'T' &&
           std::regex_match(text, std::regex("P(\\d+W|(\\d+Y)?(\\d+M)?(\\d+D)?"
                                             "(T(\\d+H)?(\\d+M)?(\\d+S)?)?)"));
  }
  if (format == "json-pointer") {
    return std::regex_match(text, std::regex("(/([^/~]|~[01])*)*"));
  }
  return true;
}

class Validator {
 public:
  Validator(const OrderedJson& root, const ValidatorOptions& options)
      : root_(root), options_(options) {}

  bool check(const OrderedJson& schema, const OrderedJson& value) const {
    if (schema.is_boolean()) return schema.get<bool>();
    if (!schema.is_object()) return true;
    return check_reference(schema, value) && check_value(schema, value) &&
           check_parts(schema, value) && (!value.is_number() || check_number(schema, value)) &&
           (!value.is_string() || check_string(schema, value.get<std::string>())) &&
           (!value.is_array() || check_array(schema, value)) &&
           (!value.is_object() || (check_object(schema, value) && check_dependents(schema, value)));
  }

 private:
  static const OrderedJson* find(const OrderedJson& schema, const char* key) {
    const auto found = schema.find(key);
    return found == schema.end() ? nullptr : &*found;
  }

  static const OrderedJson* find_anchor(const OrderedJson& at, const char* key,
                                        const std::string& name) {
    if (at.is_object() && at.contains(key) && at[key] == name) return &at;
    if (!at.is_structured()) return nullptr;
    for (const OrderedJson& child : at) {
      if (const OrderedJson* const found = find_anchor(child, key, name)) return found;
    }
    return nullptr;
  }

  bool check_reference(const OrderedJson& schema, const OrderedJson& value) const {
    const OrderedJson* const reference = find(schema, "$ref");
    if (reference == nullptr || !reference->is_string()) return true;
    const std::string text = reference->get<std::string>();
    const std::size_t hash = std::min(text.find('#'), text.size());
    const OrderedJson* base = hash == 0 ? &root_ : find_anchor(root_, "$id", text.substr(0, hash));
    if (base == nullptr) return true;
    std::string fragment = hash < text.size() ? text.substr(hash + 1) : "";
    for (std::size_t at = 0; (at = fragment.find('%', at)) != std::string::npos; ++at) {
      const char c = static_cast<char>(std::stoi(fragment.substr(at + 1, 2), nullptr, 16));
      fragment.replace(at, 3, 1, c);
    }
    if (!fragment.empty() && fragment[0] != '/') base = find_anchor(*base, "$anchor", fragment);
    if (base != nullptr && !fragment.empty() && fragment[0] == '/') {
      const OrderedJson::json_pointer pointer(fragment);
      if (!base->contains(pointer)) return true;
      base = &base->at(pointer);
    }
    return base == nullptr || check(*base, value);
  }

  static bool check_value(const OrderedJson& schema, const OrderedJson& value) {
    if (const OrderedJson* const type = find(schema, "type")) {
      const OrderedJson types = type->is_array() ? *type : OrderedJson::array({*type});
      const bool is_nullable =
          schema.contains("nullable") && schema["nullable"] == true;  // OpenAPI
      if (!(is_nullable && value.is_null()) &&
          std::none_of(types.begin(), types.end(),
                       [&](const auto& name) { return has_type(value, name); })) {
        return false;
      }
    }
    if (const OrderedJson* const constant = find(schema, "const")) {
      if (!is_equal(*constant, value)) return false;
    }
    const OrderedJson* const values = find(schema, "enum");
    return values == nullptr || std::any_of(values->begin(), values->end(),
                                            [&](const auto& one) { return is_equal(one, value); });
  }

  bool check_parts(const OrderedJson& schema, const OrderedJson& value) const {
    const auto num_valid = [&](const OrderedJson& parts) {
      return std::count_if(parts.begin(), parts.end(),
                           [&](const auto& part) { return check(part, value); });
    };
    const OrderedJson* parts = find(schema, "allOf");
    if (parts && num_valid(*parts) != static_cast<std::ptrdiff_t>(parts->size())) return false;
    parts = find(schema, "anyOf");
    if (parts && num_valid(*parts) == 0) return false;
    parts = find(schema, "oneOf");
    if (parts && num_valid(*parts) != 1) return false;
    const OrderedJson* const excluded = find(schema, "not");
    if (excluded && check(*excluded, value)) return false;
    const OrderedJson* const condition = find(schema, "if");
    if (condition == nullptr) return true;
    const OrderedJson* const then = find(schema, check(*condition, value) ? "then" : "else");
    return then == nullptr || check(*then, value);
  }

  bool check_dependents(const OrderedJson& schema, const OrderedJson& value) const {
    for (const char* const keyword : {"dependentRequired", "dependentSchemas", "dependencies"}) {
      const OrderedJson* const dependents = find(schema, keyword);
      if (dependents == nullptr) continue;
      for (const auto& [name, asked] : dependents->items()) {
        if (!value.contains(name)) continue;
        const bool holds = asked.is_array()
                               ? std::all_of(asked.begin(), asked.end(),
                                             [&](const auto& more) { return value.contains(more); })
                               : check(asked, value);
        if (!holds) return false;
      }
    }
    return true;
  }

  static bool check_number(const OrderedJson& schema, const OrderedJson& value) {
    const double number = value.get<double>();
    const auto bound = [&](const char* key) {
      const OrderedJson* const found = find(schema, key);
      return found != nullptr && found->is_number() ? found : nullptr;
    };
    if (const auto* const at = bound("minimum")) {
      if (number < at->get<double>()) return false;
    }
    if (const auto* const at = bound("maximum")) {
      if (number > at->get<double>()) return false;
    }
    if (const auto* const at = bound("exclusiveMinimum")) {
      if (number <= at->get<double>()) return false;
    }
    if (const auto* const at = bound("exclusiveMaximum")) {
      if (number >= at->get<double>()) return false;
    }
    const auto* const divisor = bound("multipleOf");
    if (divisor == nullptr) return true;
    if (value.is_number_integer() && divisor->is_number_integer()) {
      return value.get<std::int64_t>() % divisor->get<std::int64_t>() == 0;
    }
    const double quotient = number / divisor->get<double>();
    return std::abs(quotient - std::round(quotient)) <= 1e-9 * std::max(1.0, std::abs(quotient));
  }

  bool check_string(const OrderedJson& schema, const std::string& text) const {
    const auto* const min = find(schema, "minLength");
    const auto* const max = find(schema, "maxLength");
    const double length = static_cast<double>(num_characters(text));
    if (min && length < min->get<double>()) return false;
    if (max && length > max->get<double>()) return false;
    const auto* const pattern = find(schema, "pattern");
    if (pattern && !finds(text, *pattern)) return false;
    const auto* const format = find(schema, "format");
    return !options_.checks_formats || !format || has_format(text, *format);
  }

  bool check_array(const OrderedJson& schema, const OrderedJson& value) const {
    const double size = static_cast<double>(value.size());
    const auto* const min = find(schema, "minItems");
    const auto* const max = find(schema, "maxItems");
    if (min && size < min->get<double>()) return false;
    if (max && size > max->get<double>()) return false;
    const auto* const prefix = find(schema, "prefixItems");
    const std::size_t num_prefix = prefix ? prefix->size() : 0;
    const auto* const rest = find(schema, "items");
    for (std::size_t i = 0; i < value.size(); ++i) {
      if (i < num_prefix && !check((*prefix)[i], value[i])) return false;
      if (i >= num_prefix && rest && !check(*rest, value[i])) return false;
    }
    const auto* const unique = find(schema, "uniqueItems");
    if (!unique || *unique != true) return true;
    for (std::size_t i = 0; i < value.size(); ++i) {
      for (std::size_t j = i + 1; j < value.size(); ++j) {
        if (is_equal(value[i], value[j])) return false;
      }
    }
    return true;
  }

  bool check_object(const OrderedJson& schema, const OrderedJson& value) const {
    const double size = static_cast<double>(value.size());
    const auto* const min = find(schema, "minProperties");
    const auto* const max = find(schema, "maxProperties");
    if (min && size < min->get<double>()) return false;
    if (max && size > max->get<double>()) return false;
    if (const auto* const required = find(schema, "required")) {
      for (const OrderedJson& name : *required) {
        if (!value.contains(name.get<std::string>())) return false;
      }
    }
    const auto* const names = find(schema, "propertyNames");
    return std::all_of(value.items().begin(), value.items().end(), [&](const auto& item) {
      return (!names || check(*names, OrderedJson(item.key()))) &&
             check_property(schema, item.key(), item.value());
    });
  }

  bool check_property(const OrderedJson& schema, const std::string& name,
                      const OrderedJson& value) const {
    bool is_named = false;
    const auto* const properties = find(schema, "properties");
    if (properties && properties->contains(name)) {
      is_named = true;
      if (!check((*properties)[name], value)) return false;
    }
    if (const auto* const patterns = find(schema, "patternProperties")) {
      for (const auto& [pattern, part] : patterns->items()) {
        if (!finds(name, pattern)) continue;
        is_named = true;
        if (!check(part, value)) return false;
      }
    }
    const auto* const additional = find(schema, "additionalProperties");
    return is_named || !additional || check(*additional, value);
  }

  const OrderedJson& root_;
  ValidatorOptions options_;
};

}  // namespace

bool is_valid_json(const OrderedJson& schema, const OrderedJson& value,
                   const ValidatorOptions& options) {
  return Validator(schema, options).check(schema, value);
}

}  // namespace millrace
