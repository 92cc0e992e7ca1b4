// The operator's side of a server: keys, logs, metrics, the admin listener, reload.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "observe/log.h"
#include "serve/config/config_changes.h"
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
  std::function<void(ModelConfig)> add_model;          // so that it can be loaded by its name
  std::function<void(const ServerConfig&)> set_texts;  // for ModelDirectory::refresh
  std::function<Result<LoadedConfig>()> read_again;    // file and flags
  std::function<void()> shut_down;                     // as a signal would
};

// Made before the server, which gets its hooks; attached once the server is there; destroyed after
// it. Any thread.
Severity severity_of(LogLevel level);
LineFormat line_format_of(LogFormat format);

class ServeOperations final : public RequestObserver, public AdminActions {
 public:
  static Result<std::unique_ptr<ServeOperations>> create(const ServerConfig& config,
                                                         const Clock& clock);
  ~ServeOperations() override;

  ServerHooks hooks();
  // Starts the admin listener where one is configured, with the server's limits and certificate.
  Status attach(const ServedParts& parts);
  // Ends the admin listener: after the server has stopped, before what it acts on goes.
  void detach();
  Log& log() { return log_; }
  Duration drain_timeout() const;

  void request_began(const RequestRecord& record, const HttpExchangeRef& exchange) override;
  void request_ended(const RequestRecord& record) override;

  std::vector<ModelStatus> models() override;
  Status load_model(const std::string& name, const std::string& path) override;
  Status retire_model(const std::string& name) override;
  std::vector<AdapterOfModel> adapters() override;
  Status load_adapter(const std::string& model, const std::string& name,
                      const std::string& path) override;
  Status unload_adapter(const std::string& name) override;
  std::vector<ServiceClass> classes() override;
  Status change_class(const std::string& name, const ClassChanges& changes) override;
  Result<std::vector<std::string>> reload() override;
  void drain() override;
  LogLevel log_level() override;
  void set_log_level(LogLevel level) override;

 private:
  ServeOperations(const ServerConfig& config, const Clock& clock,
                  std::unique_ptr<LineWriter> log_writer);
  Result<std::vector<std::string>> take_config(ServerConfig fresh);
  Status reload_checked(const ServerConfig& fresh);
  void take_classes(const ServerConfig& fresh);
  Status reload_tls(const ServerConfig& fresh);
  void take_adapters(const ServerConfig& fresh);
  Status take_access_log(const AccessLogConfig& fresh);
  std::vector<std::string> tell_changes(std::span<const ConfigChange> changes,
                                        const ServerConfig& fresh);
  void take(const ServerConfig& fresh);

  const Clock& clock_;
  std::unique_ptr<LineWriter> log_writer_;
  Log log_;
  std::unique_ptr<AccessLog> access_log_;    // made when the first path is configured, then kept
  std::atomic<AccessLog*> access_{nullptr};  // the same while a path is configured
  ApiKeyGate gate_;
  RunningRequests running_;
  ServerMetrics metrics_;
  ServedParts parts_;
  mutable std::mutex reload_mutex_;  // Guards config_: what is in effect. One change at a time.
  ServerConfig config_;
  std::unique_ptr<AdminServer> admin_;
};

}  // namespace millrace
