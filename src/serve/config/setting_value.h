// A setting's value as text: reading it within its limits, and writing it so that it reads back.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "serve/config/setting.h"

namespace millrace {

// What stood in the file or behind a flag, before anybody knows what it should be.
struct RawValue {
  enum class Kind : std::uint8_t { kNone, kText, kList };
  Kind kind = Kind::kText;
  std::vector<std::string> texts;  // one, or the items of a list
};

// Puts the value into the setting's field of `owner`. kInvalidArgument: what was found and what is
// allowed, without the path; a secret's value is not repeated.
Status set_value(const Setting& setting, void* owner, const RawValue& value);

// The value as set_value reads it: one text per item of a list, none when it is not set.
std::vector<std::string> value_texts(const Setting& setting, void* owner);
bool is_list(const Setting& setting, void* owner);
// Whether it is written without quotes: numbers, yes and no, names of choices.
bool is_plain(const Setting& setting, void* owner);

// Name of the value's type: "a text", "a size such as 512M", "a whole number", …
std::string type_name(const Setting& setting, void* owner);
// "1 to 65535", "refuse or truncate_left"; empty where anything goes.
std::string allowed_values(const Setting& setting, void* owner);

// What a secret is printed as; refused as a value.
inline constexpr const char* kHiddenValue = "********";

}  // namespace millrace
