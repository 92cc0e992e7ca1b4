// Models of a hub where a command takes a path: hf://owner/name[@revision][/file].
#pragma once

#include <string>

#include "base/result.h"

namespace millrace {

// The path itself, or where the cache has the model after what is missing was downloaded, with a
// progress bar on the terminal.
Result<std::string> local_model(const std::string& path);

}  // namespace millrace
