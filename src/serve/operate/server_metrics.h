// The server's metrics: what requests came to, and what engine, sockets and logs say when asked.
#pragma once

#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "engine/model_registry.h"
#include "observe/line_writer.h"
#include "observe/metric_registry.h"
#include "serve/http/http_server.h"
#include "serve/service/server.h"
#include "serve/service/service_reply.h"

namespace millrace {

// Any thread. What it watches outlives it, or is unwatched by its end.
class ServerMetrics final : public RequestObserver, public MetricsPage {
 public:
  // The version is the label of millrace_build_info.
  // `cpu_isa` names the kernels that models run on.
  ServerMetrics(std::string version, std::string cpu_isa);

  void request_began(const RequestRecord& record, const HttpExchangeRef& exchange) override;
  void request_ended(const RequestRecord& record) override;

  void watch_http(const HttpServer& http, const std::string& listener);
  void watch_log(const LineWriter& writer, const std::string& log);
  void watch_engines(const ModelRegistry& registry);

  // /metrics in Prometheus's text.
  std::string text() override;
  MetricRegistry& registry() { return registry_; }

 private:
  struct WatchedLog {
    const LineWriter* writer;
    std::string name;
  };
  struct WatchedHttp {
    const HttpServer* http;
    std::string name;
  };

  void count_answer(const RequestRecord& record);
  void collect_logs(std::vector<MetricSnapshot>& snapshots) const;
  void collect_http(std::vector<MetricSnapshot>& snapshots) const;
  void collect_engines(std::vector<MetricSnapshot>& snapshots) const;
  void collect_build(std::vector<MetricSnapshot>& snapshots) const;

  const std::string version_;
  const std::string cpu_isa_;
  MetricRegistry registry_;
  mutable std::mutex mutex_;  // Guards what is watched.
  std::vector<WatchedLog> logs_;
  std::vector<WatchedHttp> https_;
  const ModelRegistry* registry_of_models_ = nullptr;
  MetricFamily<Counter>& requests_;
  Gauge& running_;
  MetricFamily<Counter>& answers_;
  MetricFamily<Counter>& prompt_tokens_;
  MetricFamily<Counter>& cached_tokens_;
  MetricFamily<Counter>& output_tokens_;
  MetricFamily<Counter>& key_tokens_;
  MetricFamily<Histogram>& request_seconds_;
  MetricFamily<Histogram>& first_token_seconds_;
  MetricFamily<Histogram>& token_seconds_;
};

}  // namespace millrace
