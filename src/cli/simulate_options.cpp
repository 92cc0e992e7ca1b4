// Options of a simulation, and what they add up to.
#include "cli/simulate_options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <map>

#include "base/file.h"
#include "simulate/share_experiment.h"
#include "simulate/trace_reader.h"

namespace millrace {
namespace {

const std::map<std::string, ArrivalKind> kArrivals = {
    {"trace", ArrivalKind::kTrace},     {"constant", ArrivalKind::kConstant},
    {"poisson", ArrivalKind::kPoisson}, {"day", ArrivalKind::kDay},
    {"bursts", ArrivalKind::kOnOff},    {"at-once", ArrivalKind::kAtOnce}};
const std::map<std::string, LengthKind> kLengths = {{"trace", LengthKind::kTrace},
                                                    {"fixed", LengthKind::kFixed},
                                                    {"uniform", LengthKind::kUniform},
                                                    {"lognormal", LengthKind::kLognormal}};
const std::map<std::string, RoutingKind> kRoutings = {{"round-robin", RoutingKind::kRoundRobin},
                                                      {"least-loaded", RoutingKind::kLeastLoaded},
                                                      {"prefix-aware", RoutingKind::kPrefixAware}};

void add_workload_options(CLI::App& command, SimulateOptions& options) {
  WorkloadSpec& workload = options.workload;
  command.add_option("trace,--trace", options.trace_path, "The trace to replay")->type_name("FILE");
  command.add_option("--arrivals", workload.arrivals.kind, "When requests come")
      ->transform(CLI::CheckedTransformer(kArrivals).description(""))
      ->type_name("trace|constant|poisson|day|bursts|at-once")
      ->default_str("trace");
  command.add_option("--rate", options.rate, "Requests per second; of a trace, its own")
      ->check(CLI::PositiveNumber);
  command
      .add_option("--load", options.load,
                  "Instead of a rate: as a part of what one machine can do, measured first")
      ->check(CLI::Range(0.001, 1000.0));
  command.add_option("--burst-on", options.on_seconds, "Mean seconds of a burst of a class")
      ->check(CLI::Range(0.001, 1e6))
      ->capture_default_str();
  command.add_option("--burst-off", options.off_seconds, "Mean seconds between bursts")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  command
      .add_option("--day", options.day_seconds,
                  "Seconds of a day; each class has its rush at another time of it")
      ->check(CLI::Range(0.001, 1e9))
      ->capture_default_str();
  command
      .add_option("--swing", workload.arrivals.swing,
                  "How much more than the mean the rush is, and less the quiet")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command.add_option("--requests", options.num_requests,
                     "How many; more than the trace has go round it again");
  command.add_option("--first", options.first_seconds, "Only what comes in the first seconds")
      ->check(CLI::PositiveNumber);
  command.add_option("--lengths", workload.lengths.kind, "How long requests are")
      ->transform(CLI::CheckedTransformer(kLengths).description(""))
      ->type_name("trace|fixed|uniform|lognormal")
      ->default_str("trace");
  command
      .add_option("--prompt-tokens", workload.lengths.prompt_tokens,
                  "Of drawn requests: fixed, mean or median")
      ->capture_default_str();
  command.add_option("--output-tokens", workload.lengths.output_tokens, "The same for outputs")
      ->capture_default_str();
  command
      .add_option("--deal", workload.class_weights,
                  "How often each class is dealt a request, as 1,1; the trace's own without it")
      ->delimiter(',');
  command.add_option("--seed", workload.seed, "Of everything that is drawn")->capture_default_str();
}

void add_machine_options(CLI::App& command, SimulateOptions& options) {
  SchedulerOptions& scheduler = options.simulation.scheduler;
  scheduler.num_requests_max = 1 << 20;
  scheduler.num_sequences_max = 256;
  scheduler.step_tokens_max = 2048;
  scheduler.chunk_tokens_max = 2048;
  command
      .add_option("--cost-model", options.cost_model,
                  "A file of millrace bench cost-model, or h200-llama-3.1-8b, h200-qwen2.5-0.5b")
      ->capture_default_str();
  command.add_option("--cache-tokens", options.cache_tokens,
                     "Tokens in each machine's KV cache; the cost model's own without it");
  command.add_option("--policy", options.policy, "How classes share a machine")
      ->check(CLI::IsMember({"ours", "controlled", "fcfs", "strict-priority", "static-split"}))
      ->capture_default_str();
  command
      .add_option("--shares", options.shares, "Of the classes interactive and background, as 70,30")
      ->delimiter(',')
      ->expected(2)
      ->check(CLI::PositiveNumber);
  command
      .add_option("--control-interval", options.control_interval_seconds,
                  "Seconds between moves of the share controller (--policy controlled)")
      ->check(CLI::Range(0.001, 1e6))
      ->capture_default_str();
  command.add_option("--replicas", options.simulation.router.num_replicas, "Machines")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command.add_option("--routing", options.simulation.router.kind, "Which machine gets a request")
      ->transform(CLI::CheckedTransformer(kRoutings).description(""))
      ->type_name("round-robin|least-loaded|prefix-aware")
      ->default_str("round-robin");
  command.add_option("--sequences", scheduler.num_sequences_max, "Running at once on a machine")
      ->capture_default_str();
  command.add_option("--step-tokens", scheduler.step_tokens_max, "Tokens of a step")
      ->capture_default_str();
  command.add_option("--chunk-tokens", scheduler.chunk_tokens_max, "Of one prompt in a step")
      ->capture_default_str();
  command.add_option("--block-tokens", scheduler.block_tokens, "Of a KV block")
      ->capture_default_str();
  command.add_flag("!--no-prefix-reuse", options.reuses_prefixes, "Compute equal prefixes again");
  command
      .add_option("--queue", options.queue_max,
                  "Requests of a class that wait on a machine; more are refused")
      ->check(CLI::PositiveNumber);
  command
      .add_option("--queue-tokens", options.queue_tokens_max,
                  "Tokens of prompts of a class that wait; more are refused")
      ->check(CLI::PositiveNumber);
  command
      .add_option("--queue-wait", options.queue_wait_seconds,
                  "Seconds: who would wait longer is refused; by class as 5,60, or one for all")
      ->delimiter(',')
      ->check(CLI::Range(0.001, 1e9));
  command
      .add_option("--deadline", options.deadline_seconds,
                  "Seconds after which a request is given up; by class, or one for all")
      ->delimiter(',')
      ->check(CLI::Range(0.001, 1e9));
  command
      .add_option("--waiting", scheduler.num_requests_max,
                  "Requests on a machine, waiting and running; more are refused")
      ->capture_default_str();
}

Duration duration_of(double value_seconds) {
  return Duration(static_cast<std::int64_t>(std::min(value_seconds, 9e9) * 1e9));
}

std::optional<Duration> duration_of_class(const std::vector<double>& values, std::size_t at) {
  if (values.empty()) return std::nullopt;
  return duration_of(values[std::min(at, values.size() - 1)]);
}

}  // namespace

void add_simulate_options(CLI::App& command, SimulateOptions& options) {
  add_workload_options(command, options);
  add_machine_options(command, options);
}

Result<SimulationOptions> simulation_options(const SimulateOptions& options) {
  SimulationOptions simulation = options.simulation;
  simulation.policy = TRY(find_policy(options.policy));
  std::vector<ServiceClass>& classes = simulation.scheduler.classes;
  for (std::size_t i = 0; i < classes.size(); ++i) {
    classes[i].queued_requests_max = options.queue_max.value_or(SIZE_MAX);
    classes[i].queued_tokens_max = options.queue_tokens_max.value_or(SIZE_MAX);
    classes[i].queue_wait_max = duration_of_class(options.queue_wait_seconds, i);
    simulation.deadlines[i] = duration_of_class(options.deadline_seconds, i);
    if (!options.shares.empty()) classes[i].share = options.shares[i];
  }
  simulation.scheduler.controller = {.interval = duration_of(options.control_interval_seconds)};
  if (!options.reuses_prefixes) simulation.scheduler.prefix_reuse = PrefixReuse::kOff;
  simulation.cost = file_exists(options.cost_model)
                        ? TRY(read_step_cost(options.cost_model))
                        : TRY(find_builtin_step_cost(options.cost_model));
  const std::uint64_t cache_tokens = options.cache_tokens.value_or(simulation.cost.cache_tokens);
  const std::uint64_t num_blocks =
      cache_tokens / std::max<std::size_t>(1, simulation.scheduler.block_tokens);
  constexpr std::uint64_t kBlocksMax = std::uint64_t{1} << 28;
  if (num_blocks == 0 || num_blocks > kBlocksMax) {
    return Error{ErrorCode::kInvalidArgument,
                 "a KV cache of " + std::to_string(cache_tokens) + " tokens is " +
                     std::to_string(num_blocks) + " blocks, expected 1 to " +
                     std::to_string(kBlocksMax) + " (see --cache-tokens)"};
  }
  simulation.num_blocks = static_cast<std::uint32_t>(num_blocks);
  // A router that believes in more than the cache holds sends requests after what is long gone.
  constexpr std::uint64_t kPieceTokens = 512;
  simulation.router.pieces_max = std::max<std::uint64_t>(1, cache_tokens / kPieceTokens);
  return simulation;
}

Result<Trace> simulated_workload(const SimulateOptions& options,
                                 const SimulationOptions& simulation) {
  WorkloadSpec spec = options.workload;
  spec.arrivals.rate = options.rate;
  spec.arrivals.on_mean = duration_of(options.on_seconds);
  spec.arrivals.off_mean = duration_of(options.off_seconds);
  spec.arrivals.day = duration_of(options.day_seconds);
  spec.num_requests = options.num_requests;
  if (options.first_seconds) spec.first = duration_of(*options.first_seconds);
  Trace source;
  if (!options.trace_path.empty()) source = TRY(read_trace(options.trace_path));
  if (source.num_left_out > 0) {
    std::fprintf(stderr, "left out %zu requests without a prompt or without an output\n",
                 source.num_left_out);
  }
  if (options.load) {
    WorkloadSpec at_once = spec;
    at_once.arrivals = {.kind = ArrivalKind::kAtOnce, .rate = std::nullopt};
    at_once.first.reset();
    const Trace all = TRY(make_workload(at_once, source));
    const double capacity = TRY(measure_capacity(all, simulation));
    spec.arrivals.rate =
        *options.load * capacity * static_cast<double>(simulation.router.num_replicas);
  }
  return make_workload(spec, source);
}

}  // namespace millrace
