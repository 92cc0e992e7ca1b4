// One visitor per direction over the types that a field can have.
#include "serve/config/setting_value.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "base/quantity.h"

namespace millrace {
namespace {

template <class T>
inline constexpr bool kIsOptional = false;
template <class T>
inline constexpr bool kIsOptional<std::optional<T>> = true;

std::string show_number(double number) {
  std::array<char, 32> text{};
  const auto [end, failed] = std::to_chars(text.data(), text.data() + text.size(), number);
  return failed == std::errc() ? std::string(text.data(), end) : "";
}

// A bound in the setting's own unit.
std::string show_bound(const Setting& setting, double bound, bool is_time) {
  if (is_time) return write_duration(Duration{std::llround(bound * 1e9)});
  if (setting.unit == Unit::kBytes) return write_bytes(static_cast<std::uint64_t>(bound));
  return show_number(bound);
}

template <class T>
constexpr bool is_number() {
  return !std::is_same_v<T, bool> && std::is_arithmetic_v<T>;
}

std::string show_range(const Setting& setting, bool is_time) {
  const std::string low = show_bound(setting, setting.min, is_time);
  if (!std::isfinite(setting.max)) return "at least " + low;
  return low + " to " + show_bound(setting, setting.max, is_time);
}

std::string show_choices(const char* choices) {
  const std::vector<std::string_view> names = split_choices(choices);
  std::string list;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i > 0) list += i + 1 == names.size() ? " or " : ", ";
    list += names[i];
  }
  return list;
}

class Reader {
 public:
  Reader(const Setting& setting, void* owner, const RawValue& value)
      : setting_(setting), owner_(owner), value_(value) {}

  template <class T>
  Status operator()(T* field) const {
    if constexpr (kIsOptional<T>) {
      if (value_.kind == RawValue::Kind::kNone) {
        field->reset();
        return Ok{};
      }
      typename T::value_type inner{};
      TRY((*this)(&inner));
      *field = inner;
      return Ok{};
    } else {
      if (value_.kind != RawValue::Kind::kText) {
        return wrong(value_.kind == RawValue::Kind::kList ? "a list" : "nothing");
      }
      return read(value_.texts.front(), field);
    }
  }

  Status operator()(std::vector<std::string>* field) const {
    for (const std::string& text : value_.texts) TRY(check_choice(text));
    *field = value_.texts;
    return Ok{};
  }

  Status operator()(ChoiceRef field) const {
    if (value_.kind != RawValue::Kind::kText) return wrong("nothing or a list");
    TRY(check_choice(value_.texts.front()));
    const auto names = split_choices(setting_.choices);
    const auto at = std::find(names.begin(), names.end(), value_.texts.front());
    *field.value = static_cast<std::uint8_t>(at - names.begin());
    return Ok{};
  }

 private:
  Error wrong(const std::string& found) const {
    const std::string allowed = allowed_values(setting_, owner_);
    return Error{ErrorCode::kInvalidArgument, found + " is not allowed, expected " +
                                                  type_name(setting_, owner_) +
                                                  (allowed.empty() ? "" : ": " + allowed)};
  }
  Error wrong_text(const std::string& text) const {
    constexpr std::size_t kShownMax = 80;
    if (setting_.secrecy == Secrecy::kSecret) return wrong("this value");
    return wrong("\"" + text.substr(0, kShownMax) + "\"");
  }

  Status check_choice(const std::string& text) const {
    if (setting_.choices == nullptr) return Ok{};
    const auto names = split_choices(setting_.choices);
    if (std::find(names.begin(), names.end(), text) == names.end()) return wrong_text(text);
    return Ok{};
  }

  Status read(const std::string& text, std::string* field) const {
    if (setting_.secrecy == Secrecy::kSecret && text == kHiddenValue) {
      return Error{ErrorCode::kInvalidArgument,
                   "stands for a secret that was hidden when the configuration was printed"};
    }
    if (text.find('\0') != std::string::npos) return wrong_text(text);
    TRY(check_choice(text));
    *field = text;
    return Ok{};
  }
  Status read(const std::string& text, bool* field) const {
    if (text != "true" && text != "false") return wrong_text(text);
    *field = text == "true";
    return Ok{};
  }
  Status read(const std::string& text, std::uint64_t* field) const {
    std::uint64_t number = 0;
    if (setting_.unit == Unit::kBytes) {
      Result<std::uint64_t> parsed = parse_bytes(text);
      if (!parsed.ok()) return wrong_text(text);
      number = parsed.value();
    } else {
      const char* const end = text.data() + text.size();
      const auto [rest, failed] = std::from_chars(text.data(), end, number);
      if (failed != std::errc() || rest != end) return wrong_text(text);
    }
    if (!in_range(static_cast<double>(number))) return wrong_text(text);
    *field = number;
    return Ok{};
  }
  Status read(const std::string& text, std::uint16_t* field) const {
    std::uint64_t number = 0;
    TRY(read(text, &number));
    if (number > std::numeric_limits<std::uint16_t>::max()) return wrong_text(text);
    *field = static_cast<std::uint16_t>(number);
    return Ok{};
  }
  Status read(const std::string& text, double* field) const {
    double number = 0;
    const char* const end = text.data() + text.size();
    const auto [rest, failed] = std::from_chars(text.data(), end, number);
    if (failed != std::errc() || rest != end || !in_range(number)) return wrong_text(text);
    *field = number;
    return Ok{};
  }
  Status read(const std::string& text, Duration* field) const {
    const Result<Duration> parsed = parse_duration(text);
    if (!parsed.ok() || !in_range(seconds(parsed.value()))) return wrong_text(text);
    *field = parsed.value();
    return Ok{};
  }

