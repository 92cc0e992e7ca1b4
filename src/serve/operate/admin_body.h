// What the bodies of the admin listener have: reading a key of one, and the answer "done".
#pragma once

#include <string>

#include "base/json.h"
#include "base/result.h"

namespace millrace {

// A text of the body by its key; empty when it is absent.
Result<std::string> text_at(const Json& body, const char* key);
// kInvalidArgument when it is absent.
Result<std::string> required_text(const Json& body, const char* key);

// {"status":"ok"}
OrderedJson admin_done();

}  // namespace millrace
