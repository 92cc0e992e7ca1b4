// Steps of many shapes, and what they cost at least.
#include "measure/step_bench.h"

#include <algorithm>
#include <numeric>

#include "base/clock.h"

namespace millrace {
namespace {

std::uint64_t matrix_bytes(const PackedMatrix& matrix) {
  if (matrix.data == nullptr) return 0;
  return MUST(packed_bytes(matrix.format, matrix.num_rows, matrix.num_cols));  // it is packed
}

std::uint64_t layer_bytes(const LayerWeights& layer, const LayerSpec& spec) {
  const AttentionWeights& attention = layer.attention;
  const FeedForwardWeights& feed_forward = layer.feed_forward;
  std::uint64_t sum = 0;
  for (const PackedMatrix* matrix :
       {&attention.query, &attention.key, &attention.value, &attention.output,
        &attention.query_down, &attention.latent, &attention.shared_key, &feed_forward.gate,
        &feed_forward.up, &feed_forward.down, &feed_forward.router, &feed_forward.shared_gate,
        &feed_forward.shared_up, &feed_forward.shared_down}) {
    sum += matrix_bytes(*matrix);
  }
  for (const auto* heads : {&attention.head_key, &attention.head_value}) {
    for (const PackedMatrix& matrix : *heads) sum += matrix_bytes(matrix);
  }
  if (spec.feed_forward.kind != FeedForwardKind::kExperts) return sum;
  const std::uint64_t one = matrix_bytes(feed_forward.expert_gate.front()) +
                            matrix_bytes(feed_forward.expert_up.front()) +
                            matrix_bytes(feed_forward.expert_down.front());
  return sum + one * spec.feed_forward.num_selected;
}

}  // namespace

StepBench::StepBench(Decoder& decoder, KernelContext& context, const KvCache& cache,
                     std::size_t tokens_max)
    : decoder_(&decoder),
      context_(&context),
      cache_(&cache),
      stride_((tokens_max + cache.spec().block_tokens - 1) / cache.spec().block_tokens),
      blocks_(cache.num_blocks()) {
  std::iota(blocks_.begin(), blocks_.end(), 0u);
}

void StepBench::step(std::size_t num_sequences, std::size_t context_tokens, std::size_t count) {
  CHECK(num_sequences * stride_ <= blocks_.size());
  chunk_begin_.assign(1, 0);
  context_tokens_.assign(num_sequences, static_cast<std::uint32_t>(context_tokens));
  ids_.clear();
  positions_.clear();
  rows_.clear();
  for (std::size_t sequence = 0; sequence < num_sequences; ++sequence) {
    for (std::size_t i = 0; i < count; ++i) {
      ids_.push_back(static_cast<std::uint32_t>(random_.below(decoder_->spec().vocabulary)));
      positions_.push_back(static_cast<std::uint32_t>(context_tokens + i));
    }
    rows_.push_back(static_cast<std::uint32_t>(ids_.size() - 1));
    chunk_begin_.push_back(static_cast<std::uint32_t>(ids_.size()));
  }
  const ForwardBatch batch{
      .token_ids = ids_,
      .positions = positions_,
      .attention = {.chunk_begin = chunk_begin_,
                    .context_tokens = context_tokens_,
                    .block_table = std::span(blocks_).first(num_sequences * stride_),
                    .block_table_stride = stride_},
      .logit_rows = rows_,
  };
  run_forward(*decoder_, *context_, batch, cache_->view());
}

void StepBench::prompt(std::size_t num_sequences, std::size_t begin, std::size_t end) {
  const std::size_t chunk = std::max<std::size_t>(1, decoder_->limits().tokens_max / num_sequences);
  for (; begin < end; begin += chunk) {
    step(num_sequences, begin, std::min(chunk, end - begin));
  }
}

double StepBench::fill(const StepWork& work) {
  const SystemClock clock;
  const TimePoint begin = clock.now();
  prompt(work.num_sequences, 0, work.depth);
  return seconds(clock.now() - begin);
}

double StepBench::run(const StepWork& work) {
  const SystemClock clock;
  const TimePoint begin = clock.now();
  if (work.kind == StepKind::kPrefill) {
    prompt(work.num_sequences, work.depth, work.depth + work.num_tokens);
  } else {
    for (std::size_t i = 0; i < work.num_tokens; ++i) step(work.num_sequences, work.depth + i, 1);
  }
  return seconds(clock.now() - begin);
}

std::uint64_t active_weight_bytes(const LoadedModel& model) {
  std::uint64_t sum = matrix_bytes(model.weights().output);
  for (std::size_t i = 0; i < model.spec().layers.size(); ++i) {
    sum += layer_bytes(model.weights().layers[i], model.spec().layers[i]);
  }
  return sum;
}

std::uint64_t bytes_per_decode_step(const LoadedModel& model, const KvCacheSpec& cache,
                                    const StepWork& work) {
  const std::uint64_t kv = MUST(kv_bytes_per_token(cache));  // the cache exists
  const std::uint64_t mean_context = work.depth + work.num_tokens / 2;
  return active_weight_bytes(model) + work.num_sequences * mean_context * kv;
}

double matrix_operations(const ModelSpec& spec, const StepWork& work) {
  const ParameterCount count = count_parameters(spec);
  const double output = static_cast<double>(spec.vocabulary) * static_cast<double>(spec.hidden);
  const double tables =
      static_cast<double>(count.embedding) + (spec.has_tied_embeddings ? 0 : output);
  const double layers = static_cast<double>(count.active) - tables;
  const double num_tokens = static_cast<double>(work.num_tokens * work.num_sequences);
  const double num_logits =
      work.kind == StepKind::kDecode ? num_tokens : static_cast<double>(work.num_sequences);
  return 2.0 * (layers * num_tokens + output * num_logits);
}

}  // namespace millrace
