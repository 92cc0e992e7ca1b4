// `millrace bench prefill|decode`: tokens per second of a model here, beside what the memory can
// deliver.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <numeric>
#include <vector>

#include "base/random.h"
#include "cli/bandwidth.h"
#include "cli/command.h"
#include "cli/model_session.h"
#include "cli/quantity.h"
#include "cli/version.h"

namespace millrace {
namespace {

enum class BenchKind : std::uint8_t { kPrefill, kDecode };

struct BenchOptions {
  ModelOptions model;
  std::size_t num_tokens = 0;  // prompt length for prefill, tokens per sequence for decode
  std::size_t depth = 0;       // tokens in the cache before
  std::size_t num_sequences = 1;
  std::size_t num_repeats = 5;
  bool as_json = false;
};

// Sequences side by side in the cache, each `tokens` long at most, and one step over all of them.
class BenchStep {
 public:
  BenchStep(ModelSession& session, std::size_t num_sequences, std::size_t tokens_per_sequence)
      : session_(&session),
        num_sequences_(num_sequences),
        stride_((tokens_per_sequence + session.cache().spec().block_tokens - 1) /
                session.cache().spec().block_tokens),
        blocks_(num_sequences * stride_) {
    std::iota(blocks_.begin(), blocks_.end(), 0u);
  }

  // `count` tokens for every sequence, after `context` tokens; random ids, logits of the last of
  // each.
  void run(std::size_t context, std::size_t count) {
    chunk_begin_.assign(1, 0);
    context_.assign(num_sequences_, static_cast<std::uint32_t>(context));
    ids_.clear();
    positions_.clear();
    rows_.clear();
    for (std::size_t sequence = 0; sequence < num_sequences_; ++sequence) {
      for (std::size_t i = 0; i < count; ++i) {
        ids_.push_back(static_cast<std::uint32_t>(random_.below(session_->spec().vocabulary)));
        positions_.push_back(static_cast<std::uint32_t>(context + i));
      }
      rows_.push_back(static_cast<std::uint32_t>(ids_.size() - 1));
      chunk_begin_.push_back(static_cast<std::uint32_t>(ids_.size()));
    }
    const ForwardBatch batch{
        .token_ids = ids_,
        .positions = positions_,
        .attention = {.chunk_begin = chunk_begin_,
                      .context_tokens = context_,
                      .block_table = blocks_,
                      .block_table_stride = stride_},
        .logit_rows = rows_,
    };
    run_forward(session_->decoder(), session_->context(), batch, session_->cache().view());
  }

