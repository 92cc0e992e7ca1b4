// What passes between scheduler and runner: the decision for one step, and what came of it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/result.h"
#include "base/token_id.h"
#include "engine/prompt_scores.h"
#include "engine/sampling_params.h"
#include "engine/sequence.h"
#include "engine/step_shape.h"

namespace millrace {

// Tokens [num_computed, num_computed + num_tokens) of a sequence. Its blocks cover them.
struct PlannedChunk {
  const Sequence* sequence = nullptr;  // borrowed until the step is applied
  std::size_t num_computed = 0;
  std::size_t num_tokens = 0;

  bool samples = false;  // it reaches the last token, so the next one is drawn
  // Its last token is not known yet: that chunk of the plan before draws it.
  std::optional<std::size_t> drawn_by = std::nullopt;

  // Tokens of a prompt that is scored whose rows say how likely the next one was.
  std::size_t num_scored() const {
    if (num_computed + 1 >= sequence->num_prompt() || !sequence->scores_prompt()) return 0;
    return std::min(num_tokens, sequence->num_prompt() - 1 - num_computed);
  }
  // A pooled request ends with a vector instead of logits.
  std::size_t num_logit_rows() const {
    return (samples && !sequence->is_pooled ? 1 : 0) + num_scored();
  }
};

// All slots of a block, over all layers.
struct BlockCopy {
  BlockId from;
  BlockId to;
  const Sequence* sequence = nullptr;  // whose block `to` is; it has a chunk in the plan
};

struct StepPlan {
  std::vector<BlockCopy> copies;           // done before the chunks, in this order
  std::vector<PlannedChunk> chunks;        // decodes, then chunks of prompts as they were dealt
  std::vector<const Sequence*> preempted;  // lost their blocks to others; wait again
  StepShape shape;                         // of all chunks
  std::size_t num_tokens = 0;              // sum over chunks
  std::size_t num_samples = 0;             // chunks that draw a token
  // The most that one of its classes allows; absent: as many as there are, see ServiceClass.
  std::optional<std::uint32_t> threads_max;

  void clear() {
    copies.clear();
    chunks.clear();
    preempted.clear();
    shape = {};
    num_tokens = 0;
    num_samples = 0;
    threads_max.reset();
  }
};

enum class SampleOutcome : std::uint8_t {
  kNone,         // the chunk does not reach the sequence's end
  kToken,        // a token was drawn
  kPooled,       // its vector is there
  kBadLogits,    // the model gave a NaN or an infinity, in logits or a pooled vector
  kNoCandidate,  // bias, min_tokens and constraint left no token to draw
  kFailed,       // the step came to nothing for this chunk, see StepResult::failure
};

struct SampledToken {
  SampleOutcome outcome = SampleOutcome::kNone;
  TokenId token = 0;
  float logprob = 0;          // only when the request asks for it
  std::uint32_t num_top = 0;  // alternatives in StepResult::top
};

// One entry per chunk of the plan, in its order.
struct StepResult {
  std::vector<SampledToken> samples;
  std::vector<TokenLogprob> top;  // [chunks, kTopLogprobsMax], likeliest first
  // How long the step ran, as whoever ran it measured; 0 when nobody did.
  Duration elapsed{0};
  std::size_t num_ranks = 1;     // of the team, that it ran on
  std::optional<Error> failure;  // of the chunks that failed

  explicit StepResult(std::size_t num_chunks_max) {
    samples.reserve(num_chunks_max);
    top.reserve(num_chunks_max * kTopLogprobsMax);
  }
  void reset(std::size_t num_chunks) {
    samples.assign(num_chunks, SampledToken{});
    top.resize(num_chunks * kTopLogprobsMax);
    elapsed = Duration{0};
    num_ranks = 1;
    failure.reset();
  }
  std::span<TokenLogprob> top_space(std::size_t chunk) {
    return std::span(top).subspan(chunk * kTopLogprobsMax, kTopLogprobsMax);
  }
  std::span<const TokenLogprob> top_of(std::size_t chunk) const {
    CHECK(samples[chunk].num_top <= kTopLogprobsMax);
    return std::span(top).subspan(chunk * kTopLogprobsMax, samples[chunk].num_top);
  }
};

}  // namespace millrace
