// What the configuration says to sockets and service, at the start and at a reload.
#pragma once

#include "base/clock.h"
#include "serve/config/server_config.h"
#include "serve/service/server.h"

namespace millrace {

HttpServerOptions http_options(const ServerConfig& config);
// The same for the listener of operators, which is there when admin.port is.
HttpServerOptions admin_http_options(const ServerConfig& config);
ServerLimits server_limits(const ServerConfig& config);
ServerOptions server_options(const ServerConfig& config, const Clock& clock);

}  // namespace millrace
