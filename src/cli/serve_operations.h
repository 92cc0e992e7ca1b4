// The operator's side of a server: keys, logs, metrics, the admin listener, reload.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "observe/log.h"
#include "serve/config/config_reader.h"
#include "serve/operate/access_log.h"
#include "serve/operate/admin_server.h"
#include "serve/operate/api_key_gate.h"
#include "serve/operate/running_requests.h"
#include "serve/operate/server_metrics.h"
#include "serve/service/server.h"

namespace millrace {

// How the rest of the program is reached, once it is there.
struct ServedParts {
  Server* server = nullptr;
  ModelDirectory* directory = nullptr;
  std::function<Status(ModelConfig)> add_model;      // so that it can be loaded by its name
  std::function<Result<LoadedConfig>()> read_again;  // file and flags
  std::function<void()> shut_down;                   // as a signal would
};

// Made before the server, which gets its hooks; attached once the server is there; destroyed after
// it. Any thread.
class ServeOperations final : public RequestObserver, public AdminActions {
 public:
  static Result<std::unique_ptr<ServeOperations>> create(const ServerConfig& config,
                                                         const Clock& clock);
  ~ServeOperations() override;

  ServerHooks hooks();
  // Starts the admin listener where one is configured, with the server's limits and certificate.
  Status attach(const ServedParts& parts, const HttpServerOptions& http);
  // Ends the admin listener: after the server has stopped, before what it acts on goes.
  void detach();
  Log& log() { return log_; }

  void request_began(const RequestRecord& record, const HttpExchangeRef& exchange) override;
  void request_ended(const RequestRecord& record) override;

  std::vector<ModelStatus> models() override;
  Status load_model(const std::string& name, const std::string& path) override;
  Status retire_model(const std::string& name) override;
  Result<std::vector<std::string>> reload() override;
  void drain() override;
  LogLevel log_level() override;
  void set_log_level(LogLevel level) override;

 private:
  ServeOperations(const ServerConfig& config, const Clock& clock,
                  std::unique_ptr<LineWriter> log_writer);
  void take(const ServerConfig& fresh);

  const Clock& clock_;
  std::unique_ptr<LineWriter> log_writer_;
  Log log_;
  std::unique_ptr<AccessLog> access_log_;  // none where none is configured
  ApiKeyGate gate_;
  RunningRequests running_;
  ServerMetrics metrics_;
  ServedParts parts_;
  std::mutex reload_mutex_;  // Guards config_; one reload at a time.
  ServerConfig config_;
  std::unique_ptr<AdminServer> admin_;
};

}  // namespace millrace