 private:
  ModelSession* session_;
  std::size_t num_sequences_;
  std::size_t stride_;
  std::vector<std::uint32_t> blocks_, chunk_begin_, context_, ids_, positions_, rows_;
  Random random_{1};
};

// Fills the cache with `tokens` tokens per sequence, in steps that the decoder takes.
void fill_cache(ModelSession& session, BenchStep& step, std::size_t num_sequences,
                std::size_t tokens) {
  const std::size_t chunk =
      std::max<std::size_t>(1, session.decoder().limits().tokens_max / num_sequences);
  for (std::size_t begin = 0; begin < tokens; begin += chunk) {
    step.run(begin, std::min(chunk, tokens - begin));
  }
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Seconds of each repeat: a prompt of num_tokens, or num_tokens steps of one token each.
std::vector<double> time_repeats(ModelSession& session, BenchKind kind,
                                 const BenchOptions& options) {
  BenchStep step(session, options.num_sequences, options.depth + options.num_tokens);
  fill_cache(session, step, options.num_sequences, options.depth);
  const SystemClock clock;
  const auto once = [&] {
    if (kind == BenchKind::kPrefill) {
      const std::size_t chunk = session.decoder().limits().tokens_max / options.num_sequences;
      for (std::size_t begin = 0; begin < options.num_tokens; begin += chunk) {
        step.run(options.depth + begin, std::min(chunk, options.num_tokens - begin));
      }
    } else {
      for (std::size_t i = 0; i < options.num_tokens; ++i) step.run(options.depth + i, 1);
    }
  };
  once();  // Warm-up: page faults and caches.
  std::vector<double> times;
  for (std::size_t repeat = 0; repeat < options.num_repeats; ++repeat) {
    const TimePoint begin = clock.now();
    once();
    times.push_back(seconds(clock.now() - begin));
  }
  return times;
}

// Weights that a token reads, and the mean of the cache that it attends to.
std::uint64_t bytes_per_decode_step(ModelSession& session, const BenchOptions& options) {
  const std::uint64_t kv = MUST(kv_bytes_per_token(session.cache().spec()));  // the cache exists
  const std::uint64_t mean_context = options.depth + options.num_tokens / 2;
  return active_weight_bytes(session.model()) + options.num_sequences * mean_context * kv;
}

Status bench(BenchKind kind, BenchOptions& options) {
  const Checkpoint checkpoint = TRY(open_model(options.model));
  ModelOptions model = options.model;
  model.context = options.depth + options.num_tokens;
  constexpr std::size_t kStepTokens = 512;
  SessionDemand demand;
  demand.num_sequences = options.num_sequences;
  demand.limits = {.tokens_max = std::max(kStepTokens, options.num_sequences),
                   .logit_rows_max = options.num_sequences};
  const auto session = TRY(ModelSession::open(checkpoint, model, demand));

  const std::vector<double> times = time_repeats(*session, kind, options);
  const double middle = median(times);
  std::vector<double> deviations;
  for (const double time : times) deviations.push_back(std::abs(time - middle));
  const double tokens = static_cast<double>(options.num_tokens * options.num_sequences);
  OrderedJson record = {
      {"bench", kind == BenchKind::kPrefill ? "prefill" : "decode"},
      {"model", options.model.model},
      {"tokens_per_second", tokens / middle},
      {"relative_mad", median(deviations) / middle},
      {"tokens", options.num_tokens},
      {"sequences", options.num_sequences},
      {"depth", options.depth},
      {"threads", session->machine().num_threads},
      {"isa", session->machine().kernels->isa},
      {"kv_dtype", dtype_name(session->machine().kv_dtype)},
      {"weight_bytes", session->memory().weight_bytes},
      {"commit", commit_text()},
  };
  if (kind == BenchKind::kDecode) {
    const double bandwidth = read_bandwidth(session->context());
    const double used = static_cast<double>(bytes_per_decode_step(*session, options)) *
                        static_cast<double>(options.num_tokens) / middle;
    record["read_bandwidth_bytes_per_second"] = bandwidth;
    record["fraction_of_bandwidth"] = used / bandwidth;
  }
  if (options.as_json) {
    std::printf("%s\n", record.dump().c_str());
    return Ok{};
  }
  std::printf("%s  %.1f tokens/s (+- %.1f %%)", record["bench"].get<std::string>().c_str(),
              tokens / middle, 100.0 * record["relative_mad"].get<double>());
  if (record.contains("fraction_of_bandwidth")) {
    std::printf("  %.0f %% of %.1f GB/s read bandwidth",
                100.0 * record["fraction_of_bandwidth"].get<double>(),
                record["read_bandwidth_bytes_per_second"].get<double>() / 1e9);
  }
  std::printf("\n%zu tokens x %zu sequences after %zu, %zu threads, %s, cache %s, weights %s\n",
              options.num_tokens, options.num_sequences, options.depth,
              session->machine().num_threads, std::string(session->machine().kernels->isa).c_str(),
              std::string(dtype_name(session->machine().kv_dtype)).c_str(),
              show_bytes(session->memory().weight_bytes).c_str());
  return Ok{};
}

void add_kind(CLI::App& parent, BenchKind kind, Action& action) {
  const bool prefill = kind == BenchKind::kPrefill;
  CLI::App* command = prefill
                          ? parent.add_subcommand("prefill", "How fast a prompt is read")
                          : parent.add_subcommand(
                                "decode", "How fast tokens come, for one sequence or many at once");
  auto options = std::make_shared<BenchOptions>();
  options->num_tokens = prefill ? 512 : 64;
  command->add_option("path", options->model.model, "The model; the same as --model")
      ->type_name("PATH");
  add_model_options(*command, options->model);
  command->add_option("-n,--tokens", options->num_tokens, "Tokens of each sequence")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  command->add_option("--depth", options->depth, "Tokens in the cache before")
      ->capture_default_str();
  command->add_option("--sequences", options->num_sequences, "Sequences in one step")
      ->capture_default_str()
      ->check(CLI::Range(1, 512));
  command->add_option("--repeats", options->num_repeats, "Timed runs, after a warm-up")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  command->add_flag("--json", options->as_json, "One JSON object");
  command->callback(
      [options, kind, &action] { action = [options, kind] { return bench(kind, *options); }; });
}

}  // namespace

void add_bench_command(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("bench", "Tokens per second of a model on this machine");
  command->require_subcommand(1);
  add_kind(*command, BenchKind::kPrefill, action);
  add_kind(*command, BenchKind::kDecode, action);
  add_bench_cost_model_command(*command, action);
  add_bench_memory_command(*command, action);
  add_bench_prefix_command(*command, action);
  add_bench_replay_command(*command, action);
  add_bench_pipeline_command(*command, action);
}

}  // namespace millrace
