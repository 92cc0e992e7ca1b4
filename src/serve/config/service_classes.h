// What the configuration says, in the engine's own types.
#pragma once

#include <vector>

#include "engine/scheduler_options.h"
#include "serve/config/server_config.h"

namespace millrace {

// The engine's default classes when the configuration names none.
std::vector<ServiceClass> service_classes(const ServerConfig& config);

// What `engine:` and `classes:` say about steps.
SchedulerOptions scheduler_options(const ServerConfig& config);

}  // namespace millrace
