// What the parts of a configuration must agree on, and what must be there on disk.
#pragma once

#include "base/result.h"
#include "serve/config/server_config.h"

namespace millrace {

// Of a configuration whose single values are within their limits. kInvalidArgument naming the
// paths.
Status check_config(const ServerConfig& config);

// Reads key files, names what has no name.
Status complete_config(ServerConfig& config);

// Whether every file and folder that it names is there; kNotFound naming the first that is not.
// Models that would be downloaded (hf://) are not looked for.
Status check_paths(const ServerConfig& config);

// Of one that comes while the server runs: names and paths, not whether there is room.
Status check_model(const ModelConfig& model);
Status check_adapter(const AdapterConfig& adapter);

}  // namespace millrace
