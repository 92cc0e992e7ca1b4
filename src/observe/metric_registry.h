// All metrics of a program by name and labels, and what they read right now.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "observe/metric.h"

namespace millrace {

enum class MetricKind : std::uint8_t { kCounter, kGauge, kHistogram };

// One combination of labels.
struct MetricSample {
  std::vector<std::string> labels;         // values, one per name of the family
  double value = 0;                        // of counters and gauges; of histograms the sum
  std::vector<std::uint64_t> counts = {};  // of histograms: by bucket, one more than bounds
};

// A metric with all its samples at one moment. Plain data.
struct MetricSnapshot {
  std::string name;  // ends in its unit; a counter's in _total
  std::string help;
  MetricKind kind = MetricKind::kGauge;
  std::vector<std::string> label_names = {};
  std::vector<double> bounds = {};  // of histograms
  std::vector<MetricSample> samples = {};
};

// The metrics of one name, one for each combination of labels.
template <class Metric>
class MetricFamily {
 public:
  using Make = std::function<std::unique_ptr<Metric>()>;
  MetricFamily(std::size_t num_labels, Make make)
      : num_labels_(num_labels), make_(std::move(make)) {}

  // Made at first use, stays where it is. Any thread; whoever calls often keeps the reference.
  // Past kCombinationsMax all new combinations share one whose labels are all "other", so that
  // nobody outside can make us hold ever more.
  Metric& with(const std::vector<std::string>& labels);

  static constexpr std::size_t kCombinationsMax = 2000;

  // All of them. Any thread.
  void each(const std::function<void(const std::vector<std::string>&, const Metric&)>& call) const;

 private:
  const std::size_t num_labels_;
  const Make make_;
  mutable std::mutex mutex_;  // Guards metrics_.
  std::map<std::vector<std::string>, std::unique_ptr<Metric>> metrics_;
};

extern template class MetricFamily<Counter>;
extern template class MetricFamily<Gauge>;
extern template class MetricFamily<Histogram>;

// Any thread. Families live as long as the registry.
class MetricRegistry {
 public:
  struct Description {
    std::string name;
    std::string help;  // one sentence
    std::vector<std::string> label_names = {};
  };
  // The names follow Prometheus's rules and are new; else CHECK.
  MetricFamily<Counter>& add_counters(const Description& description);
  MetricFamily<Gauge>& add_gauges(const Description& description);
  MetricFamily<Histogram>& add_histograms(const Description& description,
                                          std::span<const double> bounds);

  // Called at each collect() to add what is only looked up when somebody asks. On that thread.
  using Collector = std::function<void(std::vector<MetricSnapshot>&)>;
  void add_collector(Collector collector);

  // In the order in which they were added.
  std::vector<MetricSnapshot> collect() const;

 private:
  void add(const Description& description, MetricKind kind, std::span<const double> bounds,
           std::function<void(MetricSnapshot&)> read);

  struct Entry {
    MetricSnapshot head;  // without samples
    std::function<void(MetricSnapshot&)> read;
  };

  mutable std::mutex mutex_;  // Guards what follows.
  std::vector<Entry> entries_;
  std::vector<Collector> collectors_;
  std::vector<std::unique_ptr<MetricFamily<Counter>>> counters_;
  std::vector<std::unique_ptr<MetricFamily<Gauge>>> gauges_;
  std::vector<std::unique_ptr<MetricFamily<Histogram>>> histograms_;
};

// Prometheus's text format, version 0.0.4.
// Source: https://prometheus.io/docs/instrumenting/exposition_formats/ .
std::string prometheus_text(std::span<const MetricSnapshot> snapshots);
inline constexpr const char* kPrometheusContentType = "text/plain; version=0.0.4; charset=utf-8";

}  // namespace millrace
