// `millrace bench prefill|decode|batch|depth`: tokens per second of a model here, beside what the
// machine can deliver and beside other programs.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>

#include "cli/bench_model.h"
#include "cli/bench_peers.h"
#include "cli/bench_record.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/quantity.h"
#include "cli/step_report.h"
#include "measure/step_bench.h"

namespace millrace {
namespace {

constexpr std::size_t kStepTokens = 512;

struct StepOptions {
  StepCommand command = StepCommand::kPrefill;
  BenchModelOptions model;
  std::vector<std::size_t> tokens;
  std::vector<std::size_t> depths;
  std::vector<std::size_t> sequences;
  std::size_t num_repeats = 5;
  PeersOptions peers;
  bool as_json = false;
};

// Every combination of what was asked for.
std::vector<StepWork> works_of(const StepOptions& options) {
  std::vector<StepWork> works;
  const bool is_prefill = options.command == StepCommand::kPrefill;
  for (const std::size_t depth : options.depths) {
    for (const std::size_t tokens : options.tokens) {
      for (const std::size_t sequences : options.sequences) {
        works.push_back({.kind = is_prefill ? StepKind::kPrefill : StepKind::kDecode,
                         .num_tokens = tokens,
                         .depth = depth,
                         .num_sequences = sequences});
      }
    }
  }
  return works;
}

std::size_t longest(const std::vector<StepWork>& works) {
  std::size_t tokens = 0;
  for (const StepWork& work : works) tokens = std::max(tokens, work.tokens_per_sequence());
  return tokens;
}

// Leaves out what the model is too short for; an error when nothing is left.
Status drop_too_long(std::size_t context_max, std::vector<StepWork>& works) {
  const std::size_t asked = longest(works);
  std::erase_if(works,
                [&](const StepWork& work) { return work.tokens_per_sequence() > context_max; });
  if (works.empty()) {
    return Error{ErrorCode::kInvalidArgument, std::to_string(asked) +
                                                  " tokens exceed the model's context of " +
                                                  std::to_string(context_max)};
  }
  if (asked > context_max) {
    std::fprintf(stderr, "millrace: note: left out what exceeds the model's context of %zu\n",
                 context_max);
  }
  return Ok{};
}

SessionDemand demand_of(const std::vector<StepWork>& works) {
  SessionDemand demand;
  for (const StepWork& work : works) {
    demand.num_sequences = std::max(demand.num_sequences, work.num_sequences);
  }
  demand.limits = {.tokens_max = std::max(kStepTokens, demand.num_sequences),
                   .logit_rows_max = demand.num_sequences};
  return demand;
}

double tokens_of(const StepWork& work) {
  return static_cast<double>(work.num_tokens * work.num_sequences);
}

// One line of the report: ours alone, then beside each peer.
Result<StepResult> measure(ModelSession& session, StepBench& bench, const StepWork& work,
                           const StepOptions& options, const std::vector<Peer>& peers) {
  StepResult result;
  result.work = work;
  const double fill_seconds = bench.fill(work);
  if (options.command == StepCommand::kBatch) {
    result.prompt_tokens_per_second =
        static_cast<double>(work.depth * work.num_sequences) / fill_seconds;
  }
  bench.run(work);  // Warm-up: page faults and caches.
  std::vector<double> rates;
  const auto once = [&]() -> Result<double> {
    if (interrupt_flag().load()) return Error{ErrorCode::kCancelled, "interrupted"};
    rates.push_back(tokens_of(work) / bench.run(work));
    return rates.back();
  };
  if (peers.empty()) {
    for (std::size_t i = 0; i < options.num_repeats; ++i) TRY(once());
  }
  for (const Peer& peer : peers) {
    result.peers.push_back(TRY(run_beside(peer, options.peers, work, once)));
  }
  result.ours = rate_spread(rates);
  const double steps_per_second = result.ours.median / static_cast<double>(work.num_sequences);
  if (work.kind == StepKind::kDecode) {
    result.bytes_per_second =
        steps_per_second *
        static_cast<double>(bytes_per_decode_step(session.model(), session.cache().spec(), work));
  }
  result.operations_per_second =
      matrix_operations(session.spec(), work) * result.ours.median / tokens_of(work);
  return result;
}

Status bench_steps(const StepOptions& options) {
  catch_interrupts();
  const PeerKind kind =
      options.command == StepCommand::kBatch ? PeerKind::kBatchedBench : PeerKind::kLlamaBench;
  std::vector<StepWork> works = works_of(options);
  const bool has_peers = !options.peers.programs.empty();
  if (has_peers && kind == PeerKind::kLlamaBench && demand_of(works).num_sequences > 1) {
    return Error{ErrorCode::kInvalidArgument,
                 "llama-bench runs one sequence: compare more with `bench batch`"};
  }
  const bool writes_gguf = has_peers && options.peers.model_file.empty();
  const BenchModel model = TRY(BenchModel::open(
      options.model, longest(works), writes_gguf ? GgufNeed::kForPeers : GgufNeed::kNone));
  TRY(drop_too_long(model.spec().context_max, works));
  const auto session = TRY(model.load(longest(works), demand_of(works)));
  const std::vector<Peer> peers =
      TRY(open_peers(options.peers, kind,
                     {.model_file = model.gguf_file(),
                      .num_threads = session->machine().num_threads,
                      .kv_dtype = dtype_name(session->machine().kv_dtype)}));
  StepReport report;
  report.command = options.command;
  report.model = model.name();
  report.ceilings = measure_ceilings(session->machine().kernels->isa, session->team());
  StepBench bench(session->decoder(), session->context(), session->cache(), longest(works));
  for (const StepWork& work : works) {
    report.results.push_back(TRY(measure(*session, bench, work, options, peers)));
  }
  const std::string text = options.as_json ? step_report_json(report, *session).dump() + "\n"
                                           : step_report_text(report, *session);
  std::fputs(text.c_str(), stdout);
  return Ok{};
}

constexpr const char* kFooter =
    "Examples:\n"
    "  millrace bench decode --model PATH\n"
    "  millrace bench prefill --like qwen2.5-0.5b --format q4_0 -n 512 -n 2048\n"
    "  millrace bench decode --like llama-3.2-1b --format q8_0 --peer-llama-bench ./llama-bench\n"
    "\n"
    "With peers both sides read the same GGUF file, with as many threads and the same type of\n"
    "cache, flash attention on, in turns: us, them, them, us, …. The ratio is the median over the\n"
    "pairs of our tokens per second by theirs.";

// What each command asks for when nothing is said.
StepOptions defaults_of(StepCommand command) {
  StepOptions options;
  options.command = command;
  options.tokens = {command == StepCommand::kPrefill ? std::size_t{512} : std::size_t{64}};
  options.depths = {0};
  options.sequences = {1};
  if (command == StepCommand::kBatch) {
    options.depths = {128};
    options.sequences = {1, 4, 8, 16, 32};
  }
  if (command == StepCommand::kDepth) options.depths = {0, 1024, 4096, 16384};
  return options;
}

void add_step_command(CLI::App& bench, StepCommand kind, const char* help, Action& action) {
  CLI::App* command = bench.add_subcommand(step_command_name(kind), help);
  auto options = std::make_shared<StepOptions>(defaults_of(kind));
  add_bench_model_options(*command, options->model);
  const auto add_list = [command](const char* name, std::vector<std::size_t>& values,
                                  const char* text) {
    return command->add_option(name, values, text)
        ->capture_default_str()
        ->delimiter(',')
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  };
  add_list("-n,--tokens", options->tokens, "Tokens of each sequence; several with commas")
      ->check(CLI::Range(1, 1 << 24));
  add_list(kind == StepCommand::kBatch ? "-p,--prompt,--depth" : "--depth", options->depths,
           "Tokens in the cache before; several with commas")
      ->check(CLI::Range(0, 1 << 24));
  add_list("--sequences", options->sequences, "Sequences in one step; several with commas")
      ->check(CLI::Range(1, 512));
  command->add_option("--repeats", options->num_repeats, "Timed runs, after a warm-up")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  add_peers_options(*command,
                    kind == StepCommand::kBatch ? PeerKind::kBatchedBench : PeerKind::kLlamaBench,
                    options->peers);
  command->add_flag("--json", options->as_json, "One JSON object");
  command->footer(kFooter);
  command->callback([options, &action] { action = [options] { return bench_steps(*options); }; });
}

}  // namespace

void add_bench_step_commands(CLI::App& bench, Action& action) {
  add_step_command(bench, StepCommand::kPrefill, "How fast a prompt is read", action);
  add_step_command(bench, StepCommand::kDecode, "How fast the tokens of an answer come", action);
  add_step_command(bench, StepCommand::kBatch,
                   "How fast many answers come at once, each after a prompt of its own", action);
  add_step_command(bench, StepCommand::kDepth, "How fast tokens come late in a long text", action);
}

}  // namespace millrace
