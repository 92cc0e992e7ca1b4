// Requests to routes, and the order of the end.
#include "serve/service/server.h"

#include <array>
#include <utility>

namespace millrace {
namespace {

ErrorForm form_of(std::string_view path) {
  return path.starts_with("/v1/messages") ? ErrorForm::kAnthropic : ErrorForm::kOpenAi;
}

bool matches(std::string_view route, std::string_view path) {
  if (!route.ends_with('/')) return route == path;
  return path.starts_with(route) && path.size() > route.size();
}

}  // namespace

std::span<const Server::Route> Server::routes() {
  static constexpr std::array kRoutes = {
      Route{"POST", "/v1/chat/completions", &Server::chat, Place::kHostPool},
      Route{"POST", "/v1/completions", &Server::completions, Place::kHostPool},
      Route{"POST", "/v1/embeddings", &Server::embeddings, Place::kHostPool},
      Route{"POST", "/v1/responses", &Server::responses, Place::kHostPool},
      Route{"POST", "/v1/messages", &Server::messages, Place::kHostPool},
      Route{"POST", "/v1/messages/count_tokens", &Server::count_tokens, Place::kHostPool},
      Route{"POST", "/tokenize", &Server::tokenize, Place::kHostPool},
      Route{"POST", "/detokenize", &Server::detokenize, Place::kHostPool},
      Route{"POST", "/apply-template", &Server::apply_template, Place::kHostPool},
      Route{"GET", "/v1/models", &Server::list_models, Place::kIoThread},
      Route{"GET", "/v1/models/", &Server::show_model, Place::kIoThread},
      Route{"GET", "/health/live", &Server::live, Place::kIoThread},
      Route{"GET", "/health/ready", &Server::ready, Place::kIoThread},
      Route{"GET", "/health", &Server::ready, Place::kIoThread},
      Route{"GET", "/version", &Server::version, Place::kIoThread},
      Route{"GET", "/metrics", &Server::metrics, Place::kHostPool},
  };
  return kRoutes;
}

Server::Server(const ServerOptions& options, ModelDirectory& directory, AnswerHub& hub,
               const ServerHooks& hooks, const Clock& clock)
    : options_(options),
      directory_(directory),
      hooks_(hooks),
      clock_(clock),
      sessions_{.registry = directory.registry(),
                .hub = hub,
                .stream_buffer_bytes_max = options.limits.sessions.stream_buffer_bytes_max},
      limits_(std::make_shared<const ServerLimits>(options.limits)),
      pool_(std::make_unique<HostPool>(HostPoolOptions{.num_threads = options.num_host_threads,
                                                       .num_tasks_max = options.host_tasks_max})) {}

Result<std::unique_ptr<Server>> Server::create(const ServerOptions& options,
                                               ModelDirectory& directory, AnswerHub& hub,
                                               const ServerHooks& hooks, const Clock& clock) {
  std::unique_ptr<Server> server(new Server(options, directory, hub, hooks, clock));
  server->http_ = TRY(HttpServer::create(options.http, *server, clock));
  return server;
}

Server::~Server() {
  stop();
}

void Server::set_limits(const ServerLimits& limits) {
  sessions_.stream_buffer_bytes_max = limits.sessions.stream_buffer_bytes_max;
  auto fresh = std::make_shared<const ServerLimits>(limits);
  const std::lock_guard lock(limits_mutex_);
  limits_ = std::move(fresh);
}

Server::LimitsRef Server::limits() const {
  const std::lock_guard lock(limits_mutex_);
  return limits_;
}

void Server::begin_drain() {
  state_.store(ServerState::kDraining);
  http_->begin_drain();
}

// First the sockets, whose clients are then gone; then what was still being worked on for them.
void Server::stop() {
  state_.store(ServerState::kDraining);
  if (http_ != nullptr) http_->stop();
  if (pool_ != nullptr) pool_->finish();
  sessions_.hub.stop();
}

void Server::handle(HttpRequest request, HttpExchangeRef exchange) {
  RequestRecord record;
  record.request_id =
      request_id_of(request, options_.request_seed + num_requests_.fetch_add(1) + 1);
  record.peer = request.peer;
  record.method = request.method;
  record.path = request.path;
  Call call{std::move(request), nullptr, limits()};
  call.reply = std::make_shared<ServiceReply>(std::move(exchange), std::move(record),
                                              form_of(call.request.path), hooks_.observers, clock_);
  std::string allowed;
  std::string_view method = call.request.method;
  if (method == "HEAD") method = "GET";
  for (const Route& route : routes()) {
    if (!matches(route.path, call.request.path)) continue;
    if (route.method == method) return run(route, std::move(call));
    allowed += (allowed.empty() ? "" : ", ") + std::string(route.method);
  }
  if (allowed.empty()) {
    return call.reply->error(
        api_error(404, "there is no " + call.request.method + " " + call.request.path + " here"));
  }
  if (call.request.method == "OPTIONS") {
    return call.reply->send({.status = 204, .headers = {{"Allow", allowed}}});
  }
  const ApiError error =
      api_error(405, call.request.path + " takes " + allowed + ", found " + call.request.method);
  call.reply->send({.status = error.status,
                    .headers = {{"Allow", allowed}},
                    .body = error_body(error, call.reply->error_form())});
}

void Server::run(const Route& route, Call call) {
  const Status status = check_admission(route, call);
  if (!status.ok()) return call.reply->error(api_error(status.error()));
  const Action action = route.action;
  if (route.place == Place::kIoThread) return (this->*action)(call);
  const ServiceReplyRef reply = call.reply;
  HostPool::Task task = [this, action, moved = std::move(call)]() mutable {
    if (!moved.reply->is_gone()) (this->*action)(moved);
  };
  if (pool_->try_push(std::move(task))) return;
  reply->error(
      api_error(Error{ErrorCode::kUnavailable, "the server is busy with " +
                                                   std::to_string(options_.host_tasks_max) +
                                                   " requests that wait to be read"}));
}

// Health is told to everybody, and while models load or the server drains nothing else is done.
Status Server::check_admission(const Route& route, Call& call) const {
  if (route.path.starts_with("/health")) return Ok{};
  if (hooks_.gate != nullptr) TRY(hooks_.gate->admit(call.request, call.reply->record()));
  if (route.method == "GET") return Ok{};
  switch (state_.load()) {
    case ServerState::kLoading:
      return Error{ErrorCode::kUnavailable, "the server is loading its model"};
    case ServerState::kDraining:
      return Error{ErrorCode::kUnavailable, "the server is shutting down"};
    case ServerState::kReady:
      break;
  }
  return Ok{};
}

HttpReply Server::refuse(int status, std::string_view message) {
  const ApiError error = api_error(status, std::string(message));
  return {.status = status, .body = error_body(error, ErrorForm::kOpenAi)};
}

}  // namespace millrace
