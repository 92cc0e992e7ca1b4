// `millrace bench cost-model`: times real steps of many shapes and fits how long a step takes.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/random.h"
#include "cli/command.h"
#include "cli/model_session.h"
#include "cli/version.h"
#include "model/read_spec.h"
#include "simulate/cost_fit.h"

namespace millrace {
namespace {

constexpr std::size_t kSequencesMax = 16;
constexpr std::size_t kChunkMax = 512;

struct CostModelOptions {
  ModelOptions model;
  std::size_t num_shapes = 60;
  std::size_t num_repeats = 3;
  std::optional<std::size_t> depth_max;  // tokens in the cache before a step
  std::uint64_t seed = 1;
  std::string out_path;
  bool as_json = false;
};

// How deep and how long the chunks of a step may be.
struct ShapeLimits {
  std::size_t depth_max = 1024;
  std::size_t chunk_max = kChunkMax;
};

// A model of a short context is measured within it, unless a depth was asked for.
ShapeLimits shape_limits(const CostModelOptions& options, std::size_t context) {
  ShapeLimits limits;
  if (options.depth_max) {
    limits.depth_max = *options.depth_max;
  } else if (context < limits.depth_max + limits.chunk_max) {
    limits.chunk_max = std::max<std::size_t>(std::min(kChunkMax, context / 2), 1);
    limits.depth_max = std::max<std::size_t>(context - limits.chunk_max, 1);
  }
  return limits;
}

struct Chunk {
  std::size_t context = 0;
  std::size_t num_tokens = 0;
};

// Runs a step of any chunks: each sequence has its own part of the cache, whatever lies in it.
class StepTimer {
 public:
  StepTimer(ModelSession& session, std::size_t tokens_per_sequence)
      : session_(&session),
        stride_((tokens_per_sequence + session.cache().spec().block_tokens - 1) /
                session.cache().spec().block_tokens),
        blocks_((kSequencesMax + 1) * stride_) {
    std::iota(blocks_.begin(), blocks_.end(), 0u);
  }

  double seconds_of(const std::vector<Chunk>& chunks, Random& random) {
    chunk_begin_.assign(1, 0);
    for (auto* list : {&context_, &ids_, &positions_, &rows_}) list->clear();
    for (const Chunk& chunk : chunks) {
      context_.push_back(static_cast<std::uint32_t>(chunk.context));
      for (std::size_t i = 0; i < chunk.num_tokens; ++i) {
        ids_.push_back(static_cast<std::uint32_t>(random.below(session_->spec().vocabulary)));
        positions_.push_back(static_cast<std::uint32_t>(chunk.context + i));
      }
      rows_.push_back(static_cast<std::uint32_t>(ids_.size() - 1));
      chunk_begin_.push_back(static_cast<std::uint32_t>(ids_.size()));
    }
    const ForwardBatch batch{
        .token_ids = ids_,
        .positions = positions_,
        .attention = {.chunk_begin = chunk_begin_,
                      .context_tokens = context_,
                      .block_table = std::span(blocks_).first(chunks.size() * stride_),
                      .block_table_stride = stride_},
        .logit_rows = rows_,
    };
    const SystemClock clock;
    const TimePoint begin = clock.now();
    run_forward(session_->decoder(), session_->context(), batch, session_->cache().view());
    return seconds(clock.now() - begin);
  }

