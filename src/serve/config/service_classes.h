// What the configuration says, in the engine's own types.
#pragma once

#include <vector>

#include "engine/scheduler_options.h"
#include "serve/config/server_config.h"

namespace millrace {

// The engine's default classes when the configuration names none.
std::vector<ServiceClass> service_classes(const ServerConfig& config);

// The way back, for whoever changes one of them: what the configuration says, or would say.
std::vector<ClassConfig> class_configs(const ServerConfig& config);

// What `engine:` and `classes:` say about steps.
SchedulerOptions scheduler_options(const ServerConfig& config);

}  // namespace millrace
