// Cost models, routing, and simulations whose outcome is known or must keep a law.
#include "simulate/simulation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "simulate/share_experiment.h"
#include "simulate/summary.h"
#include "simulate/trace_reader.h"
#include "simulate/workload.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// One millisecond per step and ten microseconds per token.
StepCost plain_cost() {
  StepCost cost;
  cost.name = "plain";
  cost.roofs = {{"all", {.per_step = 1e-3, .per_token = 1e-5}}};
  return cost;
}

SimulationOptions small_machine() {
  SimulationOptions options;
  options.scheduler.num_requests_max = 100'000;
  options.scheduler.num_sequences_max = 16;
  options.scheduler.step_tokens_max = 128;
  options.scheduler.chunk_tokens_max = 128;
  for (ServiceClass& one : options.scheduler.classes) {
    one.queued_requests_max = 100'000;
    one.queued_tokens_max = 100'000'000;
  }
  options.num_blocks = 200;
  options.cost = plain_cost();
  return options;
}

Trace drawn(std::size_t num_requests, ArrivalSpec arrivals, std::uint64_t seed = 1) {
  WorkloadSpec spec;
  spec.seed = seed;
  spec.num_requests = num_requests;
  spec.arrivals = arrivals;
  spec.lengths = {.kind = LengthKind::kLognormal,
                  .prompt_tokens = 60,
                  .output_tokens = 20,
                  .sigma = 1,
                  .tokens_max = 1500};
  spec.class_weights = {1, 1};
  return MUST(make_workload(spec, {}));
}

TEST(StepCost, TakesTheSlowestRoof) {
  StepCost cost;
  cost.roofs = {{"compute", {.per_token = 2, .per_attended = 1}},
                {"memory", {.per_step = 10, .per_sequence = 3, .per_kv_token = 1}}};
  StepShape shape;
  shape.add_chunk(4, 1, 1);            // 1 token, 5 of cache, 5 pairs
  EXPECT_EQ(cost.seconds(shape), 18);  // 10 + 3 + 5 over 2 + 5
  shape.add_chunk(0, 10, 0);
  EXPECT_EQ(cost.seconds(shape), 82);  // 22 + 60 over 10 + 6 + 15
}

TEST(StepCost, ComesBackFromItsOwnText) {
  for (const StepCost& cost : builtin_step_costs()) {
    const StepCost again = MUST(parse_step_cost(step_cost_json(cost).dump(), "file"));
    EXPECT_EQ(step_cost_json(again), step_cost_json(cost));
  }
}

// Each term of the shape counts by its own key; a file of version 1 means what it meant.
TEST(StepCost, ReadsTermsOfBothVersions) {
  StepShape shape;
  shape.add_chunk(0, 20, 0);  // 16 and 4 tokens
  shape.add_chunk(9, 1, 1);
  const auto seconds_by = [&](const std::string& version, const std::string& terms) {
    const StepCost cost =
        MUST(parse_step_cost("{\"format\": \"millrace-step-cost\", \"version\": " + version +
                                 ", \"roofs\": [{" + terms + "}]}",
                             "c.json"));
    return cost.seconds(shape);
  };
  EXPECT_EQ(seconds_by("1", "\"per_token\": 2, \"per_few_token\": 1"), 2 * 21 + 16);
  EXPECT_EQ(seconds_by("2", "\"per_token\": 2, \"per_few_token\": 1"), 2 * 21 + 16);
  EXPECT_EQ(seconds_by("2", "\"per_many_token\": 3"), 3 * 5);
  EXPECT_EQ(seconds_by("2", "\"per_sampled\": 7, \"per_step\": 1"), 7 + 1);
}