 private:
  ModelSession* session_;
  std::size_t stride_;
  std::vector<std::uint32_t> blocks_, chunk_begin_, context_, ids_, positions_, rows_;
};

// Some sequences that decode, a prompt's chunk, or both, as a scheduler's steps have them.
std::vector<Chunk> draw_chunks(const ShapeLimits& limits, Random& random) {
  std::vector<Chunk> chunks;
  const std::size_t num_decodes = random.chance(0.25) ? 0 : random.between(1, kSequencesMax);
  for (std::size_t i = 0; i < num_decodes; ++i) {
    chunks.push_back({random.below(limits.depth_max), 1});
  }
  if (num_decodes == 0 || random.chance(0.5)) {
    chunks.push_back({random.chance(0.5) ? 0 : random.below(limits.depth_max),
                      random.between(1, limits.chunk_max)});
  }
  return chunks;
}

// The least of a few runs: what others did on the machine meanwhile only adds.
CostSample time_shape(StepTimer& timer, const ShapeLimits& limits, std::size_t num_repeats,
                      Random& random) {
  const std::vector<Chunk> chunks = draw_chunks(limits, random);
  CostSample sample;
  for (const Chunk& chunk : chunks) sample.shape.add_chunk(chunk.context, chunk.num_tokens);
  for (std::size_t i = 0; i < num_repeats; ++i) {
    const double taken = timer.seconds_of(chunks, random);
    sample.seconds = i == 0 ? taken : std::min(sample.seconds, taken);
  }
  sample.seconds = std::max(sample.seconds, 1e-9);
  return sample;
}

double at_part(const std::vector<double>& rising, double part) {
  const auto last = static_cast<double>(rising.size() - 1);
  return rising[static_cast<std::size_t>(part * last)];
}

Status report_fit(const CostModelOptions& options, const StepCost& cost,
                  const std::vector<double>& errors) {
  OrderedJson object = step_cost_json(cost);
  object["commit"] = commit_text();
  object["error_median"] = at_part(errors, 0.5);
  object["error_p95"] = at_part(errors, 0.95);
  if (!options.out_path.empty()) TRY(write_file(options.out_path, object.dump(1) + "\n"));
  if (options.as_json) {
    std::printf("%s\n", object.dump().c_str());
    return Ok{};
  }
  const LinearCost& fit = cost.roofs.front().cost;
  std::printf(
      "step %.3g ms + tokens x %.3g us + sequences x %.3g us + cache tokens x %.3g ns + "
      "attended pairs x %.3g ns\n",
      fit.per_step * 1e3, fit.per_token * 1e6, fit.per_sequence * 1e6, fit.per_kv_token * 1e9,
      fit.per_attended * 1e9);
  std::printf("on %zu shapes that the fit has not seen: error %.1f %% median, %.1f %% p95\n",
              errors.size(), 100 * at_part(errors, 0.5), 100 * at_part(errors, 0.95));
  return Ok{};
}

Status bench_cost_model(CostModelOptions options) {
  const Checkpoint checkpoint = TRY(open_model(options.model));
  const ModelSpec model = TRY(read_spec(checkpoint));
  const ShapeLimits limits = shape_limits(options, trained_context(model));
  const std::size_t tokens_per_sequence = limits.depth_max + limits.chunk_max;
  options.model.context = tokens_per_sequence;
  SessionDemand demand;
  demand.num_sequences = kSequencesMax + 1;
  demand.limits = {.tokens_max = kChunkMax + kSequencesMax, .logit_rows_max = kSequencesMax + 1};
  const auto session = TRY(ModelSession::open(checkpoint, options.model, demand));
  StepTimer timer(*session, tokens_per_sequence);
  Random random(options.seed);
  time_shape(timer, limits, options.num_repeats, random);  // Warm-up: page faults and caches.
  std::vector<CostSample> seen;
  std::vector<CostSample> unseen;
  for (std::size_t i = 0; i < options.num_shapes; ++i) {
    (i % 3 == 2 ? unseen : seen).push_back(time_shape(timer, limits, options.num_repeats, random));
  }
  StepCost cost;
  cost.name = options.model.model;
  const KvCacheSpec& spec = session->cache().spec();
  cost.kv_bytes_per_token = MUST(kv_bytes_per_token(spec));  // the cache exists
  cost.roofs.push_back({"fit", fit_cost(seen)});
  return report_fit(options, cost, relative_errors(cost.roofs.front().cost, unseen));
}

}  // namespace

void add_bench_cost_model_command(CLI::App& bench, Action& action) {
  CLI::App* command = bench.add_subcommand(
      "cost-model", "Time steps of many shapes and fit a cost model for millrace simulate");
  auto options = std::make_shared<CostModelOptions>();
  command->add_option("path", options->model.model, "The model; the same as --model")
      ->type_name("PATH");
  add_model_options(*command, options->model);
  command->add_option("--shapes", options->num_shapes, "How many; a third tests the fit")
      ->check(CLI::Range(6, 10'000))
      ->capture_default_str();
  command->add_option("--repeats", options->num_repeats, "Runs of each shape; the least counts")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  command
      ->add_option(
          "--depth", options->depth_max,
          "Most tokens in the cache before a step (default: 1024, less for a short context)")
      ->check(CLI::Range(1, 1 << 20));
  command->add_option("--seed", options->seed, "Of the shapes")->capture_default_str();
  command->add_option("--out", options->out_path, "Write the cost model")->type_name("FILE");
  command->add_flag("--json", options->as_json, "One JSON object");
  command->callback(
      [options, &action] { action = [options] { return bench_cost_model(*options); }; });
}

}  // namespace millrace
