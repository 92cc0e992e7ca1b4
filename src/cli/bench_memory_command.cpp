// `millrace bench memory`: what a run's KV allocations cost under other ways to give memory out,
// and how large a model fits a budget.
#include <CLI/CLI.hpp>
#include <array>
#include <cmath>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/largest_model.h"
#include "cli/quantity.h"
#include "cli/version.h"
#include "report/html.h"
#include "report/table.h"
#include "simulate/memory_replay.h"
#include "simulate/simulation.h"
#include "simulate/trace_reader.h"
#include "simulate/workload.h"

namespace millrace {
namespace {

struct MemoryOptions {
  std::string trace_path;
  std::size_t num_requests = 3000;
  std::string capacity = "16G";
  std::uint64_t bytes_per_token = 131'072;  // Llama-3.1-8B in 16 bits: 2 * 32 layers * 8 * 128 * 2
  std::size_t block_tokens = 16;
  std::uint32_t context_tokens = 16'384;
  std::string shape = "llama-3.2-1b";
  std::string budget = "4G";
  bool as_json = false;
};

struct Way {
  const char* name;
  ReplayAllocator allocator;
  KvPlacement placement;
};
constexpr std::array<Way, 9> kWays = {{
    {"best fit, whole context reserved", ReplayAllocator::kBestFit, KvPlacement::kReserveContext},
    {"best fit, power of two reserved", ReplayAllocator::kBestFit, KvPlacement::kReservePower},
    {"best fit, exact length known", ReplayAllocator::kBestFit, KvPlacement::kReserveExact},
    {"best fit, doubling", ReplayAllocator::kBestFit, KvPlacement::kGrowDouble},
    {"caching, whole context reserved", ReplayAllocator::kCaching, KvPlacement::kReserveContext},
    {"caching, power of two reserved", ReplayAllocator::kCaching, KvPlacement::kReservePower},
    {"caching, exact length known", ReplayAllocator::kCaching, KvPlacement::kReserveExact},
    {"caching, doubling", ReplayAllocator::kCaching, KvPlacement::kGrowDouble},
    {"block pool", ReplayAllocator::kBlockPool, KvPlacement::kBlocks},
}};

struct Row {
  std::string name;
  ReplayReport report;
};

Result<Trace> workload_of(const MemoryOptions& options) {
  WorkloadSpec spec;
  spec.num_requests = options.num_requests;
  spec.arrivals.kind = ArrivalKind::kAtOnce;
  if (!options.trace_path.empty()) {
    const Trace trace = TRY(read_trace(options.trace_path));
    return make_workload(spec, trace);
  }
  // Medians and spread of Azure's conversation trace of 2023.
  spec.lengths = {.kind = LengthKind::kLognormal,
                  .prompt_tokens = 1020,
                  .output_tokens = 129,
                  .sigma = 1.0,
                  .tokens_max = 14'050};
  return make_workload(spec, {});
}

// The log of a run with the real scheduler where memory is what it runs out of.
Result<std::vector<SequenceLog>> run_scheduler(const MemoryOptions& options, std::uint64_t capacity,
                                               ReplayReport& as_it_ran) {
  Trace workload = TRY(workload_of(options));
  for (TraceRequest& request : workload.requests) {
    request.class_index = 0;
    request.num_prefix = 0;  // blocks that are shared would be counted for each holder
  }
  SimulationOptions simulation;
  simulation.policy = Policy::kFirstCome;
  simulation.scheduler.num_requests_max = 1 << 20;
  simulation.scheduler.num_sequences_max = 4096;
  simulation.scheduler.step_tokens_max = 8192;
  simulation.scheduler.chunk_tokens_max = 2048;
  simulation.scheduler.block_tokens = options.block_tokens;
  simulation.cost = TRY(find_builtin_step_cost("h200-llama-3.1-8b"));
  const std::uint64_t num_blocks = capacity / (options.bytes_per_token * options.block_tokens);
  if (num_blocks == 0 || num_blocks > (1u << 28)) {
    return Error{ErrorCode::kInvalidArgument, "a capacity of " + std::to_string(capacity) +
                                                  " bytes is " + std::to_string(num_blocks) +
                                                  " blocks, expected 1 to 2^28"};
  }
  simulation.num_blocks = static_cast<std::uint32_t>(num_blocks);
  AllocationRecorder recorder(simulation.num_blocks, options.block_tokens);
  simulation.observer = &recorder;
  TRY(simulate(workload, simulation));
  as_it_ran = recorder.as_it_ran();
  return recorder.log();
}

std::string percent(double part) {
  return number_text(std::round(1000 * part) / 10, 4);
}

Table replay_table(const std::vector<Row>& rows) {
  Table table{.title = "KV memory while requests wait, in percent of the capacity",
              .columns = {{"way", Align::kLeft},
                          {"useful"},
                          {"internal"},
                          {"external"},
                          {"waste"},
                          {"sequences"},
                          {"pool holds"},
                          {"preempted"},
                          {"refused"}},
              .rows = {}};
  const double pool = rows.back().report.num_sequences;
  for (const Row& row : rows) {
    const ReplayReport& report = row.report;
    const double more = report.num_sequences > 0 ? pool / report.num_sequences : 0;
    table.add_row({row.name, percent(report.useful), percent(report.internal),
                   percent(report.external), percent(report.internal + report.external),
                   number_text(report.num_sequences, 4), number_text(more, 3) + " x",
                   std::to_string(report.num_preemptions), std::to_string(report.num_refused)});
  }
  return table;
}

const char* life_name(TensorLife life) {
  switch (life) {
    case TensorLife::kPlanned:
      return "planned arena";
    case TensorLife::kLastUse:
      return "malloc, freed after last use";
    case TensorLife::kStep:
      return "malloc, freed after the step";
  }
  return "unknown";
}
const char* growth_name(KvGrowth growth) {
  switch (growth) {
    case KvGrowth::kBlocks:
      return "block pool";
    case KvGrowth::kExact:
      return "final length known";
    case KvGrowth::kDoubling:
      return "doubling";
    case KvGrowth::kConcatenate:
      return "concatenated each step";
  }
  return "unknown";
}

// Of parameters, the planned model over this one, less one.
double planned_more(const std::vector<LargestModel>& models, const LargestModel& model) {
  if (model.num_parameters == 0) return 0;
  return static_cast<double>(models.front().num_parameters) /
             static_cast<double>(model.num_parameters) -
         1;
}

Table model_table(const std::vector<LargestModel>& models, const MemoryOptions& options) {
  Table table{.title = "Largest model of the shape " + options.shape +
                       " that serves 8 sequences of 2,048 tokens in " + options.budget,
              .columns = {{"activations", Align::kLeft},
                          {"keys and values", Align::kLeft},
                          {"layers"},
                          {"parameters"},
                          {"bytes"},
                          {"planned is larger by"}},
              .rows = {}};
  for (const LargestModel& model : models) {
    table.add_row({life_name(model.life), growth_name(model.growth),
                   std::to_string(model.num_layers), show_count(model.num_parameters),
                   show_bytes(model.num_bytes), percent(planned_more(models, model)) + " %"});
  }
  return table;
}

// What the columns mean, so that no figure is taken for more than it is.
constexpr const char* kReplayNotes =
    "useful: bytes of live tokens; internal: held beyond those; external: neither, while the head "
    "of the queue found no room;\nall over the capacity, mean over the steps in which requests "
    "wait. waste: internal and external together.\n\n";
constexpr const char* kModelNotes =
    "whole layers are added until weights, activations of one step and keys and values exceed the "
    "budget; malloc is replayed\ntensor by tensor through a best-fit allocator and counts to the "
    "highest end that it ever reached. larger by: parameters\nof the planned model over the "
    "row's, less one.\n";

// The claim of 20 % holds or does not by when malloc's tensors are freed: both are said.
std::string claim_text(const std::vector<LargestModel>& models) {
  constexpr double kTarget = 0.2;
  std::string text;
  for (const TensorLife life : {TensorLife::kStep, TensorLife::kLastUse}) {
    for (const LargestModel& model : models) {
      if (model.life != life || model.growth != KvGrowth::kExact) continue;
      const double more = planned_more(models, model);
      text += std::string("20 % larger than plain malloc per tensor, ") +
              (life == TensorLife::kStep ? "freed at the end of the step"
                                         : "freed right after its last use") +
              ", final lengths known: " + (more >= kTarget ? "yes" : "no") + ", " + percent(more) +
              " %\n";
    }
  }
  return text;
}

OrderedJson memory_json(const std::vector<Row>& rows, const std::vector<LargestModel>& models) {
  OrderedJson object = {{"bench", "memory"}, {"commit", commit_text()}};
  for (const Row& row : rows) {
    object["ways"].push_back({{"way", row.name},
                              {"useful", row.report.useful},
                              {"internal", row.report.internal},
                              {"external", row.report.external},
                              {"sequences", row.report.num_sequences},
                              {"steps", row.report.num_steps},
                              {"preemptions", row.report.num_preemptions},
                              {"refused", row.report.num_refused}});
  }
  for (const LargestModel& model : models) {
    object["models"].push_back({{"activations", life_name(model.life)},
                                {"kv", growth_name(model.growth)},
                                {"layers", model.num_layers},
                                {"parameters", model.num_parameters},
                                {"bytes", model.num_bytes},
                                {"planned_is_larger_by", planned_more(models, model)}});
  }
  return object;
}

Status bench_memory(const MemoryOptions& options) {
  const std::uint64_t capacity = TRY(parse_bytes(options.capacity));
  const std::uint64_t budget = TRY(parse_bytes(options.budget));
  const PublicShape* shape = TRY(find_public_shape(options.shape));
  ReplayReport as_it_ran;
  const std::vector<SequenceLog> log = TRY(run_scheduler(options, capacity, as_it_ran));
  std::vector<Row> rows;
  for (const Way& way : kWays) {
    rows.push_back({way.name, replay_log(log, {.allocator = way.allocator,
                                               .placement = way.placement,
                                               .capacity_bytes = capacity,
                                               .bytes_per_token = options.bytes_per_token,
                                               .context_tokens = options.context_tokens,
                                               .block_tokens = options.block_tokens})});
  }
  rows.push_back({"the scheduler's own run, block pool", as_it_ran});
  const std::vector<LargestModel> models = TRY(largest_models(*shape, ServingLoad{}, budget));
  if (options.as_json) {
    std::printf("%s\n", memory_json(rows, models).dump().c_str());
    return Ok{};
  }
  std::printf("%zu requests, capacity %s, %llu bytes per token, blocks of %zu tokens\n\n%s%s%s%s%s",
              log.size(), show_bytes(capacity).c_str(),
              static_cast<unsigned long long>(options.bytes_per_token), options.block_tokens,
              table_text(replay_table(rows)).c_str(), kReplayNotes,
              table_text(model_table(models, options)).c_str(), kModelNotes,
              claim_text(models).c_str());
  return Ok{};
}

}  // namespace

void add_bench_memory_command(CLI::App& bench, Action& action) {
  CLI::App* command = bench.add_subcommand("memory",
                                           "KV memory of a trace under several allocators, and how "
                                           "large a model fits");
  auto options = std::make_shared<MemoryOptions>();
  command->add_option("trace,--trace", options->trace_path, "Lengths; drawn without it")
      ->type_name("FILE");
  command->add_option("--requests", options->num_requests, "How many")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  command->add_option("--capacity", options->capacity, "Bytes of the KV cache")
      ->capture_default_str();
  command->add_option("--kv-bytes-per-token", options->bytes_per_token, "Over all layers")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1} << 30))
      ->capture_default_str();
  command->add_option("--block-tokens", options->block_tokens, "Of the pool")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command->add_option("--context", options->context_tokens, "Longest sequence allowed")
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str();
  command->add_option("--shape", options->shape, "Published shape that layers are added to")
      ->capture_default_str();
  command->add_option("--budget", options->budget, "Bytes for that model, all in all")
      ->capture_default_str();
  command->add_flag("--json", options->as_json, "One JSON object");
  command->callback([options, &action] { action = [options] { return bench_memory(*options); }; });
}

}  // namespace millrace
