// Metrics count from many threads, and their text follows Prometheus's rules.
#include "observe/metric.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <thread>

#include "observe/metric_registry.h"
#include "observe/process_metrics.h"
#include "observe/test_prometheus_parser.h"

namespace millrace {
namespace {

using ::testing::HasSubstr;

TEST(MetricTest, NothingIsLostBetweenThreads) {
  MetricRegistry registry;
  auto& requests = registry.add_counters({"requests_total", "Requests.", {"code"}});
  auto& running = registry.add_gauges({"running", "Running."});
  const std::array<double, 2> bounds = {1, 2};
  auto& times = registry.add_histograms({"time_seconds", "Times."}, bounds);
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < 1000; ++i) {
        requests.with({std::to_string(200 + thread % 2)}).add();
        running.with({}).add(1);
        times.with({}).observe(0.5 + i % 3);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const PrometheusPage page = parse_prometheus(prometheus_text(registry.collect()));
  ASSERT_EQ(page.problem, "");
  EXPECT_EQ(page.values.at("requests_total{code=\"200\"}"), 2000);
  EXPECT_EQ(page.values.at("requests_total{code=\"201\"}"), 2000);
  EXPECT_EQ(page.values.at("running"), 4000);
  EXPECT_EQ(page.values.at("time_seconds_bucket{le=\"1\"}"), 1336);
  EXPECT_EQ(page.values.at("time_seconds_bucket{le=\"2\"}"), 2668);
  EXPECT_EQ(page.values.at("time_seconds_bucket{le=\"+Inf\"}"), 4000);
  EXPECT_EQ(page.values.at("time_seconds_count"), 4000);
  EXPECT_EQ(page.values.at("time_seconds_sum"), 1336 * 0.5 + 1332 * 1.5 + 1332 * 2.5);
}

TEST(MetricTest, BoundsAreInclusive) {
  const std::array<double, 2> bounds = {1, 2};
  Histogram histogram(bounds);
  for (const double value : {0.0, 1.0, 1.5, 2.0, 2.1}) histogram.observe(value);
  EXPECT_EQ(histogram.counts(), (std::vector<std::uint64_t>{2, 2, 1}));
}

TEST(MetricTest, LabelsAreEscapedAndBounded) {
  MetricRegistry registry;
  auto& family = registry.add_gauges({"g_bytes", "a \\ and\nb", {"a", "b"}});
  family.with({"quote\" slash\\ line\n", "é"}).set(-0.25);
  for (int i = 0; i < 5000; ++i) family.with({std::to_string(i), ""}).set(1);
  const PrometheusPage page = parse_prometheus(prometheus_text(registry.collect()));
  ASSERT_EQ(page.problem, "");
  EXPECT_EQ(page.values.at("g_bytes{a=\"quote\\\" slash\\\\ line\\n\",b=\"é\"}"), -0.25);
  EXPECT_EQ(page.values.at("g_bytes{a=\"other\",b=\"other\"}"), 1);
  EXPECT_EQ(page.values.size(), MetricFamily<Gauge>::kCombinationsMax + 1);
}

TEST(MetricTest, NumbersReadBack) {
  MetricRegistry registry;
  auto& family = registry.add_gauges({"g", "G.", {"x"}});
  family.with({"a"}).set(0.1);
  family.with({"b"}).set(1e300);
  family.with({"c"}).set(std::numeric_limits<double>::infinity());
  family.with({"d"}).set(std::nan(""));
  const PrometheusPage page = parse_prometheus(prometheus_text(registry.collect()));
  ASSERT_EQ(page.problem, "");
  EXPECT_EQ(page.values.at("g{x=\"a\"}"), 0.1);
  EXPECT_EQ(page.values.at("g{x=\"b\"}"), 1e300);
  EXPECT_EQ(page.values.at("g{x=\"c\"}"), std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(page.values.at("g{x=\"d\"}")));
}

TEST(MetricTest, TheProcessIsDescribed) {
  MetricRegistry registry;
  registry.add_collector(collect_process_metrics);
  const PrometheusPage page = parse_prometheus(prometheus_text(registry.collect()));
  ASSERT_EQ(page.problem, "");
  EXPECT_GT(page.values.at("process_resident_memory_bytes"), 1e5);
  EXPECT_GT(page.values.at("process_virtual_memory_bytes"),
            page.values.at("process_resident_memory_bytes"));
  EXPECT_GT(page.values.at("process_cpu_seconds_total"), 0);
  EXPECT_GE(page.values.at("process_open_fds"), 3);
  EXPECT_GE(page.values.at("process_max_fds"), page.values.at("process_open_fds"));
  EXPECT_GT(page.values.at("process_start_time_seconds"), 1.7e9);
}

TEST(MetricTest, TheParserOfTheTestsRefusesWhatIsWrong) {
  for (const char* text : {
           "a 1\n",                           // no TYPE
           "# TYPE a gauge\na 1",             // no line end
           "# TYPE a gauge\na{b=\"c} 1\n",    // open quote
           "# TYPE a gauge\na{b=\"c\"} x\n",  // no number
           "# TYPE a gauge\na 1\na 2\n",      // twice
           "# TYPE a counter\na 1\n",         // not _total
           "# TYPE 1a gauge\n",               // no name
           "# TYPE a histogram\na_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count "
           "1\n",
           "# TYPE a histogram\na_bucket{le=\"1\"} 1\na_sum 1\na_count 1\n",
           "# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 2\n",
           "# HELP a A.\n# HELP a A.\n# TYPE a gauge\n",  // help twice
           "# TYPE a gauge\n# TYPE b gauge\na 1\n",       // outside its family
           "# TYPE a_total gauge\na_total 1\n",           // no counter
           "# TYPE a histogram\na 1\n",                   // no suffix
           "# TYPE a_total counter\na_total -1\n",        // below 0
       }) {
    EXPECT_NE(parse_prometheus(text).problem, "") << text;
  }
}

}  // namespace
}  // namespace millrace
