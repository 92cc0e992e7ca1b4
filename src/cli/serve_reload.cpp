// Taking a configuration while the server runs: what can be taken, in an order that leaves nothing
// half done when something cannot.
#include <algorithm>
#include <utility>

#include "cli/serve_operations.h"
#include "cli/serve_settings.h"
#include "serve/config/config_changes.h"
#include "serve/config/service_classes.h"

namespace millrace {
namespace {

bool has_tls(const ServerConfig& config) {
  return !config.tls.certificate.empty();
}

// What the table calls live, but not where it changes what was made at the start.
bool waits_for_restart(const ConfigChange& change, const ServerConfig& before,
                       const ServerConfig& after) {
  if (change.reload == Reload::kRestart) return true;
  if (change.path.starts_with("tls.")) return has_tls(before) != has_tls(after);
  if (change.path.starts_with("admin.")) return !before.admin.port || after.admin.key.empty();
  return false;
}

const ModelConfig* find_model(const ServerConfig& config, const std::string& name) {
  for (const ModelConfig& model : config.models) {
    if (model.name == name) return &model;
  }
  return nullptr;
}

bool has_adapter(const ModelConfig& model, const AdapterConfig& adapter) {
  return std::any_of(model.adapters.begin(), model.adapters.end(), [&](const AdapterConfig& one) {
    return one.name == adapter.name && one.path == adapter.path;
  });
}

}  // namespace

Result<std::vector<std::string>> ServeOperations::reload() {
  const std::lock_guard lock(reload_mutex_);
  Result<LoadedConfig> loaded = parts_.read_again();
  Result<std::vector<std::string>> left = loaded.ok()
                                              ? take_config(loaded.value().config)
                                              : Result<std::vector<std::string>>(loaded.error());
  if (!left.ok()) log_.error("the configuration was not taken", {{"error", left.error().message}});
  return left;
}

Result<std::vector<std::string>> ServeOperations::take_config(ServerConfig fresh) {
  fresh.classes = class_configs(fresh);  // As config_ has them.
  const std::vector<ConfigChange> changes = config_changes(config_, fresh);
  TRY(reload_checked(fresh));
  log_.info("the configuration was read again", {{"keys", fresh.api_keys.size()}});
  std::vector<std::string> left = tell_changes(changes, fresh);
  take(fresh);
  return left;
}

// What can fail goes first, and is taken back when something after it fails.
Status ServeOperations::reload_checked(const ServerConfig& fresh) {
  parts_.set_texts(fresh);
  Status status = parts_.directory->refresh();
  if (status.ok()) status = reload_tls(fresh);
  if (status.ok()) status = take_access_log(fresh.access_log);
  if (!status.ok()) {
    parts_.set_texts(config_);
    (void)parts_.directory->refresh();  // What was in effect can be used.
    return status;
  }
  take_classes(fresh);
  return Ok{};
}

// Other classes than there are need a restart, and so do their caps; the old ones stay.
void ServeOperations::take_classes(const ServerConfig& fresh) {
  ServerConfig wanted = fresh;
  if (wanted.classes.size() == config_.classes.size()) {
    for (std::size_t i = 0; i < wanted.classes.size(); ++i) {
      wanted.classes[i].threads_max = config_.classes[i].threads_max;
      wanted.classes[i].cache_part_max = config_.classes[i].cache_part_max;
      wanted.classes[i].kv_bytes_max = config_.classes[i].kv_bytes_max;
    }
  }
  const Status taken = parts_.directory->registry().set_classes(service_classes(wanted));
  if (taken.ok()) config_.classes = std::move(wanted.classes);
  if (!taken.ok()) log_.warning("classes stay as they are", {{"reason", taken.error().message}});
}

Status ServeOperations::reload_tls(const ServerConfig& fresh) {
  if (!has_tls(config_) || !has_tls(fresh)) return Ok{};
  const TlsFiles files{.certificate_path = fresh.tls.certificate, .key_path = fresh.tls.key};
  TRY(parts_.server->http().reload_tls(files));
  if (admin_ != nullptr) TRY(admin_->http().reload_tls(files));
  return Ok{};
}

// A path that was there is opened anew, for whoever rotates; one that is new begins a log.
Status ServeOperations::take_access_log(const AccessLogConfig& fresh) {
  if (fresh.path.empty()) {
    access_.store(nullptr, std::memory_order_release);
    return Ok{};
  }
  if (access_log_ == nullptr) {
    access_log_ = TRY(AccessLog::open(fresh));
    metrics_.watch_log(access_log_->writer(), "access");
  } else {
    access_log_->reopen(fresh);
  }
  access_.store(access_log_.get(), std::memory_order_release);
  return Ok{};
}

std::vector<std::string> ServeOperations::tell_changes(std::span<const ConfigChange> changes,
                                                       const ServerConfig& fresh) {
  std::vector<std::string> left;
  for (const ConfigChange& change : changes) {
    if (!waits_for_restart(change, config_, fresh)) {
      log_.info("a setting changes",
                {{"setting", change.path}, {"before", change.before}, {"after", change.after}});
      continue;
    }
    left.push_back(change.path);
    log_.warning("this setting takes effect at the next start",
                 {{"setting", change.path}, {"before", change.before}, {"after", change.after}});
  }
  return left;
}

// Adapters that the file names no longer go, those that it names newly come. Those that an operator
// loaded by hand stay.
void ServeOperations::take_adapters(const ServerConfig& fresh) {
  for (ModelConfig& model : config_.models) {
    const ModelConfig* const wanted = find_model(fresh, model.name);
    if (wanted == nullptr) continue;
    std::vector<AdapterConfig> kept;
    for (const AdapterConfig& adapter : model.adapters) {
      if (has_adapter(*wanted, adapter)) {
        kept.push_back(adapter);
      } else if (const Status gone = parts_.directory->unload_adapter(adapter.name); !gone.ok()) {
        log_.warning("an adapter was not unloaded", {{"error", gone.error().message}});
      }
    }
    model.adapters = kept;
    for (const AdapterConfig& adapter : wanted->adapters) {
      if (has_adapter(model, adapter)) continue;
      const Status came = parts_.directory->load_adapter(model.name, adapter.name, adapter.path);
      if (came.ok()) model.adapters.push_back(adapter);
      if (!came.ok()) log_.error("an adapter was not loaded", {{"error", came.error().message}});
    }
  }
}

// What is live. The rest stays as it is in config_, so that the next reload tells of it again.
void ServeOperations::take(const ServerConfig& fresh) {
  take_adapters(fresh);
  for (ModelConfig& model : config_.models) {
    const ModelConfig* const wanted = find_model(fresh, model.name);
    if (wanted == nullptr) continue;
    model.chat_template = wanted->chat_template;
    model.tool_parser = wanted->tool_parser;
    model.reasoning_parser = wanted->reasoning_parser;
    model.overlong_prompt = wanted->overlong_prompt;
    model.special_tokens_in_messages = wanted->special_tokens_in_messages;
    model.pooling = wanted->pooling;
    model.sampling = wanted->sampling;
  }
  gate_.set_keys(fresh.api_keys);
  config_.api_keys = fresh.api_keys;
  config_.hooks = fresh.hooks;
  config_.limits = fresh.limits;
  config_.cors = fresh.cors;
  parts_.server->set_limits(server_limits(config_));
  const HttpServerOptions http = http_options(config_);
  parts_.server->http().set_limits(http.limits, http.cors);
  log_.set_level(severity_of(fresh.log.level));
  log_.set_format(line_format_of(fresh.log.format));
  config_.log = fresh.log;
  if (admin_ != nullptr) {
    const HttpServerOptions admin = admin_http_options(config_);
    admin_->http().set_limits(admin.limits, admin.cors);
    if (!fresh.admin.key.empty()) {
      admin_->set_key(fresh.admin.key);
      config_.admin.key = fresh.admin.key;
      config_.admin.key_file = fresh.admin.key_file;
    }
  }
  config_.access_log.path = fresh.access_log.path;
  config_.access_log.fields = fresh.access_log.fields;
  if (has_tls(config_) && has_tls(fresh)) config_.tls = fresh.tls;
}

}  // namespace millrace
