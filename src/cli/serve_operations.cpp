// Wiring of the operator's side, and what a reload takes.
#include "cli/serve_operations.h"

#include <algorithm>
#include <utility>

#include "cli/model_options.h"
#include "cli/serve_settings.h"
#include "cli/version.h"
#include "serve/config/class_settings.h"
#include "serve/config/config_check.h"
#include "serve/config/service_classes.h"

namespace millrace {
static_assert(static_cast<int>(LogLevel::kDebug) == static_cast<int>(Severity::kDebug));
static_assert(static_cast<int>(LogLevel::kError) == static_cast<int>(Severity::kError));

Severity severity_of(LogLevel level) {
  return static_cast<Severity>(level);
}

LineFormat line_format_of(LogFormat format) {
  return format == LogFormat::kJson ? LineFormat::kJson : LineFormat::kText;
}

Result<std::unique_ptr<ServeOperations>> ServeOperations::create(const ServerConfig& config,
                                                                 const Clock& clock) {
  constexpr const char* kStandardError = "-2";
  std::unique_ptr<LineWriter> writer = TRY(LineWriter::open({.path = kStandardError}));
  std::unique_ptr<ServeOperations> operations(
      new ServeOperations(config, clock, std::move(writer)));
  TRY(operations->take_access_log(config.access_log));
  return operations;
}

ServeOperations::ServeOperations(const ServerConfig& config, const Clock& clock,
                                 std::unique_ptr<LineWriter> log_writer)
    : clock_(clock),
      log_writer_(std::move(log_writer)),
      log_(*log_writer_, line_format_of(config.log.format)),
      gate_(clock),
      running_(clock),
      metrics_(version_text(), isa_name(config.engine.cpu_isa)),
      config_(config) {
  log_.set_level(severity_of(config.log.level));
  config_.classes = class_configs(config);
  gate_.set_keys(config.api_keys);
  metrics_.watch_log(*log_writer_, "server");
}

ServeOperations::~ServeOperations() {
  detach();
}

ServerHooks ServeOperations::hooks() {
  const bool is_public = config_.metrics.listener == MetricsListener::kPublic;
  return {.gate = &gate_, .observers = {this}, .metrics = is_public ? &metrics_ : nullptr};
}

Status ServeOperations::attach(const ServedParts& parts) {
  parts_ = parts;
  metrics_.watch_http(parts.server->http(), "public");
  metrics_.watch_engines(parts.directory->registry());
  if (!config_.admin.port) return Ok{};
  const AdminServerOptions options{.http = admin_http_options(config_), .key = config_.admin.key};
  admin_ = TRY(AdminServer::create(options, *this, running_, metrics_, clock_));
  metrics_.watch_http(admin_->http(), "admin");
  admin_->http().start();
  log_.info("the admin listener is ready", {{"url", admin_->http().url()}});
  return Ok{};
}

void ServeOperations::detach() {
  admin_.reset();
}

void ServeOperations::request_began(const RequestRecord& record, const HttpExchangeRef& exchange) {
  running_.request_began(record, exchange);
  metrics_.request_began(record, exchange);
}

void ServeOperations::request_ended(const RequestRecord& record) {
  running_.request_ended(record);
  metrics_.request_ended(record);
  gate_.request_ended(record);
  AccessLog* const access = access_.load(std::memory_order_acquire);
  if (access != nullptr) access->request_ended(record);
}

std::vector<ModelStatus> ServeOperations::models() {
  return parts_.directory->registry().models();
}

Status ServeOperations::load_model(const std::string& name, const std::string& path) {
  for (const ModelStatus& known : models()) {
    if (known.name != name) continue;
    return Error{ErrorCode::kInvalidArgument, "model " + name + " is there already"};
  }
  if (parts_.directory->find(name).ok()) {
    return Error{ErrorCode::kInvalidArgument, "the name " + name + " is an adapter's"};
  }
  if (!path.empty()) {
    ModelConfig model;
    model.name = name;
    model.path = path;
    TRY(check_model(model));
    parts_.add_model(model);
  }
  TRY(parts_.directory->load(name));
  log_.info("a model was loaded", {{"model", name}});
  return Ok{};
}

Status ServeOperations::retire_model(const std::string& name) {
  TRY(parts_.directory->retire(name));
  log_.info("a model retires", {{"model", name}});
  return Ok{};
}

std::vector<AdapterOfModel> ServeOperations::adapters() {
  std::vector<AdapterOfModel> all;
  for (const auto& model : parts_.directory->models()) {
    if (model->facts().adapters == nullptr) continue;
    for (AdapterStatus& adapter : model->facts().adapters->adapters()) {
      all.push_back({model->name(), std::move(adapter)});
    }
  }
  return all;
}

Status ServeOperations::load_adapter(const std::string& model, const std::string& name,
                                     const std::string& path) {
  TRY(check_adapter({.name = name, .path = path}));
  TRY(parts_.directory->load_adapter(model, name, path));
  log_.info("an adapter was loaded", {{"adapter", name}, {"path", path}});
  return Ok{};
}

Status ServeOperations::unload_adapter(const std::string& name) {
  TRY(parts_.directory->unload_adapter(name));
  log_.info("an adapter was unloaded", {{"adapter", name}});
  return Ok{};
}

std::vector<ServiceClass> ServeOperations::classes() {
  return parts_.directory->registry().classes();
}

Status ServeOperations::change_class(const std::string& name, const ClassChanges& changes) {
  const std::lock_guard lock(reload_mutex_);
  ServerConfig changed = config_;
  const auto found = std::find_if(changed.classes.begin(), changed.classes.end(),
                                  [&](const ClassConfig& known) { return known.name == name; });
  if (found == changed.classes.end()) {
    return Error{ErrorCode::kNotFound, "there is no class " + name};
  }
  for (const auto& [key, text] : changes) TRY(set_class_setting(*found, key, text));
  TRY(parts_.directory->registry().set_classes(service_classes(changed)));
  config_.classes = changed.classes;
  log_.info("an operator changed a class", {{"class", name}});
  return Ok{};
}

Duration ServeOperations::drain_timeout() const {
  const std::lock_guard lock(reload_mutex_);
  return config_.limits.drain_timeout;
}

void ServeOperations::drain() {
  log_.info("an operator asks to drain");
  parts_.shut_down();
}

LogLevel ServeOperations::log_level() {
  return static_cast<LogLevel>(log_.level());
}

void ServeOperations::set_log_level(LogLevel level) {
  log_.set_level(severity_of(level));
}

}  // namespace millrace
