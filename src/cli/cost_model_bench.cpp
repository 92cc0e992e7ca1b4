// Makes steps of given shapes, as a scheduler would plan them, and times them.
#include "cli/cost_model_bench.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/check.h"
#include "base/random.h"
#include "engine/decoder_runner.h"
#include "memory/block_pool.h"
#include "memory/prefix_index.h"
#include "simulate/cost_fit.h"

namespace millrace {
namespace {

struct Chunk {
  std::size_t context = 0;
  std::size_t num_tokens = 0;
  bool samples = true;
};

SchedulerOptions runner_options(const ModelSession& session, const StepLimits& limits) {
  SchedulerOptions options;
  options.num_sequences_max = limits.num_sequences_max + 1;
  options.step_tokens_max = limits.chunk_max + limits.num_sequences_max;
  options.chunk_tokens_max = limits.chunk_max;
  options.block_tokens = session.cache().spec().block_tokens;
  return options;
}

// Runs a step of any chunks: each sequence has blocks of its own, whatever lies in them.
class StepTimer {
 public:
  static Result<std::unique_ptr<StepTimer>> create(ModelSession& session,
                                                   const StepLimits& limits) {
    std::unique_ptr<StepTimer> timer(new StepTimer(session, limits));
    timer->runner_ = TRY(DecoderRunner::create(session.decoder(), session.context(),
                                               session.cache(), timer->options_));
    return timer;
  }

  // The least of a few runs.
  Result<CostSample> time(const std::vector<Chunk>& chunks, std::size_t num_repeats,
                          Random& random) {
    make_plan(chunks, random);
    CostSample sample{.shape = plan_.shape};
    Status status = Ok{};
    for (std::size_t i = 0; i < num_repeats && status.ok(); ++i) {
      result_.reset(plan_.chunks.size());
      const TimePoint begin = clock_.now();
      status = runner_->run(plan_, result_);
      const double taken = seconds(clock_.now() - begin);
      sample.seconds = i == 0 ? taken : std::min(sample.seconds, taken);
    }
    for (const auto& sequence : sequences_) index_.release_all(sequence->blocks);
    if (!status.ok()) return status.error();
    sample.seconds = std::max(sample.seconds, 1e-9);
    return sample;
  }

 private:
  StepTimer(ModelSession& session, const StepLimits& limits)
      : options_(runner_options(session, limits)),
        vocabulary_(session.spec().vocabulary),
        pool_(session.cache().num_blocks()),
        index_(pool_, options_.block_tokens),
        result_(options_.num_sequences_max) {}

  void make_plan(const std::vector<Chunk>& chunks, Random& random) {
    plan_.clear();
    sequences_.clear();
    for (const Chunk& chunk : chunks) {
      Request request;
      request.max_tokens = 1;
      request.sampling.temperature = 0;
      request.sampling.seed = 1;
      // One more where the chunk does not reach the end.
      const std::size_t num_prompt = chunk.context + chunk.num_tokens + (chunk.samples ? 0 : 1);
      for (std::size_t i = 0; i < num_prompt; ++i) {
        request.prompt.push_back(static_cast<TokenId>(random.below(vocabulary_)));
      }
      auto sequence =
          std::make_unique<Sequence>(std::move(request), options_.block_tokens, TimePoint{});
      sequence->num_computed = chunk.context;
      sequence->id = SequenceId{static_cast<std::uint32_t>(sequences_.size())};
      CHECK(index_.try_extend(sequence->blocks,
                              blocks_for_tokens(sequence->num_tokens(), options_.block_tokens)));
      plan_.chunks.push_back({.sequence = sequence.get(),
                              .num_computed = chunk.context,
                              .num_tokens = chunk.num_tokens,
                              .samples = chunk.samples});
      const std::size_t num_samples = chunk.samples ? 1 : 0;
      plan_.shape.add_chunk(chunk.context, chunk.num_tokens, num_samples);
      plan_.num_tokens += chunk.num_tokens;
      plan_.num_samples += num_samples;
      sequences_.push_back(std::move(sequence));
    }
  }

  const SystemClock clock_;
  const SchedulerOptions options_;
  const std::size_t vocabulary_;
  BlockPool pool_;
  PrefixIndex index_;
  std::unique_ptr<DecoderRunner> runner_;
  std::vector<std::unique_ptr<Sequence>> sequences_;
  StepPlan plan_;
  StepResult result_;
};

// Some sequences that decode, a prompt's chunk, or both, as a scheduler's steps have them.
std::vector<Chunk> draw_chunks(const StepLimits& limits, Random& random) {
  std::vector<Chunk> chunks;
  const std::size_t num_decodes =
      random.chance(0.25) ? 0 : random.between(1, limits.num_sequences_max);
  for (std::size_t i = 0; i < num_decodes; ++i) {
    chunks.push_back({random.below(limits.depth_max), 1});
  }
  if (num_decodes == 0 || random.chance(0.5)) {
    chunks.push_back({random.chance(0.5) ? 0 : random.below(limits.depth_max),
                      random.between(1, limits.chunk_max), random.chance(0.5)});
  }
  return chunks;
}

}  // namespace

SessionDemand step_demand(const StepLimits& limits) {
  SessionDemand demand;
  demand.num_sequences = limits.num_sequences_max + 1;
  demand.limits = {.tokens_max = limits.chunk_max + limits.num_sequences_max,
                   .logit_rows_max = limits.num_sequences_max + 1};
  return demand;
}

Result<MeasuredCost> measure_step_cost(ModelSession& session, const StepLimits& limits,
                                       const StepMeasurement& measurement) {
  constexpr std::size_t kShapesMin = 6;
  const auto timer = TRY(StepTimer::create(session, limits));
  const SystemClock clock;
  Random random(measurement.seed);
  // Warm-up: page faults and caches.
  TRY(timer->time(draw_chunks(limits, random), measurement.num_repeats, random));
  const TimePoint begin = clock.now();
  std::vector<CostSample> seen;
  std::vector<CostSample> unseen;
  for (std::size_t i = 0; i < measurement.num_shapes; ++i) {
    const bool is_over = measurement.time_max && clock.now() - begin > *measurement.time_max;
    if (is_over && i >= kShapesMin) break;
    const std::vector<Chunk> chunks = draw_chunks(limits, random);
    (i % 3 == 2 ? unseen : seen)
        .push_back(TRY(timer->time(chunks, measurement.num_repeats, random)));
  }
  MeasuredCost measured{.fit = fit_cost(seen), .errors = {}};
  measured.errors = relative_errors(measured.fit, unseen);
  return measured;
}

double at_part(const std::vector<double>& rising, double part) {
  CHECK(!rising.empty());
  const auto last = static_cast<double>(rising.size() - 1);
  return rising[static_cast<std::size_t>(part * last)];
}

}  // namespace millrace
