// Changing one setting of a class while the server runs.
#pragma once

#include <string>

#include "base/result.h"
#include "serve/config/server_config.h"

namespace millrace {

// As the file has it, "share" and "0.8" or "first_token_target" and "300ms"; what waits for a
// restart is refused. kInvalidArgument naming the key, what was found and what is allowed.
Status set_class_setting(ClassConfig& changed, const std::string& key, const std::string& text);

}  // namespace millrace
