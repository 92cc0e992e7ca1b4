// Wiring of the operator's side, and what a reload takes.
#include "cli/serve_operations.h"

#include <utility>

#include "cli/version.h"
#include "serve/config/config_changes.h"

namespace millrace {
namespace {

Severity severity_of(LogLevel level) {
  return static_cast<Severity>(level);
}
static_assert(static_cast<int>(LogLevel::kDebug) == static_cast<int>(Severity::kDebug));
static_assert(static_cast<int>(LogLevel::kError) == static_cast<int>(Severity::kError));

}  // namespace

Result<std::unique_ptr<ServeOperations>> ServeOperations::create(const ServerConfig& config,
                                                                 const Clock& clock) {
  constexpr const char* kStandardError = "-2";
  std::unique_ptr<LineWriter> writer = TRY(LineWriter::open({.path = kStandardError}));
  std::unique_ptr<ServeOperations> operations(
      new ServeOperations(config, clock, std::move(writer)));
  if (!config.access_log.path.empty()) {
    operations->access_log_ = TRY(AccessLog::open(config.access_log));
    operations->metrics_.watch_log(operations->access_log_->writer(), "access");
  }
  return operations;
}

ServeOperations::ServeOperations(const ServerConfig& config, const Clock& clock,
                                 std::unique_ptr<LineWriter> log_writer)
    : clock_(clock),
      log_writer_(std::move(log_writer)),
      log_(*log_writer_,
           config.log.format == LogFormat::kJson ? LineFormat::kJson : LineFormat::kText),
      gate_(clock),
      running_(clock),
      metrics_(version_text()),
      config_(config) {
  log_.set_level(severity_of(config.log.level));
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

Status ServeOperations::attach(const ServedParts& parts, const HttpServerOptions& http) {
  parts_ = parts;
  metrics_.watch_http(parts.server->http(), "public");
  metrics_.watch_engines(parts.directory->registry());
  if (config_.admin.port) {
    AdminServerOptions options{.http = http, .key = config_.admin.key};
    options.http.host = config_.admin.address;
    options.http.port = *config_.admin.port;
    options.http.num_io_threads = 1;
    options.http.cors = {};
    admin_ = TRY(AdminServer::create(options, *this, running_, metrics_, clock_));
    metrics_.watch_http(admin_->http(), "admin");
    admin_->http().start();
    log_.info("the admin listener is ready", {{"url", admin_->http().url()}});
  }
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
  if (access_log_ != nullptr) access_log_->request_ended(record);
}

std::vector<ModelStatus> ServeOperations::models() {
  return parts_.directory->registry().models();
}

Status ServeOperations::load_model(const std::string& name, const std::string& path) {
  if (!path.empty()) {
    ModelConfig model;
    model.name = name;
    model.path = path;
    TRY(parts_.add_model(model));
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

Result<std::vector<std::string>> ServeOperations::reload() {
  const std::lock_guard lock(reload_mutex_);
  Result<LoadedConfig> loaded = parts_.read_again();
  if (!loaded.ok()) {
    log_.error("the configuration was not taken", {{"error", loaded.error().message}});
    return loaded.error();
  }
  const ServerConfig& fresh = loaded.value().config;
  std::vector<std::string> left;
  for (const ConfigChange& change : config_changes(config_, fresh)) {
    const bool is_log = change.path.starts_with("access_log.");
    const bool needs_new_log = is_log && (access_log_ == nullptr || fresh.access_log.path.empty());
    if (change.reload == Reload::kRestart || needs_new_log) left.push_back(change.path);
  }
  if (!config_.tls.certificate.empty()) TRY(parts_.server->http().reload_tls());
  if (admin_ != nullptr && !config_.tls.certificate.empty()) TRY(admin_->http().reload_tls());
  take(fresh);
  log_.info("the configuration was read again", {{"keys", fresh.api_keys.size()}});
  for (const std::string& path : left) {
    log_.warning("this setting takes effect at the next start", {{"setting", path}});
  }
  return left;
}

// What is live. The rest stays as it is in config_, so that the next reload tells of it again.
void ServeOperations::take(const ServerConfig& fresh) {
  gate_.set_keys(fresh.api_keys);
  config_.api_keys = fresh.api_keys;
  log_.set_level(severity_of(fresh.log.level));
  config_.log.level = fresh.log.level;
  if (admin_ != nullptr && !fresh.admin.key.empty()) {
    admin_->set_key(fresh.admin.key);
    config_.admin.key = fresh.admin.key;
    config_.admin.key_file = fresh.admin.key_file;
  }
  if (access_log_ != nullptr && !fresh.access_log.path.empty()) {
    access_log_->reopen(fresh.access_log);
    config_.access_log.path = fresh.access_log.path;
    config_.access_log.fields = fresh.access_log.fields;
  }
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
