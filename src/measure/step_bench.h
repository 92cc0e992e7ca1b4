// Steps of a model over sequences that lie side by side in its cache, timed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "memory/kv_cache.h"
#include "model/decoder.h"
#include "model/loaded_model.h"

namespace millrace {

enum class StepKind : std::uint8_t { kPrefill, kDecode };

// One measurement: `num_tokens` of each sequence after `depth` tokens, as a prompt or one by one.
struct StepWork {
  StepKind kind = StepKind::kDecode;
  std::size_t num_tokens = 0;
  std::size_t depth = 0;
  std::size_t num_sequences = 1;

  std::size_t tokens_per_sequence() const { return depth + num_tokens; }
};

// Runs work on a model whose cache holds `num_sequences_max` sequences of `tokens_max` tokens.
// Random ids; logits of the last token of each sequence in every step. One thread.
class StepBench {
 public:
  StepBench(Decoder& decoder, KernelContext& context, const KvCache& cache, std::size_t tokens_max);

  // Computes the tokens before the work's own. Returns the seconds that it took.
  double fill(const StepWork& work);
  // Seconds of the work itself, after fill().
  double run(const StepWork& work);

 private:
  void step(std::size_t num_sequences, std::size_t context_tokens, std::size_t count);
  // A prompt of each sequence, in steps that the decoder takes.
  void prompt(std::size_t num_sequences, std::size_t begin, std::size_t end);

  Decoder* decoder_;
  KernelContext* context_;
  const KvCache* cache_;
  std::size_t stride_;
  std::vector<std::uint32_t> blocks_, chunk_begin_, context_tokens_, ids_, positions_, rows_;
  Random random_{1};
};

// Packed bytes that one token passes through: of experts only those that it selects, of the
// embedding table one row, unless it is the output matrix too.
std::uint64_t active_weight_bytes(const LoadedModel& model);

// Bytes that the mean step of a decoding work reads: weights, and the cache of its sequences.
std::uint64_t bytes_per_decode_step(const LoadedModel& model, const KvCacheSpec& cache,
                                    const StepWork& work);

// Multiplications and additions of a work in the layers' matrices, and in the output matrix for the
// rows whose logits are wanted; attention's are not counted.
double matrix_operations(const ModelSpec& spec, const StepWork& work);

}  // namespace millrace
