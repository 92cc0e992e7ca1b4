// Families, and the text that Prometheus reads.
#include "observe/metric_registry.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <string_view>

#include "base/check.h"

namespace millrace {
namespace {

bool is_name(std::string_view name) {
  const auto is_letter = [](char c) {
    return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_';
  };
  return !name.empty() && is_letter(name.front()) &&
         std::all_of(name.begin(), name.end(), [&](char c) {
           return is_letter(c) || std::isdigit(static_cast<unsigned char>(c)) != 0;
         });
}

std::string number_text(double number) {
  if (std::isnan(number)) return "NaN";
  if (std::isinf(number)) return number > 0 ? "+Inf" : "-Inf";
  std::array<char, 32> text{};
  const auto [end, failed] = std::to_chars(text.data(), text.data() + text.size(), number);
  CHECK(failed == std::errc());
  return std::string(text.data(), end);
}

enum class Quotes : std::uint8_t { kEscaped, kPlain };

std::string escaped(std::string_view text, Quotes quotes) {
  std::string result;
  for (const char letter : text) {
    if (letter == '\\') {
      result += "\\\\";
    } else if (letter == '\n') {
      result += "\\n";
    } else if (letter == '"' && quotes == Quotes::kEscaped) {
      result += "\\\"";
    } else {
      result += letter;
    }
  }
  return result;
}

class TextWriter {
 public:
  void write(const MetricSnapshot& family) {
    static constexpr std::array<const char*, 3> kKinds = {"counter", "gauge", "histogram"};
    text_ += "# HELP " + family.name + " " + escaped(family.help, Quotes::kPlain) + "\n";
    text_ +=
        "# TYPE " + family.name + " " + kKinds.at(static_cast<std::size_t>(family.kind)) + "\n";
    for (const MetricSample& sample : family.samples) {
      CHECK(sample.labels.size() == family.label_names.size());
      if (family.kind == MetricKind::kHistogram) {
        write_histogram(family, sample);
      } else {
        write_line(family.name, labels_of(family, sample, ""), sample.value);
      }
    }
  }

  std::string text() && { return std::move(text_); }

 private:
  void write_histogram(const MetricSnapshot& family, const MetricSample& sample) {
    CHECK(sample.counts.size() == family.bounds.size() + 1);
    std::uint64_t total = 0;
    for (std::size_t i = 0; i < sample.counts.size(); ++i) {
      total += sample.counts[i];
      const std::string bound =
          i < family.bounds.size() ? number_text(family.bounds[i]) : std::string("+Inf");
      write_line(family.name + "_bucket", labels_of(family, sample, "le=\"" + bound + "\""),
                 static_cast<double>(total));
    }
    write_line(family.name + "_sum", labels_of(family, sample, ""), sample.value);
    write_line(family.name + "_count", labels_of(family, sample, ""), static_cast<double>(total));
  }

  static std::string labels_of(const MetricSnapshot& family, const MetricSample& sample,
                               const std::string& last) {
    std::string list;
    for (std::size_t i = 0; i < sample.labels.size(); ++i) {
      list += (list.empty() ? "" : ",") + family.label_names[i] + "=\"" +
              escaped(sample.labels[i], Quotes::kEscaped) + "\"";
    }
    if (!last.empty()) list += (list.empty() ? "" : ",") + last;
    return list.empty() ? "" : "{" + list + "}";
  }

  void write_line(const std::string& name, const std::string& labels, double value) {
    text_ += name + labels + " " + number_text(value) + "\n";
  }

