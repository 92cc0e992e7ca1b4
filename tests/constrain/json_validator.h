// A plain validator of JSON Schema draft 2020-12, to judge what grammars of schemas generate. It
// shares nothing with the compiler but the JSON parser; the published suite judges it.
#pragma once

#include <string>

#include "base/json.h"

namespace millrace {

struct ValidatorOptions {
  bool checks_formats = true;
};

// Whether the value fulfils the schema. Keywords that it does not know say nothing.
bool is_valid_json(const OrderedJson& schema, const OrderedJson& value,
                   const ValidatorOptions& options = {});

}  // namespace millrace
