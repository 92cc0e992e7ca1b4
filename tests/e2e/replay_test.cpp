// A trace against the real engine on a small trained model, and what is reported of it.
#include <gtest/gtest.h>

#include "cli/replay_report.h"
#include "support/shared_data.h"

namespace millrace {
namespace {

Trace small_trace() {
  Trace trace;
  trace.name = "small";
  for (std::uint32_t i = 0; i < 12; ++i) {
    trace.requests.push_back({.arrival = std::chrono::milliseconds(5 * i),
                              .num_prompt = 20 + 7 * i,
                              .num_output = 1 + 2 * i,
                              .class_index = i % 2});
  }
  return trace;
}

TEST(Replay, EveryRequestGetsWhatTheTraceSaysAndEveryStepIsRecorded) {
  MILLRACE_NEEDS_SHARED_DATA("models/stories260k");
  ModelOptions options;
  options.model = shared_data("models/stories260k");
  options.context = 256;
  const StepLimits limits{.num_sequences_max = 7, .depth_max = 64, .chunk_max = 64};
  const Checkpoint checkpoint = MUST(open_model(options));
  const auto session = MUST(ModelSession::open(checkpoint, options, step_demand(limits)));
  SimulationOptions simulation;
  simulation.scheduler.num_sequences_max = 8;
  simulation.scheduler.step_tokens_max = 64;
  simulation.scheduler.chunk_tokens_max = 64;
  simulation.num_blocks = session->cache().num_blocks();
  const Trace trace = small_trace();

  const ReplayRun run = MUST(replay_trace(*session, trace, simulation.scheduler, 1));
  ASSERT_EQ(run.result.outcomes.size(), trace.requests.size());
  for (std::size_t i = 0; i < trace.requests.size(); ++i) {
    const RequestOutcome& outcome = run.result.outcomes[i];
    EXPECT_EQ(outcome.fate, RequestFate::kFinished);
    EXPECT_EQ(outcome.num_output, trace.requests[i].num_output);
    EXPECT_GT(outcome.first_token, outcome.arrival);
    EXPECT_GE(outcome.end, outcome.first_token);
  }
  std::uint64_t num_tokens = 0;
  for (const RecordedStep& step : run.steps) {
    EXPECT_GT(step.seconds, 0);
    num_tokens += step.shape.num_tokens;
  }
  std::uint64_t num_expected = 0;  // but for what the prefix index finds: prompts are random
  for (const TraceRequest& request : trace.requests) {
    num_expected += request.num_prompt + request.num_output - 1;
  }
  EXPECT_EQ(num_tokens, num_expected);
  EXPECT_FALSE(run.host_gaps.empty());

  const MeasuredCost measured = MUST(measure_step_cost(*session, limits, {.num_shapes = 9}));
  EXPECT_EQ(measured.errors.size(), 3u);
  ReplayReport report;
  StepCost cost;
  cost.name = "measured";
  cost.roofs.push_back({"fit", measured.fit});
  report.costs.push_back(cost);
  report.shape_errors = measured.errors;
  report.add_run(run, trace, simulation);
  simulation.cost = cost;
  const SimulationResult simulated = MUST(simulate(trace, simulation));
  report.simulated.push_back(summarise(simulated, trace, simulation));
  report.simulated_by_own = report.simulated;
  const OrderedJson object = replay_json(report);
  EXPECT_EQ(object["latency_seconds"].size(), 12u);  // two classes and all, four figures each
  EXPECT_EQ(object["step_errors"].size(), 3u);
  EXPECT_EQ(object["step_errors"][1]["steps"], run.steps.size());
  EXPECT_NE(replay_text(report).find("medians within 15 %"), std::string::npos);
}

}  // namespace
}  // namespace millrace
