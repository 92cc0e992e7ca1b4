// The listener of operators: everything that changes state, behind a key of its own.
#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/host_pool.h"
#include "base/json.h"
#include "base/result.h"
#include "engine/adapter_store.h"
#include "engine/model_registry.h"
#include "serve/config/server_config.h"
#include "serve/http/http_server.h"
#include "serve/operate/digest.h"
#include "serve/operate/running_requests.h"
#include "serve/service/server.h"

namespace millrace {

struct AdapterOfModel {
  std::string model;
  AdapterStatus adapter;
};

// Keys and values, in the order in which they came.
using ClassChanges = std::vector<std::pair<std::string, std::string>>;

// What an operator may do; each call may take as long as it needs. Any thread, one call at a time.
class AdminActions {
 public:
  virtual ~AdminActions() = default;
  virtual std::vector<ModelStatus> models() = 0;
  // The configuration's model of that name, or with a path one that it does not name.
  virtual Status load_model(const std::string& name, const std::string& path) = 0;
  virtual Status retire_model(const std::string& name) = 0;
  virtual std::vector<AdapterOfModel> adapters() = 0;
  // Of this model; without one, of the first. The path is a PEFT folder.
  virtual Status load_adapter(const std::string& model, const std::string& name,
                              const std::string& path) = 0;
  virtual Status unload_adapter(const std::string& name) = 0;
  virtual std::vector<ServiceClass> classes() = 0;
  // Settings of a class as the configuration writes them; all or none.
  virtual Status change_class(const std::string& name, const ClassChanges& changes) = 0;
  // The paths that a restart would take, and this did not.
  virtual Result<std::vector<std::string>> reload() = 0;
  virtual void drain() = 0;
  virtual LogLevel log_level() = 0;
  virtual void set_log_level(LogLevel level) = 0;
};

struct AdminServerOptions {
  HttpServerOptions http;
  std::string key;  // not empty
};

// Routes, all but /health/live with the key as a bearer token:
//
//   GET  /health/live            GET  /admin/models            POST /admin/reload
//   GET  /metrics                POST /admin/models/load       POST /admin/drain
//   GET  /admin/log-level        POST /admin/models/unload     GET  /admin/requests
//   POST /admin/log-level        GET  /admin/adapters          POST /admin/requests/cancel
//   GET  /admin/classes          POST /admin/adapters/load
//   POST /admin/classes          POST /admin/adapters/unload
//
// Actions, requests, page and clock outlive it.
class AdminServer final : public HttpHandler {
 public:
  static Result<std::unique_ptr<AdminServer>> create(const AdminServerOptions& options,
                                                     AdminActions& actions,
                                                     RunningRequests& requests, MetricsPage& page,
                                                     const Clock& clock);
  ~AdminServer() override;

  HttpServer& http() { return *http_; }
  // For a reload; the old key stops at once.
  void set_key(const std::string& key);

  void handle(HttpRequest request, HttpExchangeRef exchange) override;
  HttpReply refuse(int status, std::string_view message) override;

 private:
  using Action = Result<OrderedJson> (AdminServer::*)(const Json& body);
  struct Route {
    std::string_view method;
    std::string_view path;
    Action action;
  };

  AdminServer(const AdminServerOptions& options, AdminActions& actions, RunningRequests& requests,
              MetricsPage& page);
  static std::span<const Route> routes();
  Status check_key(const HttpRequest& request) const;
  HttpReply answer(const HttpRequest& request);

  Result<OrderedJson> list_models(const Json& body);
  Result<OrderedJson> load_model(const Json& body);
  Result<OrderedJson> unload_model(const Json& body);
  Result<OrderedJson> list_adapters(const Json& body);
  Result<OrderedJson> load_adapter(const Json& body);
  Result<OrderedJson> unload_adapter(const Json& body);
  Result<OrderedJson> list_classes(const Json& body);
  Result<OrderedJson> change_class(const Json& body);
  Result<OrderedJson> reload(const Json& body);
  Result<OrderedJson> drain(const Json& body);
  Result<OrderedJson> show_log_level(const Json& body);
  Result<OrderedJson> set_log_level(const Json& body);
  Result<OrderedJson> list_requests(const Json& body);
  Result<OrderedJson> cancel_request(const Json& body);

  AdminActions& actions_;
  RunningRequests& requests_;
  MetricsPage& page_;
  mutable std::mutex mutex_;  // Guards key_.
  Sha256 key_;
  std::unique_ptr<HostPool> pool_;  // one thread: one action at a time
  std::unique_ptr<HttpServer> http_;
};

}  // namespace millrace
