// What engines say arrives on the page under the right names, whole and valid.
#include "serve/operate/engine_metrics.h"

#include <gtest/gtest.h>

#include "observe/test_prometheus_parser.h"

namespace millrace {
namespace {

ModelStatus busy_model() {
  ModelStatus model;
  model.name = "m\"1";  // Names are the operator's, who may do odd things.
  model.state = ModelState::kServing;
  model.num_bytes = 1000;
  EngineStats& stats = model.stats;
  stats.num_classes = 2;
  stats.num_steps = 7;
  stats.num_blocks = 64;
  stats.num_blocks_free = 40;
  stats.num_blocks_idle = 8;
  stats.busy_seconds = 1.5;
  stats.num_share_moves = {3, 0, 1};
  stats.classes[0].num_running = 5;
  stats.classes[1].share_part = 0.3;
  stats.classes[1].counts = {.num_prompt_tokens = 90,
                             .num_cached_tokens = 10,
                             .num_asked_tokens = 100,
                             .num_output_tokens = 50,
                             .num_preemptions = 2};
  stats.doors[1] = {.num_requests = 4, .num_tokens = 400, .refusals = {0, 6, 0, 0, 1}};
  stats.step_seconds.add(0.003);
  stats.step_seconds.add(20);
  stats.step_tokens.add(33);
  stats.times[0].queue_seconds.add(0.5);
  stats.times[1].token_gap_seconds.add(0.02);
  ShareDecision decision;
  decision.reason = ShareReason::kLate;
  decision.to.index = 0;
  decision.from.index = 1;
  decision.moved = 0.05;
  model.last_share_decision = decision;
  return model;
}

PrometheusPage page_of(std::vector<ModelStatus> models) {
  std::vector<MetricSnapshot> snapshots;
  add_engine_metrics(models, default_service_classes(), snapshots);
  return parse_prometheus(prometheus_text(snapshots));
}

TEST(EngineMetricsTest, EveryNumberIsUnderItsName) {
  const PrometheusPage page = page_of({busy_model()});
  ASSERT_EQ(page.problem, "");
  const auto value = [&](const std::string& name, const std::string& labels) {
    const auto found = page.values.find("millrace_" + name + "{model=\"m\\\"1\"" + labels + "}");
    return found == page.values.end() ? -1 : found->second;
  };
  const std::string first = ",class=\"interactive\"";
  const std::string second = ",class=\"background\"";
  EXPECT_EQ(value("model_state", ",state=\"serving\""), 1);
  EXPECT_EQ(value("model_state", ",state=\"loading\""), 0);
  EXPECT_EQ(value("engine_steps_total", ""), 7);
  EXPECT_EQ(value("kv_blocks", ""), 64);
  EXPECT_EQ(value("kv_blocks_used", ""), 16);
  EXPECT_EQ(value("kv_usage_ratio", ""), 0.25);
  EXPECT_EQ(value("engine_busy_seconds_total", ""), 1.5);
  EXPECT_EQ(value("requests_running", first), 5);
  EXPECT_EQ(value("requests_waiting", first), 0);
  EXPECT_EQ(value("requests_waiting", second), 4);
  EXPECT_EQ(value("waiting_prompt_tokens", second), 400);
  EXPECT_EQ(value("class_share_ratio", second), 0.3);
  EXPECT_EQ(value("prefix_cache_asked_tokens_total", second), 100);
  EXPECT_EQ(value("prefix_cache_hit_tokens_total", second), 10);
  EXPECT_EQ(value("preemptions_total", second), 2);
  EXPECT_EQ(value("generated_tokens_total", second), 50);
  EXPECT_EQ(value("requests_refused_total", second + ",reason=\"queued_requests\""), 6);
  EXPECT_EQ(value("requests_refused_total", second + ",reason=\"deadline\""), 1);
  EXPECT_EQ(value("engine_step_seconds_count", ""), 2);
  EXPECT_EQ(value("engine_step_seconds_bucket", ",le=\"0.005\""), 1);
  EXPECT_EQ(value("engine_step_seconds_bucket", ",le=\"+Inf\""), 2);
  EXPECT_EQ(value("engine_step_tokens_bucket", ",le=\"64\""), 1);
  EXPECT_EQ(value("request_queue_seconds_sum", first), 0.5);
  EXPECT_EQ(value("token_gap_seconds_count", second), 1);
  EXPECT_EQ(value("share_moves_total", ",reason=\"late\""), 3);
  EXPECT_EQ(
      value("share_last_move_ratio", ",from=\"background\",to=\"interactive\",reason=\"late\""),
      0.05);
}

TEST(EngineMetricsTest, WithoutModelsAndWhileOneLoadsThePageIsValid) {
  EXPECT_EQ(page_of({}).problem, "");
  ModelStatus loading;
  loading.name = "new";
  const PrometheusPage page = page_of({loading, busy_model()});
  EXPECT_EQ(page.problem, "");
  EXPECT_EQ(page.values.at("millrace_model_state{model=\"new\",state=\"loading\"}"), 1);
  EXPECT_EQ(page.values.count("millrace_engine_steps_total{model=\"new\"}"), 0u);
}

}  // namespace
}  // namespace millrace
