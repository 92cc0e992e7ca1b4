// What the environment says about the hub and its cache.
#pragma once

#include "hub/hub_client.h"

namespace millrace {

// HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE; the cache is MILLRACE_CACHE, else millrace in
// XDG_CACHE_HOME or ~/.cache. kInvalidArgument where none of these says where it is.
Result<HubOptions> hub_options();

}  // namespace millrace
