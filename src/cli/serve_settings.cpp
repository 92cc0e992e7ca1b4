// Field by field.
#include "cli/serve_settings.h"

#include "cli/version.h"
#include "serve/config/service_classes.h"

namespace millrace {

HttpServerOptions http_options(const ServerConfig& config) {
  HttpServerOptions http;
  http.host = config.listen.address;
  http.port = config.listen.port;
  http.num_io_threads = config.threads.io;
  http.limits = {.header_bytes_max = config.limits.header_bytes_max,
                 .body_bytes_max = config.limits.body_bytes_max,
                 .connections_max = config.limits.connections_max,
                 .header_timeout = config.limits.header_timeout,
                 .body_timeout = config.limits.body_timeout,
                 .idle_timeout = config.limits.idle_timeout,
                 .write_timeout = config.limits.write_stall_timeout};
  http.cors = {.origins = config.cors.origins,
               .headers = config.cors.headers,
               .max_age = config.cors.max_age};
  http.tls = {.certificate_path = config.tls.certificate, .key_path = config.tls.key};
  return http;
}

HttpServerOptions admin_http_options(const ServerConfig& config) {
  HttpServerOptions http = http_options(config);
  http.host = config.admin.address;
  http.port = config.admin.port.value_or(0);
  http.num_io_threads = 1;
  http.cors = {};
  return http;
}

ServerLimits server_limits(const ServerConfig& config) {
  ServerLimits limits;
  limits.api.json_depth_max = config.limits.json_depth_max;
  limits.api.choices_max = config.limits.choices_max;
  limits.api.stop_strings_max = config.limits.stop_strings_max;
  if (config.limits.max_tokens) limits.api.max_tokens_max = *config.limits.max_tokens;
  limits.sessions = {.request_time_max = config.limits.request_time_max,
                     .stream_buffer_bytes_max = config.limits.stream_buffer_bytes_max};
  return limits;
}

ServerOptions server_options(const ServerConfig& config, const Clock& clock) {
  ServerOptions options;
  options.http = http_options(config);
  options.num_host_threads = config.threads.host;
  options.request_seed = static_cast<std::uint64_t>(clock.now().time_since_epoch().count());
  options.limits = server_limits(config);
  options.classes = service_classes(config);
  options.version = version_text();
  return options;
}

}  // namespace millrace
