// Perplexity: how surprised a model is by a text, in fixed windows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/function_ref.h"
#include "base/result.h"
#include "kernels/context.h"
#include "memory/kv_cache.h"
#include "model/decoder.h"

namespace millrace {

// The windowing of llama.cpp's tool, so that figures can be compared: the text is encoded once and
// cut into windows of `window_tokens` that do not overlap, a rest shorter than a window left out.
// Every window runs alone, from an empty cache, with its first id replaced by `bos` where there is
// one. Scored are the tokens that follow positions window/2 … window - 2: each sees at least half a
// window.
struct PerplexityOptions {
  std::size_t window_tokens = 512;
  std::optional<std::uint32_t> bos;
};

struct PerplexityReport {
  std::size_t num_windows = 0;
  std::size_t num_scored = 0;
  double mean_nll = 0.0;        // nats per scored token
  double standard_error = 0.0;  // of mean_nll, tokens taken as independent
  double perplexity = 0.0;      // exp(mean_nll)
};

// Positions [first, last) of a window whose next token is scored.
struct ScoredRange {
  std::size_t first = 0;
  std::size_t last = 0;
};
ScoredRange scored_positions(std::size_t window_tokens);

// -log softmax(logits)[id], in double.
double negative_log_likelihood(std::span<const float> logits, std::uint32_t id);

// Runs every window through the decoder, in chunks of its limits. The cache holds one window at
// least; its blocks are used from the first on. `progress(done, total)` counts windows.
// kInvalidArgument when the ids do not fill one window or the window does not fit.
Result<PerplexityReport> measure_perplexity(Decoder& decoder, KernelContext& context,
                                            const KvCache& cache,
                                            std::span<const std::uint32_t> ids,
                                            const PerplexityOptions& options,
                                            FunctionRef<void(std::size_t, std::size_t)> progress);

}  // namespace millrace
