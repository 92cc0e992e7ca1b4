// The service: routes, models, sessions and their end, behind an HTTP server.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/host_pool.h"
#include "base/result.h"
#include "engine/service_class.h"
#include "serve/api/parse_request.h"
#include "serve/http/http_server.h"
#include "serve/service/answer_hub.h"
#include "serve/service/generation_session.h"
#include "serve/service/model_directory.h"
#include "serve/service/service_reply.h"

namespace millrace {

// What may change while the server runs.
struct ServerLimits {
  ApiLimits api;
  SessionLimits sessions;
};

struct ServerOptions {
  HttpServerOptions http;
  std::size_t num_host_threads = 1;
  std::size_t host_tasks_max = 4096;  // requests that wait for a host thread; more are told 503
  std::uint64_t request_seed = 0;     // names of requests and answers; different at each start
  ServerLimits limits;
  std::vector<ServiceClass> classes = default_service_classes();
  std::string version;  // for /version
};

// Who may ask what, and what is told to the operator; both may be absent.
class RequestGate {
 public:
  virtual ~RequestGate() = default;
  // Before a request's body is looked at; may name the key and the class in the record. An error
  // is the reply.
  virtual Status admit(const HttpRequest& request, RequestRecord& record) = 0;
  // Before work is done for it, once its model is known.
  virtual Status admit_model(const RequestRecord& record, const std::string& model) = 0;
};

// The text of /metrics.
class MetricsPage {
 public:
  virtual ~MetricsPage() = default;
  virtual std::string text() = 0;
};

struct ServerHooks {
  RequestGate* gate = nullptr;
  std::vector<RequestObserver*> observers = {};
  MetricsPage* metrics = nullptr;
};

enum class ServerState : std::uint8_t { kLoading, kReady, kDraining };

// Directory, hub, hooks and clock outlive the server; the registry's listener is the hub.
class Server final : public HttpHandler {
 public:
  // Listens from here on, and answers /health and the like once it is started.
  static Result<std::unique_ptr<Server>> create(const ServerOptions& options,
                                                ModelDirectory& directory, AnswerHub& hub,
                                                const ServerHooks& hooks, const Clock& clock);
  // Stops at once.
  ~Server() override;

  void start() { http_->start(); }
  // Requests are taken from here on.
  void set_ready() { state_.store(ServerState::kReady); }
  // For the requests that come; a stream that runs takes its buffer's size, too.
  void set_limits(const ServerLimits& limits);
  // /health/ready says 503 and new requests are refused; those that were accepted go on.
  void begin_drain();
  // Whether nothing that was accepted is on its way any more.
  bool is_drained() const { return http_->counters().num_active == 0; }
  // Closes all connections and ends the threads.
  void stop();

  HttpServer& http() { return *http_; }
  ServerState state() const { return state_.load(); }

  void handle(HttpRequest request, HttpExchangeRef exchange) override;
  HttpReply refuse(int status, std::string_view message) override;

 private:
  using LimitsRef = std::shared_ptr<const ServerLimits>;  // shared by the requests of its time
  struct Call {
    HttpRequest request;
    ServiceReplyRef reply;
    LimitsRef limits;
  };
  using Action = void (Server::*)(Call&);
  enum class Place : std::uint8_t { kIoThread, kHostPool };
  struct Route {
    std::string_view method;
    std::string_view path;  // a path that ends with / takes what follows, too
    Action action;
    Place place;
  };

  Server(const ServerOptions& options, ModelDirectory& directory, AnswerHub& hub,
         const ServerHooks& hooks, const Clock& clock);
  static std::span<const Route> routes();
  void run(const Route& route, Call call);
  Status check_admission(const Route& route, Call& call) const;

  // service_routes.cpp
  void live(Call& call);
  void ready(Call& call);
  void version(Call& call);
  void metrics(Call& call);
  void list_models(Call& call);
  void show_model(Call& call);
  void tokenize(Call& call);
  void detokenize(Call& call);
  void apply_template(Call& call);
  void count_tokens(Call& call);
  // generation_routes.cpp
  void chat(Call& call);
  void completions(Call& call);
  void responses(Call& call);
  void messages(Call& call);
  void embeddings(Call& call);
  Status begin_embeddings(Call& call);
  void generate(Call& call, ApiDialect dialect);
  Status begin_generation(Call& call, ApiDialect dialect);
  Result<std::vector<Request>> engine_requests(const GenerationRequest& request,
                                               const std::vector<PreparedPrompt>& prompts,
                                               const ModelService& model,
                                               const ServiceReply& reply) const;
  Result<ClassId> class_of(const std::optional<std::string>& asked,
                           const RequestRecord& record) const;
  TimePoint deadline_of(const std::optional<Duration>& timeout, const ServiceReply& reply) const;
  LimitsRef limits() const;
  // Shared with the directory, see there.
  Result<std::shared_ptr<const ModelService>> model_for(const std::string& name, Call& call) const;

  const ServerOptions options_;
  ModelDirectory& directory_;
  const ServerHooks hooks_;
  const Clock& clock_;
  SessionContext sessions_;
  mutable std::mutex limits_mutex_;  // Guards limits_.
  LimitsRef limits_;
  std::atomic<ServerState> state_{ServerState::kLoading};
  std::atomic<std::uint64_t> num_requests_{0};
  std::unique_ptr<HostPool> pool_;
  std::unique_ptr<HttpServer> http_;
};

}  // namespace millrace