TEST(StepCost, RefusesWhatIsNoCostModel) {
  const auto message = [](const std::string& text) {
    const auto cost = parse_step_cost(text, "c.json");
    return cost.ok() ? "no error" : cost.error().message;
  };
  EXPECT_THAT(message("[]"), HasSubstr("c.json: expected an object"));
  EXPECT_THAT(message("{\"format\": \"x\"}"), HasSubstr("millrace-step-cost"));
  const std::string head = "{\"format\": \"millrace-step-cost\", \"version\": ";
  EXPECT_THAT(message(head + "3}"), HasSubstr("version is 3, expected 1 or 2"));
  EXPECT_THAT(message(head + "1}"), HasSubstr("expected a list roofs"));
  EXPECT_THAT(message(head + "1, \"roofs\": [{}]}"), HasSubstr("without a term above 0"));
  EXPECT_THAT(message(head + "1, \"roofs\": [{\"per_token\": -1}]}"),
              HasSubstr("per_token is not a number from 0 to 1e6"));
  EXPECT_THAT(message(head + "1, \"roofs\": [{\"per_token\": \"1\"}]}"), HasSubstr("per_token"));
  EXPECT_THAT(message(head + "1, \"cache_tokens\": -1, \"roofs\": [{\"per_step\": 1}]}"),
              HasSubstr("cache_tokens"));
  EXPECT_EQ(message(head + "1, \"roofs\": [{\"per_step\": 1}]}"), "no error");
}

