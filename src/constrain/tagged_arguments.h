// Arguments of a call that stand one by one between tags.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "constrain/constraint_spec.h"
#include "constrain/tool_call_spec.h"

namespace millrace {

struct TagStyle {
  ConstraintSpec key_open;     // before a parameter's name
  ConstraintSpec key_close;    // behind it, up to its value
  ConstraintSpec value_close;  // behind the value
  std::string value_end;       // the tag in that: nowhere in a text
  // As key_close, where texts have another one; absent: the same.
  std::optional<ConstraintSpec> text_key_close = std::nullopt;
};

// A value is the text itself where the parameter's schema says string, else JSON.
Result<ConstraintSpec> tagged_arguments(const ToolFunction& tool, const TagStyle& tags,
                                        const JsonStyle& style);

}  // namespace millrace
