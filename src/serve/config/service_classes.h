// What the configuration says, in the engine's own types.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/scheduler_options.h"
#include "serve/config/server_config.h"

namespace millrace {

// The engine's default classes when the configuration names none. cache_part_max becomes a number
// of blocks where the cache's size is known.
std::vector<ServiceClass> service_classes(const ServerConfig& config,
                                          std::optional<std::uint32_t> num_blocks = std::nullopt);

// What `engine:` and `classes:` say about steps.
SchedulerOptions scheduler_options(const ServerConfig& config,
                                   std::optional<std::uint32_t> num_blocks = std::nullopt);

}  // namespace millrace