TEST(BuiltinStepCosts, AgreeWithTheFormulasByHand) {
  const StepCost cost = MUST(find_builtin_step_cost("h200-llama-3.1-8b"));
  // Decode of one sequence: 15.0 GB of matrices at 3.6 TB/s and 32 gaps of 6 us.
  StepShape decode;
  decode.add_chunk(0, 1, 1);
  EXPECT_NEAR(cost.seconds(decode), 15.01e9 / 3.6e12 + 32 * 6e-6, 2e-5);
  // 8,192 tokens of a prompt: 2 * 6.98e9 flops each and 4 * 4096 * 32 per pair at 593 TFLOP/s.
  StepShape prefill;
  prefill.add_chunk(0, 8192, 0);
  const double flops = 2 * 6.98e9 * 8192 + 4.0 * 4096 * 32 * 8192 * 8193 / 2;
  EXPECT_NEAR(cost.seconds(prefill), flops / 593.4e12 + 32 * 6e-6, 2e-3);
  EXPECT_EQ(cost.kv_bytes_per_token, 131'072u);
  EXPECT_GT(cost.cache_tokens, 800'000u);
  EXPECT_FALSE(find_builtin_step_cost("tpu").ok());
}

TEST(Router, TakesTurns) {
  Router router({.kind = RoutingKind::kRoundRobin, .num_replicas = 3});
  const std::vector<std::uint64_t> idle(3);
  std::vector<std::size_t> chosen;
  for (int i = 0; i < 6; ++i) chosen.push_back(router.route({}, {}, idle));
  EXPECT_THAT(chosen, ElementsAre(0, 1, 2, 0, 1, 2));
}

TEST(Router, TakesTheLeastLoaded) {
  Router router({.kind = RoutingKind::kLeastLoaded, .num_replicas = 3});
  EXPECT_EQ(router.route({}, {}, std::vector<std::uint64_t>{5, 3, 3}), 1u);
  EXPECT_EQ(router.route({}, {}, std::vector<std::uint64_t>{5, 3, 2}), 2u);
}

Trace two_prefixes() {
  Trace trace;
  trace.prefix_ids = {1, 2, 1, 3, 7, 8};
  for (std::uint32_t i = 0; i < 3; ++i) {
    trace.requests.push_back(
        {.num_prompt = 1024, .num_output = 1, .prefix_begin = 2 * i, .num_prefix = 2});
  }
  return trace;
}

TEST(Router, FollowsTheLongestPrefixWithinTheBound) {
  RouterOptions options{.kind = RoutingKind::kPrefixAware, .num_replicas = 3};
  options.load_slack_tokens = 100;
  Router router(options);
  const Trace trace = two_prefixes();
  EXPECT_EQ(router.route(trace, trace.requests[0], std::vector<std::uint64_t>{10, 0, 5}), 1u);
  // Another prompt goes to the least loaded; one that shares its first piece comes back.
  EXPECT_EQ(router.route(trace, trace.requests[2], std::vector<std::uint64_t>{0, 90, 90}), 0u);
  EXPECT_EQ(router.route(trace, trace.requests[1], std::vector<std::uint64_t>{0, 90, 90}), 1u);
  // Mean 300, bound 1.25 * 300 + 100 = 475.
  EXPECT_EQ(router.route(trace, trace.requests[1], std::vector<std::uint64_t>{200, 475, 225}), 1u);
  EXPECT_EQ(router.route(trace, trace.requests[1], std::vector<std::uint64_t>{200, 480, 220}), 0u);
}

TEST(Router, ForgetsWhatIsLongestUnused) {
  RouterOptions options{.kind = RoutingKind::kPrefixAware, .num_replicas = 2, .pieces_max = 2};
  Router router(options);
  const Trace trace = two_prefixes();
  EXPECT_EQ(router.route(trace, trace.requests[0], std::vector<std::uint64_t>{9, 0}), 1u);
  EXPECT_EQ(router.route(trace, trace.requests[0], std::vector<std::uint64_t>{0, 9}), 1u);
  // Two other pieces push the first two out.
  EXPECT_EQ(router.route(trace, trace.requests[2], std::vector<std::uint64_t>{9, 0}), 1u);
  EXPECT_EQ(router.route(trace, trace.requests[0], std::vector<std::uint64_t>{0, 9}), 0u);
}

TEST(Timeline, MergesWithoutLosingAnything) {
  Timeline timeline(std::chrono::milliseconds(1));
  for (int i = 0; i < 5000; ++i) {
    timeline.at(std::chrono::milliseconds(3 * i)).work[0] += 1;
    ASSERT_LE(timeline.spans().size(), Timeline::kSpansMax);
  }
  double sum = 0;
  for (const Timeline::Span& span : timeline.spans()) sum += span.work[0];
  EXPECT_EQ(sum, 5000);
  EXPECT_GE(timeline.span() * static_cast<std::int64_t>(timeline.spans().size()),
            std::chrono::milliseconds(3 * 4999));
}

TEST(Percentiles, AreByNearestRank) {
  std::vector<double> values(200);
  std::iota(values.begin(), values.end(), 1.0);
  const Percentiles found = percentiles_of(values);
  EXPECT_EQ(found.p50, 100);
  EXPECT_EQ(found.p90, 180);
  EXPECT_EQ(found.p99, 198);
  EXPECT_EQ(found.max, 200);
  EXPECT_EQ(found.mean, 100.5);
  EXPECT_EQ(percentiles_of({}).p99, 0);
}

TEST(Simulate, OneRequestTakesWhatItsStepsCost) {
  Trace trace =
      MUST(parse_trace("arrived_at,num_prefill_tokens,num_decode_tokens\n0,200,3\n", "t"));
  SimulationOptions options = small_machine();
  options.policy = Policy::kFirstCome;
  const SimulationResult result = MUST(simulate(trace, options));
  // 128 and 72 tokens, then two steps of one token each.
  const RequestOutcome& outcome = result.outcomes[0];
  EXPECT_EQ(outcome.fate, RequestFate::kFinished);
  EXPECT_EQ(outcome.first_token, std::chrono::microseconds(2280 + 1720));
  EXPECT_EQ(outcome.end, std::chrono::microseconds(4000 + 2 * 1010));
}

void expect_all_accounted(const Trace& trace, const SimulationResult& result) {
  ASSERT_EQ(result.outcomes.size(), trace.requests.size());
  double work = 0;
  for (std::size_t i = 0; i < trace.requests.size(); ++i) {
    const RequestOutcome& outcome = result.outcomes[i];
    ASSERT_NE(outcome.fate, RequestFate::kUnfinished) << i;
    if (outcome.fate != RequestFate::kFinished) continue;
    ASSERT_EQ(outcome.num_output, trace.requests[i].num_output);
    ASSERT_GT(outcome.first_token, outcome.arrival);
    ASSERT_GE(outcome.end, outcome.first_token);
    work += outcome.num_prompt - outcome.num_cached + 2.0 * outcome.num_output;
  }
  const double counted = std::accumulate(result.totals.work.begin(), result.totals.work.end(), 0.0);
  // What preemption computes again is work too, and only that.
  ASSERT_GE(counted, work);
  if (result.totals.num_preemptions == 0) {
    ASSERT_EQ(counted, work);
  }
}

TEST(Simulate, EveryRequestFinishesOrIsRefusedUnderEveryPolicy) {
  for (const Policy policy : kPolicies) {
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
      SimulationOptions options = small_machine();
      options.policy = policy;
      options.num_blocks = 60 + 40 * static_cast<std::uint32_t>(seed);
      options.router.num_replicas = 1 + seed % 2;
      ArrivalSpec bursts{.kind = ArrivalKind::kOnOff, .rate = 60};
      bursts.on_mean = bursts.off_mean = std::chrono::milliseconds(700);
      const Trace trace = drawn(400, bursts, seed);
      expect_all_accounted(trace, MUST(simulate(trace, options)));
    }
  }
}

TEST(Simulate, IsTheSameEveryTime) {
  SimulationOptions options = small_machine();
  options.router = {.kind = RoutingKind::kLeastLoaded, .num_replicas = 3};
  const Trace trace = drawn(500, {.kind = ArrivalKind::kPoisson, .rate = 150});
  const auto once = summary_json(summarise(MUST(simulate(trace, options)), trace, options));
  const auto again = summary_json(summarise(MUST(simulate(trace, options)), trace, options));
  EXPECT_EQ(once.dump(), again.dump());
}

TEST(Simulate, RefusesWhatNeverFits) {
  Trace trace;
  trace.requests = {{.num_prompt = 3200, .num_output = 2}, {.num_prompt = 3199, .num_output = 2}};
  const SimulationResult result = MUST(simulate(trace, small_machine()));
  EXPECT_EQ(result.outcomes[0].fate, RequestFate::kTooLarge);  // 3,201 slots of 3,200
  EXPECT_EQ(result.outcomes[1].fate, RequestFate::kFinished);
}

TEST(Simulate, RefusesWhenTooManyAreThere) {
  SimulationOptions options = small_machine();
  options.scheduler.num_requests_max = 20;
  const Trace trace = drawn(100, {.kind = ArrivalKind::kAtOnce});
  const SimulationResult result = MUST(simulate(trace, options));
  const Summary summary = summarise(result, trace, options);
  EXPECT_EQ(summary.all.num_finished, 20u);
  EXPECT_EQ(summary.all.num_queue_full, 80u);
}

TEST(Simulate, RefusesWhatTheClassQueuesDoNotTake) {
  SimulationOptions options = small_machine();
  options.scheduler.classes[1].queued_requests_max = 10;
  const Trace trace = drawn(200, {.kind = ArrivalKind::kAtOnce});
  const SimulationResult result = MUST(simulate(trace, options));
  const Summary summary = summarise(result, trace, options);
  EXPECT_EQ(summary.classes[0].num_queue_full, 0u);
  EXPECT_EQ(summary.classes[1].num_finished, 10u);
}

TEST(Simulate, SharesHoldWhileBothClassesAreBacklogged) {
  SimulationOptions options = small_machine();
  const Trace trace = drawn(3000, {.kind = ArrivalKind::kAtOnce});
  const SimulationResult result = MUST(simulate(trace, options));
  const Summary summary = summarise(result, trace, options);
  EXPECT_NEAR(summary.classes[0].work_part_backlogged, 0.7, 0.01);
}

TEST(Simulate, StrictPriorityServesTheSecondClassLast) {
  SimulationOptions options = small_machine();
  options.policy = Policy::kStrictPriority;
  const Trace trace = drawn(1000, {.kind = ArrivalKind::kAtOnce});
  const SimulationResult result = MUST(simulate(trace, options));
  const Summary summary = summarise(result, trace, options);
  // The rest is what the elder of the other class is promised in each step.
  EXPECT_GT(summary.classes[0].work_part_backlogged, 0.95);
}

TEST(Simulate, EqualPrefixesAreFoundInTheCache) {
  std::string text;
  for (int i = 0; i < 20; ++i) {
    text += "{\"timestamp\": " + std::to_string(1000 * i) +
            ", \"input_length\": 600, \"output_length\": 4, \"hash_ids\": [1, " +
            std::to_string(i + 2) + "]}\n";
  }
  const Trace trace = MUST(parse_trace(text, "t"));
  SimulationOptions options = small_machine();
  const Summary summary = summarise(MUST(simulate(trace, options)), trace, options);
  EXPECT_DOUBLE_EQ(summary.hit_rate, 19.0 * 512 / (20 * 600));
  EXPECT_DOUBLE_EQ(summary.hit_rate, summary.hit_rate_possible);
  options.scheduler.prefix_reuse = PrefixReuse::kOff;
  EXPECT_EQ(summarise(MUST(simulate(trace, options)), trace, options).hit_rate, 0);
}

TEST(Simulate, RefusesClassesThatItDoesNotHave) {
  Trace trace;
  trace.requests = {{.num_prompt = 1, .num_output = 1, .class_index = 2}};
  const auto result = simulate(trace, small_machine());
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().message, "simulation: a request of class 2 with 2 classes");
}

