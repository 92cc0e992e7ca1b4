// The families, and the few places where they change.
#include "serve/operate/server_metrics.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "observe/process_metrics.h"
#include "serve/operate/engine_metrics.h"

namespace millrace {
namespace {

constexpr std::string_view kMetricsPath = "/metrics";

// A client can make up any path; these are the labels that there are.
std::string endpoint_of(std::string_view path) {
  static constexpr std::array<std::string_view, 16> kEndpoints = {"/v1/chat/completions",
                                                                  "/v1/completions",
                                                                  "/v1/responses",
                                                                  "/v1/messages",
                                                                  "/v1/messages/count_tokens",
                                                                  "/v1/embeddings",
                                                                  "/v1/models",
                                                                  "/tokenize",
                                                                  "/detokenize",
                                                                  "/apply-template",
                                                                  "/health",
                                                                  "/health/live",
                                                                  "/health/ready",
                                                                  "/metrics",
                                                                  "/version",
                                                                  "/v1/models/"};
  if (std::find(kEndpoints.begin(), kEndpoints.end(), path) != kEndpoints.end()) {
    return std::string(path);
  }
  return path.starts_with("/v1/models/") ? "/v1/models/{model}" : "other";
}

MetricSnapshot snapshot_of(const char* name, const char* help, MetricKind kind, const char* label) {
  return {.name = name, .help = help, .kind = kind, .label_names = {label}};
}

}  // namespace

ServerMetrics::ServerMetrics(std::string version, std::string cpu_isa)
    : version_(std::move(version)),
      cpu_isa_(std::move(cpu_isa)),
      requests_(registry_.add_counters({"millrace_http_requests_total",
                                        "Requests that were answered or given up, by status; 499 "
                                        "where the client went first.",
                                        {"endpoint", "code"}})),
      running_(registry_
                   .add_gauges({"millrace_http_requests_running",
                                "Requests on their way, scrapes of this page not counted."})
                   .with({})),
      answers_(registry_.add_counters({"millrace_answers_total",
                                       "Answers by how they ended.",
                                       {"model", "class", "variant", "finish"}})),
      prompt_tokens_(registry_.add_counters({"millrace_prompt_tokens_total",
                                             "Tokens of prompts, cached ones too.",
                                             {"model", "class", "variant"}})),
      cached_tokens_(registry_.add_counters({"millrace_cached_prompt_tokens_total",
                                             "Tokens of prompts that were found in the cache.",
                                             {"model", "class", "variant"}})),
      output_tokens_(registry_.add_counters({"millrace_output_tokens_total",
                                             "Tokens that were generated.",
                                             {"model", "class", "variant"}})),
      key_tokens_(registry_.add_counters(
          {"millrace_key_tokens_total", "Tokens by API key, of prompts and answers.", {"key"}})),
      request_seconds_(registry_.add_histograms({"millrace_request_seconds",
                                                 "Time from a request's arrival to its end.",
                                                 {"model", "class", "variant"}},
                                                request_seconds_bounds())),
      first_token_seconds_(registry_.add_histograms({"millrace_request_first_token_seconds",
                                                     "Time from a request's arrival to its first "
                                                     "token.",
                                                     {"model", "class", "variant"}},
                                                    request_seconds_bounds())),
      token_seconds_(registry_.add_histograms({"millrace_request_token_seconds",
                                               "Mean time between the tokens of an answer.",
                                               {"model", "class", "variant"}},
                                              step_seconds_bounds())) {
  registry_.add_collector([this](std::vector<MetricSnapshot>& out) { collect_engines(out); });
  registry_.add_collector([this](std::vector<MetricSnapshot>& out) { collect_http(out); });
  registry_.add_collector([this](std::vector<MetricSnapshot>& out) { collect_logs(out); });
  registry_.add_collector([this](std::vector<MetricSnapshot>& out) { collect_build(out); });
  registry_.add_collector(collect_process_metrics);
}

// A scrape does not count itself.
void ServerMetrics::request_began(const RequestRecord& record, const HttpExchangeRef&) {
  if (record.path != kMetricsPath) running_.add(1);
}

void ServerMetrics::request_ended(const RequestRecord& record) {
  if (record.path != kMetricsPath) running_.add(-1);
  requests_.with({endpoint_of(record.path), std::to_string(record.status)}).add();
  if (record.num_prompt_tokens > 0) count_answer(record);
}

void ServerMetrics::count_answer(const RequestRecord& record) {
  const std::vector<std::string> labels = {record.model, record.class_name, record.variant};
  const std::string finish = record.finish.empty() ? "none" : record.finish;
  answers_.with({record.model, record.class_name, record.variant, finish}).add();
  prompt_tokens_.with(labels).add(record.num_prompt_tokens);
  cached_tokens_.with(labels).add(record.num_cached_tokens);
  output_tokens_.with(labels).add(record.num_completion_tokens);
  if (!record.key_name.empty()) {
    key_tokens_.with({record.key_name})
        .add(record.num_prompt_tokens + record.num_completion_tokens);
  }
  if (record.was_cut_off || !record.error.empty()) return;  // Its times say nothing of ours.
  request_seconds_.with(labels).observe(seconds(record.total));
  if (!record.first_token) return;
  first_token_seconds_.with(labels).observe(seconds(*record.first_token));
  const std::size_t num_each =
      record.num_completion_tokens / std::max<std::size_t>(1, record.num_choices);
  if (num_each > 1) {
    token_seconds_.with(labels).observe(seconds(record.total - *record.first_token) /
                                        static_cast<double>(num_each - 1));
  }
}

void ServerMetrics::watch_http(const HttpServer& http, const std::string& listener) {
  const std::lock_guard lock(mutex_);
  https_.push_back({&http, listener});
}

void ServerMetrics::watch_log(const LineWriter& writer, const std::string& log) {
  const std::lock_guard lock(mutex_);
  logs_.push_back({&writer, log});
}

void ServerMetrics::watch_engines(const ModelRegistry& registry) {
  const std::lock_guard lock(mutex_);
  registry_of_models_ = &registry;
}

void ServerMetrics::collect_http(std::vector<MetricSnapshot>& snapshots) const {
  MetricSnapshot open =
      snapshot_of("millrace_http_connections", "Open connections.", MetricKind::kGauge, "listener");
  MetricSnapshot accepted = snapshot_of("millrace_http_connections_accepted_total", "Connections.",
                                        MetricKind::kCounter, "listener");
  MetricSnapshot refused =
      snapshot_of("millrace_http_connections_refused_total", "Connections over the limit.",
                  MetricKind::kCounter, "listener");
  MetricSnapshot malformed =
      snapshot_of("millrace_http_malformed_requests_total",
                  "Requests that were no HTTP or over a limit.", MetricKind::kCounter, "listener");
  MetricSnapshot timeouts = snapshot_of("millrace_http_timeouts_total",
                                        "Headers, bodies, pauses and writes that took too long.",
                                        MetricKind::kCounter, "listener");
  MetricSnapshot gone = snapshot_of("millrace_http_clients_gone_total",
                                    "Clients that went before the end of their answer.",
                                    MetricKind::kCounter, "listener");
  MetricSnapshot sent = snapshot_of("millrace_http_sent_bytes_total", "Bytes sent.",
                                    MetricKind::kCounter, "listener");
  const std::lock_guard lock(mutex_);
  for (const WatchedHttp& watched : https_) {
    const HttpCounters counters = watched.http->counters();
    const auto add = [&](MetricSnapshot& snapshot, auto value) {
      snapshot.samples.push_back({{watched.name}, static_cast<double>(value)});
    };
    add(open, counters.num_connections);
    add(accepted, counters.num_accepted);
    add(refused, counters.num_refused);
    add(malformed, counters.num_malformed);
    add(timeouts, counters.num_timeouts);
    add(gone, counters.num_gone);
    add(sent, counters.num_bytes_sent);
  }
  for (MetricSnapshot* snapshot :
       {&open, &accepted, &refused, &malformed, &timeouts, &gone, &sent}) {
    snapshots.push_back(std::move(*snapshot));
  }
}

void ServerMetrics::collect_engines(std::vector<MetricSnapshot>& snapshots) const {
  const std::lock_guard lock(mutex_);
  if (registry_of_models_ == nullptr) return;
  add_engine_metrics(registry_of_models_->models(), registry_of_models_->classes(), snapshots);
}

void ServerMetrics::collect_build(std::vector<MetricSnapshot>& snapshots) const {
  MetricSnapshot build =
      snapshot_of("millrace_build_info", "1; the version and the kernels' instruction set.",
                  MetricKind::kGauge, "version");
  build.label_names.push_back("cpu_isa");
  build.samples.push_back({{version_, cpu_isa_}, 1});
  snapshots.push_back(std::move(build));
}

void ServerMetrics::collect_logs(std::vector<MetricSnapshot>& snapshots) const {
  MetricSnapshot written =
      snapshot_of("millrace_log_lines_written_total", "Log lines.", MetricKind::kCounter, "log");
  MetricSnapshot dropped =
      snapshot_of("millrace_log_lines_dropped_total", "Log lines that found the queue full.",
                  MetricKind::kCounter, "log");
  MetricSnapshot failed =
      snapshot_of("millrace_log_lines_failed_total", "Log lines that the disk did not take.",
                  MetricKind::kCounter, "log");
  const std::lock_guard lock(mutex_);
  for (const WatchedLog& log : logs_) {
    written.samples.push_back({{log.name}, static_cast<double>(log.writer->num_written())});
    dropped.samples.push_back({{log.name}, static_cast<double>(log.writer->num_dropped())});
    failed.samples.push_back({{log.name}, static_cast<double>(log.writer->num_failed())});
  }
  for (MetricSnapshot* snapshot : {&written, &dropped, &failed}) {
    snapshots.push_back(std::move(*snapshot));
  }
}

std::string ServerMetrics::text() {
  return prometheus_text(registry_.collect());
}

}  // namespace millrace
