// Routes of the admin listener.
#include "serve/operate/admin_server.h"

#include <array>
#include <utility>

#include "observe/metric_registry.h"
#include "serve/api/api_error.h"
#include "serve/operate/admin_body.h"
#include "serve/operate/api_key_gate.h"

namespace millrace {
namespace {

constexpr std::size_t kActionsMax = 64;  // that wait; more are told 503
constexpr std::array<std::string_view, 4> kLevels = {"debug", "info", "warning", "error"};

std::string text_of(const OrderedJson& json) {
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

HttpReply error_reply(const ApiError& error) {
  HttpReply reply{.status = error.status, .body = error_body(error, ErrorForm::kOpenAi)};
  if (error.retry_after) {
    reply.headers.push_back({"Retry-After", std::to_string(error.retry_after->count())});
  }
  return reply;
}

}  // namespace

std::span<const AdminServer::Route> AdminServer::routes() {
  static constexpr std::array kRoutes = {
      Route{"GET", "/admin/models", &AdminServer::list_models},
      Route{"POST", "/admin/models/load", &AdminServer::load_model},
      Route{"POST", "/admin/models/unload", &AdminServer::unload_model},
      Route{"GET", "/admin/adapters", &AdminServer::list_adapters},
      Route{"POST", "/admin/adapters/load", &AdminServer::load_adapter},
      Route{"POST", "/admin/adapters/unload", &AdminServer::unload_adapter},
      Route{"GET", "/admin/classes", &AdminServer::list_classes},
      Route{"POST", "/admin/classes", &AdminServer::change_class},
      Route{"POST", "/admin/reload", &AdminServer::reload},
      Route{"POST", "/admin/drain", &AdminServer::drain},
      Route{"GET", "/admin/log-level", &AdminServer::show_log_level},
      Route{"POST", "/admin/log-level", &AdminServer::set_log_level},
      Route{"GET", "/admin/requests", &AdminServer::list_requests},
      Route{"POST", "/admin/requests/cancel", &AdminServer::cancel_request},
  };
  return kRoutes;
}

AdminServer::AdminServer(const AdminServerOptions& options, AdminActions& actions,
                         RunningRequests& requests, MetricsPage& page)
    : actions_(actions),
      requests_(requests),
      page_(page),
      key_(sha256(options.key)),
      pool_(std::make_unique<HostPool>(
          HostPoolOptions{.num_threads = 1, .num_tasks_max = kActionsMax})) {
  CHECK(!options.key.empty());
}

Result<std::unique_ptr<AdminServer>> AdminServer::create(const AdminServerOptions& options,
                                                         AdminActions& actions,
                                                         RunningRequests& requests,
                                                         MetricsPage& page, const Clock& clock) {
  std::unique_ptr<AdminServer> server(new AdminServer(options, actions, requests, page));
  server->http_ = TRY(HttpServer::create(options.http, *server, clock));
  return server;
}

AdminServer::~AdminServer() {
  if (http_ != nullptr) http_->stop();
  pool_.reset();
}

void AdminServer::set_key(const std::string& key) {
  const Sha256 digest = sha256(key);
  const std::lock_guard lock(mutex_);
  key_ = digest;
}

Status AdminServer::check_key(const HttpRequest& request) const {
  Sha256 key;
  {
    const std::lock_guard lock(mutex_);
    key = key_;
  }
  return check_admin_key(request, key);
}

void AdminServer::handle(HttpRequest request, HttpExchangeRef exchange) {
  if (request.path == "/health/live") return exchange->reply({.body = text_of(admin_done())});
  const Status status = check_key(request);
  if (!status.ok()) return exchange->reply(error_reply(api_error(status.error())));
  HostPool::Task task = [this, exchange, moved = std::move(request)] {
    exchange->reply(answer(moved));
  };
  if (pool_->try_push(std::move(task))) return;
  exchange->reply(error_reply(
      api_error(Error{ErrorCode::kUnavailable, "too many admin requests wait for each other"})));
}

HttpReply AdminServer::answer(const HttpRequest& request) {
  if (request.path == "/metrics" && request.method == "GET") {
    return {.content_type = kPrometheusContentType, .body = page_.text()};
  }
  bool has_path = false;
  for (const Route& route : routes()) {
    if (route.path != request.path) continue;
    has_path = true;
    if (route.method != request.method) continue;
    Json body = Json::object();
    if (!request.body.empty()) {
      constexpr JsonLimits kLimits = {.bytes_max = 1 << 20, .depth_max = 8};
      Result<Json> parsed = parse_json(request.body, "the body", kLimits);
      if (!parsed.ok()) return error_reply(api_error(400, parsed.error().message));
      body = std::move(parsed).value();
    }
    if (!body.is_object()) return error_reply(api_error(400, "the body is no JSON object"));
    const Result<OrderedJson> result = (this->*route.action)(body);
    if (!result.ok()) return error_reply(api_error(result.error()));
    return {.body = text_of(result.value())};
  }
  if (has_path) {
    return error_reply(api_error(405, request.path + " does not take " + request.method));
  }
  return error_reply(api_error(404, "there is no " + request.method + " " + request.path));
}

HttpReply AdminServer::refuse(int status, std::string_view message) {
  return error_reply(api_error(status, std::string(message)));
}

Result<OrderedJson> AdminServer::reload(const Json&) {
  const std::vector<std::string> left = TRY(actions_.reload());
  return OrderedJson{{"status", "ok"}, {"needs_restart", left}};
}

Result<OrderedJson> AdminServer::drain(const Json&) {
  actions_.drain();
  return OrderedJson{{"status", "draining"}};
}

Result<OrderedJson> AdminServer::show_log_level(const Json&) {
  return OrderedJson{{"level", kLevels.at(static_cast<std::size_t>(actions_.log_level()))}};
}

Result<OrderedJson> AdminServer::set_log_level(const Json& body) {
  const std::string name = TRY(required_text(body, "level"));
  for (std::size_t i = 0; i < kLevels.size(); ++i) {
    if (kLevels[i] != name) continue;
    actions_.set_log_level(static_cast<LogLevel>(i));
    return admin_done();
  }
  return Error{ErrorCode::kInvalidArgument,
               "level is " + name + ", expected debug, info, warning or error"};
}

Result<OrderedJson> AdminServer::list_requests(const Json&) {
  OrderedJson requests = OrderedJson::array();
  for (const RunningRequest& request : requests_.list()) {
    requests.push_back({{"request_id", request.request_id},
                        {"client", request.peer},
                        {"method", request.method},
                        {"path", request.path},
                        {"age_seconds", seconds(request.age)}});
  }
  return OrderedJson{{"requests", std::move(requests)}};
}

Result<OrderedJson> AdminServer::cancel_request(const Json& body) {
  const std::string id = TRY(required_text(body, "request_id"));
  const std::size_t num_cancelled = requests_.cancel(id);
  if (num_cancelled == 0) {
    return Error{ErrorCode::kNotFound, "no request " + id + " is on its way"};
  }
  return OrderedJson{{"status", "ok"}, {"cancelled", num_cancelled}};
}

}  // namespace millrace