TEST(Simulate, MoreReplicasDoMore) {
  SimulationOptions options = small_machine();
  const Trace trace = drawn(600, {.kind = ArrivalKind::kAtOnce});
  const double one = seconds(MUST(simulate(trace, options)).totals.end);
  options.router = {.kind = RoutingKind::kLeastLoaded, .num_replicas = 4};
  const double four = seconds(MUST(simulate(trace, options)).totals.end);
  EXPECT_LT(four, one / 3);
}

TEST(Simulate, AStaticSplitWastesWhatAnIdleClassLeaves) {
  SimulationOptions options = small_machine();
  Trace trace = drawn(500, {.kind = ArrivalKind::kAtOnce});
  for (TraceRequest& request : trace.requests) request.class_index = 0;
  options.policy = Policy::kFirstCome;
  const double whole = seconds(MUST(simulate(trace, options)).totals.end);
  options.policy = Policy::kStaticSplit;
  const double slice = seconds(MUST(simulate(trace, options)).totals.end);
  // 70 % of the speed, and a batch that is no larger.
  EXPECT_GT(slice, whole / 0.75);
}

TEST(ShareExperiment, PrintsEveryPolicyAtEveryLoad) {
  SimulationOptions options = small_machine();
  ArrivalSpec bursts{.kind = ArrivalKind::kOnOff, .rate = 50};
  bursts.on_mean = bursts.off_mean = std::chrono::milliseconds(300);
  const Trace trace = drawn(800, bursts);
  const ShareExperiment experiment = MUST(run_share_experiment(trace, options, {1.3, 0.7}));
  // Two loads and each class alone, five policies each.
  EXPECT_EQ(experiment.cases.size(), 20u);
  EXPECT_EQ(share_table(experiment).rows.size(), 20u);
  EXPECT_EQ(fluid_table(experiment).rows.size(), 4u);
  for (const ShareCase& one : experiment.cases) {
    EXPECT_EQ(one.summary.all.num_finished + one.summary.all.num_too_large, trace.requests.size());
    // The machine keeps up below its capacity; above, work is left when the last has come.
    if (one.policy == Policy::kFirstCome && one.scenario == "all") {
      EXPECT_EQ(one.summary.end_seconds > 1.15 * one.summary.last_arrival_seconds, one.load > 1);
    }
  }
}