  bool in_range(double number) const { return setting_.min <= number && number <= setting_.max; }

  const Setting& setting_;
  void* const owner_;
  const RawValue& value_;
};

class Writer {
 public:
  explicit Writer(const Setting& setting) : setting_(setting) {}

  template <class T>
  std::vector<std::string> operator()(const T* field) const {
    if constexpr (kIsOptional<T>) {
      if (!field->has_value()) return {};
      return {write(**field)};
    } else {
      return {write(*field)};
    }
  }
  std::vector<std::string> operator()(const std::string* field) const {
    if (field->empty()) return {};
    return {*field};
  }
  std::vector<std::string> operator()(const std::vector<std::string>* field) const {
    return *field;
  }
  std::vector<std::string> operator()(ChoiceRef field) const {
    return {std::string(split_choices(setting_.choices).at(*field.value))};
  }

 private:
  std::string write(bool value) const { return value ? "true" : "false"; }
  std::string write(std::uint16_t value) const { return std::to_string(value); }
  std::string write(std::uint64_t value) const {
    return setting_.unit == Unit::kBytes ? write_bytes(value) : std::to_string(value);
  }
  std::string write(double value) const { return show_number(value); }
  std::string write(Duration value) const { return write_duration(value); }

  const Setting& setting_;
};

// A type's name by a field that nobody looks into.
struct TypeNamer {
  const Setting& setting;

  template <class T>
  std::string operator()(const T*) const {
    if constexpr (kIsOptional<T>) {
      return (*this)(static_cast<const typename T::value_type*>(nullptr));
    } else if constexpr (std::is_same_v<T, bool>) {
      return "true or false";
    } else if constexpr (std::is_same_v<T, Duration>) {
      return "a time such as 250ms or 10s";
    } else if constexpr (std::is_same_v<T, double>) {
      return "a number";
    } else if constexpr (std::is_integral_v<T>) {
      return setting.unit == Unit::kBytes ? "a size such as 512M" : "a whole number";
    } else if constexpr (std::is_same_v<T, std::string>) {
      return setting.choices != nullptr ? "one of" : "a text";
    } else {
      return "a list of texts";
    }
  }
  std::string operator()(ChoiceRef) const { return "one of"; }
};

struct RangeNamer {
  const Setting& setting;

  template <class T>
  std::string operator()(const T*) const {
    if constexpr (kIsOptional<T>) {
      return (*this)(static_cast<const typename T::value_type*>(nullptr));
    } else if constexpr (std::is_same_v<T, Duration>) {
      return show_range(setting, true);
    } else if constexpr (is_number<T>()) {
      return show_range(setting, false);
    } else if constexpr (std::is_same_v<T, bool>) {
      return "";
    } else {
      return setting.choices != nullptr ? show_choices(setting.choices) : "";
    }
  }
  std::string operator()(ChoiceRef) const { return show_choices(setting.choices); }
};

}  // namespace

std::vector<std::string_view> split_choices(const char* choices) {
  std::vector<std::string_view> names;
  std::string_view rest = choices;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(' '), rest.size());
    names.push_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return names;
}

std::string type_name(const Setting& setting, void* owner) {
  return std::visit(TypeNamer{setting}, setting.field(owner));
}

std::string allowed_values(const Setting& setting, void* owner) {
  return std::visit(RangeNamer{setting}, setting.field(owner));
}

Status set_value(const Setting& setting, void* owner, const RawValue& value) {
  return std::visit(Reader(setting, owner, value), setting.field(owner));
}

std::vector<std::string> value_texts(const Setting& setting, void* owner) {
  return std::visit(Writer(setting), setting.field(owner));
}

bool is_list(const Setting& setting, void* owner) {
  return std::holds_alternative<std::vector<std::string>*>(setting.field(owner));
}

bool is_plain(const Setting& setting, void* owner) {
  const FieldRef ref = setting.field(owner);
  return !std::holds_alternative<std::string*>(ref) &&
         !std::holds_alternative<std::vector<std::string>*>(ref);
}

}  // namespace millrace