  std::string text_;
};

template <class Metric>
std::function<void(MetricSnapshot&)> reader_of(const MetricFamily<Metric>& family) {
  return [&family](MetricSnapshot& snapshot) {
    family.each([&](const std::vector<std::string>& labels, const Metric& metric) {
      if constexpr (std::is_same_v<Metric, Histogram>) {
        snapshot.samples.push_back({labels, metric.sum(), metric.counts()});
      } else {
        snapshot.samples.push_back({labels, metric.value()});
      }
    });
  };
}

}  // namespace

template <class Metric>
Metric& MetricFamily<Metric>::with(const std::vector<std::string>& labels) {
  CHECK(labels.size() == num_labels_);
  const std::lock_guard lock(mutex_);
  const auto found = metrics_.find(labels);
  if (found != metrics_.end()) return *found->second;
  const bool is_full = metrics_.size() >= kCombinationsMax;
  const std::vector<std::string> key =
      is_full ? std::vector<std::string>(num_labels_, "other") : labels;
  std::unique_ptr<Metric>& metric = metrics_[key];
  if (metric == nullptr) metric = make_();
  return *metric;
}

template <class Metric>
void MetricFamily<Metric>::each(
    const std::function<void(const std::vector<std::string>&, const Metric&)>& call) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [labels, metric] : metrics_) call(labels, *metric);
}

template class MetricFamily<Counter>;
template class MetricFamily<Gauge>;
template class MetricFamily<Histogram>;

MetricFamily<Counter>& MetricRegistry::add_counters(const Description& description) {
  CHECK(description.name.ends_with("_total"));
  auto family = std::make_unique<MetricFamily<Counter>>(description.label_names.size(),
                                                        [] { return std::make_unique<Counter>(); });
  MetricFamily<Counter>& reference = *family;
  add(description, MetricKind::kCounter, {}, reader_of(reference));
  const std::lock_guard lock(mutex_);
  counters_.push_back(std::move(family));
  return reference;
}

MetricFamily<Gauge>& MetricRegistry::add_gauges(const Description& description) {
  auto family = std::make_unique<MetricFamily<Gauge>>(description.label_names.size(),
                                                      [] { return std::make_unique<Gauge>(); });
  MetricFamily<Gauge>& reference = *family;
  add(description, MetricKind::kGauge, {}, reader_of(reference));
  const std::lock_guard lock(mutex_);
  gauges_.push_back(std::move(family));
  return reference;
}

MetricFamily<Histogram>& MetricRegistry::add_histograms(const Description& description,
                                                        std::span<const double> bounds) {
  const std::vector<double> copy(bounds.begin(), bounds.end());
  auto family = std::make_unique<MetricFamily<Histogram>>(
      description.label_names.size(), [copy] { return std::make_unique<Histogram>(copy); });
  MetricFamily<Histogram>& reference = *family;
  add(description, MetricKind::kHistogram, bounds, reader_of(reference));
  const std::lock_guard lock(mutex_);
  histograms_.push_back(std::move(family));
  return reference;
}

void MetricRegistry::add(const Description& description, MetricKind kind,
                         std::span<const double> bounds,
                         std::function<void(MetricSnapshot&)> read) {
  CHECK(is_name(description.name));
  for (const std::string& label : description.label_names) CHECK(is_name(label) && label != "le");
  const std::lock_guard lock(mutex_);
  for (const Entry& entry : entries_) CHECK(entry.head.name != description.name);
  MetricSnapshot head{description.name, description.help, kind, description.label_names};
  head.bounds.assign(bounds.begin(), bounds.end());
  entries_.push_back({std::move(head), std::move(read)});
}

void MetricRegistry::add_collector(Collector collector) {
  const std::lock_guard lock(mutex_);
  collectors_.push_back(std::move(collector));
}

std::vector<MetricSnapshot> MetricRegistry::collect() const {
  const std::lock_guard lock(mutex_);
  std::vector<MetricSnapshot> snapshots;
  for (const Entry& entry : entries_) {
    snapshots.push_back(entry.head);
    entry.read(snapshots.back());
  }
  for (const Collector& collector : collectors_) collector(snapshots);
  return snapshots;
}

std::string prometheus_text(std::span<const MetricSnapshot> snapshots) {
  TextWriter writer;
  for (const MetricSnapshot& snapshot : snapshots) writer.write(snapshot);
  return std::move(writer).text();
}

}  // namespace millrace