TEST(ShareExperiment, AFluidWaitsForWhatCameBefore) {
  Trace trace;
  // 100 of work each, the other class's left out, at 50 per second.
  trace.requests = {
      {.arrival = std::chrono::seconds(0), .num_prompt = 80, .num_output = 10},
      {.arrival = std::chrono::seconds(0), .num_prompt = 999, .num_output = 1, .class_index = 1},
      {.arrival = std::chrono::seconds(1), .num_prompt = 80, .num_output = 10},
      {.arrival = std::chrono::seconds(9), .num_prompt = 80, .num_output = 10}};
  const Percentiles waits = fluid_waits(trace, 0, 50, 0);
  EXPECT_EQ(waits.count, 3u);
  EXPECT_DOUBLE_EQ(waits.max, 1);  // the second one, for half of the first
  EXPECT_DOUBLE_EQ(waits.p50, 0);
  // Without the output of the one before, which is 20 of its 100.
  EXPECT_DOUBLE_EQ(fluid_waits(trace, 0, 50, 1).max, 0.6);
  EXPECT_DOUBLE_EQ(fluid_waits(trace, 0, 50, 100).max, 0.6);
}

// Both classes have their rush once a day, half a day apart, of more than their shares' work.
Trace shifting_day() {
  ArrivalSpec day{.kind = ArrivalKind::kDay, .rate = 330};
  day.day = std::chrono::seconds(60);
  day.swing = 0.95;
  return drawn(40'000, day);
}

TEST(Simulate, TheControllerFollowsLoadThatShiftsBetweenClasses) {
  SimulationOptions options = small_machine();
  options.policy = Policy::kControlled;
  const Trace trace = shifting_day();
  const SimulationResult result = MUST(simulate(trace, options));
  const Summary summary = summarise(result, trace, options);
  ASSERT_EQ(summary.shares.size(), 2u);
  for (std::size_t i = 0; i < 2; ++i) {
    const ServiceClass& one = options.scheduler.classes[i];
    EXPECT_GE(summary.shares[i].part_min, one.share_min - 1e-9);
    EXPECT_LE(summary.shares[i].part_max, one.share_max + 1e-9);
    EXPECT_GT(summary.shares[i].num_given, 0u);
    EXPECT_GT(summary.shares[i].part_max, summary.shares[i].part_min + 0.05);
  }
  ASSERT_FALSE(summary.decisions.empty());
  EXPECT_THAT(summary.decisions.front(), HasSubstr("moved 0.05 of all from background"));
  // Every share that was ever dealt lies within the bounds, and all of them add up.
  for (const ShareDecision& decision : result.shares.decisions) {
    EXPECT_NEAR(decision.parts[0] + decision.parts[1], 1.0, 1e-9);
  }
  // What the controller is for: the class whose target is short waits less.
  options.policy = Policy::kOurs;
  const Summary fixed = summarise(MUST(simulate(trace, options)), trace, options);
  EXPECT_TRUE(fixed.shares.empty());
  EXPECT_LT(summary.classes[0].first_token.p99, fixed.classes[0].first_token.p99 / 2);
}

TEST(Simulate, ADeadlineEndsWhatIsLateAndEverythingIsAccounted) {
  SimulationOptions options = small_machine();
  options.deadlines = {std::chrono::milliseconds(400), std::chrono::seconds(2)};
  const Trace trace = drawn(6000, {.kind = ArrivalKind::kPoisson, .rate = 600});
  const SimulationResult result = MUST(simulate(trace, options));
  const Summary summary = summarise(result, trace, options);
  EXPECT_GT(summary.all.num_expired, 0u);
  EXPECT_GT(summary.all.num_wait_too_long, 0u);
  EXPECT_EQ(summary.all.num_finished + summary.all.num_expired + summary.all.num_wait_too_long +
                summary.all.num_too_large,
            trace.requests.size());
  for (const RequestOutcome& outcome : result.outcomes) {
    if (outcome.fate != RequestFate::kFinished) continue;
    // Ends are judged between steps, so at most one step late.
    EXPECT_LE(outcome.end - outcome.arrival,
              *options.deadlines[outcome.class_index] + std::chrono::milliseconds(3));
  }
}

// Who is refused is told when half of the queue will have started; who enters waits as foretold.
TEST(Simulate, WaitsAreForetoldWithinTwiceWhenOverloaded) {
  SimulationOptions options = small_machine();
  options.scheduler.classes[0].queue_wait_max = std::chrono::seconds(5);
  options.scheduler.classes[1].queued_requests_max = 150;
  const Trace trace = drawn(8000, {.kind = ArrivalKind::kPoisson, .rate = 600});
  const Summary summary = summarise(MUST(simulate(trace, options)), trace, options);
  EXPECT_GT(summary.classes[0].num_wait_too_long, 300u);
  EXPECT_EQ(summary.classes[0].num_queue_full, 0u);
  EXPECT_GT(summary.classes[1].num_queue_full, 500u);
  EXPECT_EQ(summary.classes[1].num_wait_too_long, 0u);
  for (const ClassSummary& one : summary.classes) {
    EXPECT_GT(one.wait_foretold.count, 100u) << one.name;
    EXPECT_GT(one.wait_foretold.within_twice, 0.9) << one.name;
    EXPECT_GT(one.retry_foretold.count, 100u) << one.name;
    EXPECT_GT(one.retry_foretold.within_twice, 0.9) << one.name;
  }
}

TEST(SummaryPage, HoldsTablesAndPlots) {
  const SimulationOptions options = small_machine();
  const Trace trace = drawn(200, {.kind = ArrivalKind::kPoisson, .rate = 100});
  const SimulationResult result = MUST(simulate(trace, options));
  HtmlPage page("Simulation");
  add_to_page(page, result, summarise(result, trace, options));
  EXPECT_THAT(page.text(), HasSubstr("Latency by class"));
  EXPECT_THAT(page.text(), HasSubstr("Time to first token"));
  EXPECT_LT(page.text().size(), 400'000u);
}

}  // namespace
}  // namespace millrace
