// `millrace bench replay`: a trace against the real engine, beside the simulation of the same.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "cli/command.h"
#include "cli/replay_report.h"
#include "cli/version.h"
#include "model/read_spec.h"
#include "simulate/share_experiment.h"
#include "simulate/trace_reader.h"
#include "simulate/workload.h"

namespace millrace {
namespace {

constexpr std::size_t kContextMax = 2048;
constexpr std::size_t kRequestsMax = 20'000;

struct ReplayOptions {
  ModelOptions model;
  std::string trace_path;
  double load = 0.7;
  double run_seconds = 40;
  std::size_t num_requests = 120;
  std::size_t num_repeats = 3;
  std::optional<double> length_scale;
  std::size_t num_sequences = 16;
  std::size_t step_tokens = 256;
  double measure_seconds = 40;
  std::uint64_t seed = 1;
  std::string steps_path;
  bool as_json = false;
};

SchedulerOptions scheduler_options(const ReplayOptions& options, std::size_t block_tokens) {
  SchedulerOptions scheduler;
  scheduler.num_requests_max = kRequestsMax;
  scheduler.num_sequences_max = options.num_sequences;
  scheduler.step_tokens_max = options.step_tokens;
  scheduler.chunk_tokens_max = options.step_tokens;
  scheduler.block_tokens = block_tokens;
  for (ServiceClass& one : scheduler.classes) {
    one.queued_requests_max = kRequestsMax;
    one.queued_tokens_max = SIZE_MAX;
  }
  return scheduler;
}

// The first requests of the trace, or drawn ones where none is named; both classes alike where the
// trace has none.
Result<Trace> requests_of(const ReplayOptions& options, std::size_t num_requests) {
  WorkloadSpec spec;
  spec.seed = options.seed;
  spec.num_requests = num_requests;
  Trace source;
  if (options.trace_path.empty()) {
    spec.lengths = {
        .kind = LengthKind::kLognormal, .prompt_tokens = 200, .output_tokens = 60, .sigma = 0.7};
  } else {
    source = TRY(read_trace(options.trace_path));
  }
  if (!source.has_classes) spec.class_weights = {1, 1};
  const bool has_arrivals = !source.requests.empty() && source.has_arrivals;
  spec.arrivals.kind = has_arrivals ? ArrivalKind::kTrace : ArrivalKind::kPoisson;
  spec.arrivals.rate = 1;
  return make_workload(spec, source);
}

// Shorter by the factor, and cut to what the context holds; every prompt is like no other.
Trace scaled(const Trace& trace, double factor, std::size_t context) {
  Trace made = trace;
  const auto length = [&](std::uint32_t tokens, std::size_t most) {
    const double wanted = std::round(factor * tokens);
    return static_cast<std::uint32_t>(std::clamp(wanted, 1.0, static_cast<double>(most)));
  };
  for (TraceRequest& request : made.requests) {
    request.num_output = length(request.num_output, std::max<std::size_t>(1, context / 2));
    request.num_prompt = length(request.num_prompt, context - request.num_output);
    request.num_prefix = 0;
  }
  return made;
}

struct Workload {
  Trace trace;
  double length_scale = 1;
  double capacity = 0;  // requests per second, simulated
  double rate = 0;
};

// As many requests in the time of a run as were asked for, at the load that was asked for: long
// ones are shortened until the machine can do that; when it can do more, there are more.
Result<Workload> fit_workload(const ReplayOptions& options, const SimulationOptions& simulation,
                              std::size_t context) {
  constexpr double kScaleMin = 1.0 / 64;
  constexpr int kNumHalvings = 10;
  Trace requests = TRY(requests_of(options, options.num_requests));
  const double wanted =
      static_cast<double>(options.num_requests) / options.run_seconds / options.load;
  Workload fitted;
  fitted.length_scale = options.length_scale.value_or(1.0);
  fitted.capacity =
      TRY(measure_capacity(scaled(requests, fitted.length_scale, context), simulation));
  if (!options.length_scale && fitted.capacity < wanted) {
    double low = std::log(kScaleMin);
    double high = 0;
    for (int i = 0; i < kNumHalvings; ++i) {
      const double middle = (low + high) / 2;
      const Trace shorter = scaled(requests, std::exp(middle), context);
      (TRY(measure_capacity(shorter, simulation)) < wanted ? high : low) = middle;
    }
    fitted.length_scale = std::exp(low);
    fitted.capacity =
        TRY(measure_capacity(scaled(requests, fitted.length_scale, context), simulation));
  }
  fitted.rate = options.load * fitted.capacity;
  const double fitting = std::clamp(std::round(fitted.rate * options.run_seconds), 1.0,
                                    static_cast<double>(kRequestsMax));
  requests = TRY(requests_of(options, static_cast<std::size_t>(fitting)));
  WorkloadSpec timed;
  timed.arrivals.rate = fitted.rate;
  fitted.trace = TRY(make_workload(timed, scaled(requests, fitted.length_scale, context)));
  return fitted;
}

// Sequences as deep as those of the workload, within what the session was planned for.
StepLimits limits_of(const StepLimits& widest, const Trace& trace) {
  std::vector<std::size_t> lengths;
  for (const TraceRequest& request : trace.requests) {
    lengths.push_back(std::size_t{request.num_prompt} + request.num_output);
  }
  std::sort(lengths.begin(), lengths.end());
  const std::size_t deep = lengths[lengths.size() * 9 / 10];
  return {.num_sequences_max = widest.num_sequences_max,
          .depth_max = std::min(widest.depth_max, std::max<std::size_t>(16, deep)),
          .chunk_max = std::clamp<std::size_t>(deep, 1, widest.chunk_max)};
}

StepCost cost_of(const char* name, const LinearCost& fit, const LinearCost& host) {
  StepCost cost;
  cost.name = name;
  cost.roofs.push_back({"fit", fit});
  cost.host = host;
  return cost;
}

LinearCost fit_steps(const std::vector<RecordedStep>& steps) {
  std::vector<CostSample> samples;
  for (const RecordedStep& step : steps) samples.push_back({step.shape, step.seconds});
  return fit_cost(samples);
}

Status run_replay(ReplayOptions options) {
  const Checkpoint checkpoint = TRY(open_model(options.model));
  const ModelSpec model = TRY(read_spec(checkpoint));
  const std::size_t context =
      options.model.context.value_or(std::min(kContextMax, trained_context(model)));
  options.model.context = context;
  const StepLimits widest{
      .num_sequences_max = std::max<std::size_t>(1, options.num_sequences - 1),
      .depth_max = std::max<std::size_t>(1, context - std::min(options.step_tokens, context / 2)),
      .chunk_max = std::max<std::size_t>(1, std::min(options.step_tokens, context / 2))};
  SessionDemand demand = step_demand(widest);
  demand.limits.tokens_max = std::max(demand.limits.tokens_max, options.step_tokens);
  const auto session = TRY(ModelSession::open(checkpoint, options.model, demand));

  SimulationOptions simulation;
  simulation.scheduler = scheduler_options(options, session->cache().spec().block_tokens);
  simulation.num_blocks = session->cache().num_blocks();
  const auto measure = [&](const StepLimits& limits, double part, std::size_t num_shapes) {
    const auto time_max = std::chrono::duration_cast<Duration>(
        std::chrono::duration<double>(part * options.measure_seconds));
    return measure_step_cost(
        *session, limits,
        {.num_shapes = num_shapes, .num_repeats = 1, .seed = options.seed, .time_max = time_max});
  };
  std::fprintf(stderr, "measuring steps\n");
  // A first look says how long the requests may be, a second one measures steps as those have them.
  const MeasuredCost first = TRY(measure(widest, 0.2, 18));
  simulation.cost = cost_of("first look", first.fit, {});
  const Workload workload = TRY(fit_workload(options, simulation, context));
  const MeasuredCost bench = TRY(measure(limits_of(widest, workload.trace), 0.8, 150));

  ReplayReport report;
  report.num_requests = workload.trace.requests.size();
  report.length_scale = workload.length_scale;
  report.rate = workload.rate;
  report.load = options.load;
  report.num_threads = session->machine().num_threads;
  report.shape_errors = bench.errors;
  std::fprintf(stderr, "learning run: %zu requests in about %.0f s\n", report.num_requests,
               static_cast<double>(report.num_requests) / workload.rate);
  const ReplayRun learning =
      TRY(replay_trace(*session, workload.trace, simulation.scheduler, options.seed));
  const LinearCost host = learning.host_gaps.empty() ? LinearCost{} : fit_cost(learning.host_gaps);
  report.costs = {cost_of("bench cost-model", bench.fit, host),
                  cost_of("learned in a run before", fit_steps(learning.steps), host)};
  for (std::size_t i = 0; i < options.num_repeats; ++i) {
    std::fprintf(stderr, "run %zu of %zu\n", i + 1, options.num_repeats);
    const ReplayRun run =
        TRY(replay_trace(*session, workload.trace, simulation.scheduler, options.seed + 1 + i));
    report.add_run(run, workload.trace, simulation);
    simulation.cost = cost_of("own", fit_steps(run.steps), host);
    const SimulationResult own = TRY(simulate(workload.trace, simulation));
    report.simulated_by_own.push_back(summarise(own, workload.trace, simulation));
  }
  for (const StepCost& cost : report.costs) {
    simulation.cost = cost;
    const SimulationResult result = TRY(simulate(workload.trace, simulation));
    report.simulated.push_back(summarise(result, workload.trace, simulation));
  }
  if (!options.steps_path.empty()) TRY(write_file(options.steps_path, steps_csv(report.steps)));
  if (options.as_json) {
    OrderedJson object = replay_json(report);
    object["model"] = options.model.model;
    object["commit"] = commit_text();
    std::printf("%s\n", object.dump().c_str());
  } else {
    std::printf("%s", replay_text(report).c_str());
  }
  return Ok{};
}

void add_workload_options(CLI::App& command, ReplayOptions& options) {
  command
      .add_option("trace,--trace", options.trace_path,
                  "The trace to replay; drawn requests without one")
      ->type_name("FILE");
  command
      .add_option("--load", options.load,
                  "Arrivals as a part of what the machine can do, as simulated")
      ->check(CLI::Range(0.01, 10.0))
      ->capture_default_str();
  command.add_option("--seconds", options.run_seconds, "How long a run is about")
      ->check(CLI::Range(1.0, 3600.0))
      ->capture_default_str();
  command
      .add_option("--requests", options.num_requests,
                  "In a run at least; their lengths are scaled down until the machine can do that")
      ->check(CLI::Range(std::size_t{1}, kRequestsMax))
      ->capture_default_str();
  command.add_option("--length-scale", options.length_scale, "Scale lengths by this instead")
      ->check(CLI::Range(1e-4, 1.0));
  command.add_option("--repeats", options.num_repeats, "Runs, after one to learn from")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
}

}  // namespace

void add_bench_replay_command(CLI::App& bench, Action& action) {
  CLI::App* command = bench.add_subcommand(
      "replay", "A trace against the real engine in real time, beside its simulation");
  auto options = std::make_shared<ReplayOptions>();
  add_model_options(*command, options->model);
  add_workload_options(*command, *options);
  command->add_option("--sequences", options->num_sequences, "Running at once")
      ->check(CLI::Range(2, 256))
      ->capture_default_str();
  command->add_option("--step-tokens", options->step_tokens, "Tokens of a step")
      ->check(CLI::Range(16, 4096))
      ->capture_default_str();
  command
      ->add_option("--measure-seconds", options->measure_seconds,
                   "For the cost model of bench cost-model")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  command->add_option("--seed", options->seed, "Of everything that is drawn")
      ->capture_default_str();
  command->add_option("--write-steps", options->steps_path, "Write every step of the runs as CSV")
      ->type_name("FILE");
  command->add_flag("--json", options->as_json, "One JSON object");
  command->callback([options, &action] { action = [options] { return run_replay(*options); }; });
}

}  // namespace millrace
