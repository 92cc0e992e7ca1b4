// The schema of what another one does not allow.
#pragma once

#include <cstddef>
#include <optional>

#include "constrain/schema_document.h"

namespace millrace {

// Of types, values, bounds, lengths, counts, required and named properties, allOf, anyOf, not and
// $ref to a place in `root`; nothing for a schema that says anything else. What is given back says
// exactly what the schema denies. Takes a step of `steps_left` for each part that it looks at;
// nothing when they are used up.
std::optional<SchemaNode> negated(const SchemaNode& schema, const SchemaNode& root,
                                  std::size_t& steps_left);

}  // namespace millrace
