// Windows, chunks, and the sum of surprises.
#include "evaluate/perplexity.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "memory/block_table.h"

namespace millrace {
namespace {

// Sums of the surprises, for mean and spread.
struct Moments {
  std::size_t count = 0;
  double sum = 0.0;
  double sum_squares = 0.0;

  void add(double value) {
    ++count;
    sum += value;
    sum_squares += value * value;
  }
};

// Runs one window chunk by chunk; buffers are kept between windows.
class WindowRunner {
 public:
  WindowRunner(Decoder& decoder, KernelContext& context, const KvCache& cache)
      : decoder_(&decoder),
        context_(&context),
        cache_(&cache),
        chunk_max_(std::min(decoder.limits().tokens_max, decoder.limits().logit_rows_max)),
        blocks_(cache.num_blocks()) {
    std::iota(blocks_.begin(), blocks_.end(), 0u);
  }

  void run(std::span<const std::uint32_t> window, Moments& moments) {
    const ScoredRange scored = scored_positions(window.size());
    for (std::size_t begin = 0; begin < window.size(); begin += chunk_max_) {
      run_chunk(window, begin, std::min(chunk_max_, window.size() - begin), scored, moments);
    }
  }

 private:
  void run_chunk(std::span<const std::uint32_t> window, std::size_t begin, std::size_t count,
                 ScoredRange scored, Moments& moments) {
    positions_.resize(count);
    std::iota(positions_.begin(), positions_.end(), static_cast<std::uint32_t>(begin));
    rows_.clear();
    for (std::size_t i = 0; i < count; ++i) {
      if (begin + i >= scored.first && begin + i < scored.last) {
        rows_.push_back(static_cast<std::uint32_t>(i));
      }
    }
    const std::uint32_t chunk_begin[] = {0, static_cast<std::uint32_t>(count)};
    const std::uint32_t context_tokens[] = {static_cast<std::uint32_t>(begin)};
    const ForwardBatch batch{
        .token_ids = window.subspan(begin, count),
        .positions = positions_,
        .attention = {.chunk_begin = chunk_begin,
                      .context_tokens = context_tokens,
                      .block_table = blocks_,
                      .block_table_stride = blocks_.size()},
        .logit_rows = rows_,
    };
    const ForwardOutput output = run_forward(*decoder_, *context_, batch, cache_->view());
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      const std::span<const float> logits(output.logits.row<float>(i),
                                          output.logits.row_elements());
      moments.add(negative_log_likelihood(logits, window[begin + rows_[i] + 1]));
    }
  }

  Decoder* decoder_;
  KernelContext* context_;
  const KvCache* cache_;
  std::size_t chunk_max_;
  std::vector<std::uint32_t> blocks_;
  std::vector<std::uint32_t> positions_;
  std::vector<std::uint32_t> rows_;
};

Status check_fits(const Decoder& decoder, const KvCache& cache, std::span<const std::uint32_t> ids,
                  std::size_t window) {
  constexpr std::size_t kWindowMin = 4;  // Two scored tokens.
  const std::size_t cache_tokens = std::size_t{cache.num_blocks()} * cache.spec().block_tokens;
  if (window < kWindowMin || window > cache_tokens) {
    return Error{ErrorCode::kInvalidArgument,
                 "a window of " + std::to_string(window) + " tokens is outside " +
                     std::to_string(kWindowMin) + " to " + std::to_string(cache_tokens)};
  }
  if (ids.size() < window) {
    return Error{ErrorCode::kInvalidArgument, "a text of " + std::to_string(ids.size()) +
                                                  " tokens does not fill one window of " +
                                                  std::to_string(window)};
  }
  const auto outside = std::find_if(
      ids.begin(), ids.end(), [&](std::uint32_t id) { return id >= decoder.spec().vocabulary; });
  if (outside == ids.end()) return Ok{};
  return Error{ErrorCode::kInvalidArgument, "token id " + std::to_string(*outside) +
                                                " is outside the model's vocabulary of " +
                                                std::to_string(decoder.spec().vocabulary)};
}

}  // namespace

ScoredRange scored_positions(std::size_t window_tokens) {
  return {window_tokens / 2, window_tokens - 1};
}

double negative_log_likelihood(std::span<const float> logits, std::uint32_t id) {
  CHECK(id < logits.size());
  const double largest = double{*std::max_element(logits.begin(), logits.end())};
  double sum = 0.0;
  for (const float logit : logits) sum += std::exp(double{logit} - largest);
  return std::log(sum) + largest - double{logits[id]};
}

Result<PerplexityReport> measure_perplexity(Decoder& decoder, KernelContext& context,
                                            const KvCache& cache,
                                            std::span<const std::uint32_t> ids,
                                            const PerplexityOptions& options,
                                            FunctionRef<void(std::size_t, std::size_t)> progress) {
  TRY(check_fits(decoder, cache, ids, options.window_tokens));
  PerplexityReport report;
  report.num_windows = ids.size() / options.window_tokens;
  Moments moments;
  WindowRunner runner(decoder, context, cache);
  std::vector<std::uint32_t> window(options.window_tokens);
  for (std::size_t i = 0; i < report.num_windows; ++i) {
    const auto part = ids.subspan(i * options.window_tokens, options.window_tokens);
    std::copy(part.begin(), part.end(), window.begin());
    if (options.bos) window.front() = *options.bos;
    runner.run(window, moments);
    progress(i + 1, report.num_windows);
  }
  const double count = static_cast<double>(moments.count);
  report.num_scored = moments.count;
  report.mean_nll = moments.sum / count;
  const double variance =
      std::max(0.0, moments.sum_squares / count - report.mean_nll * report.mean_nll);
  report.standard_error = std::sqrt(variance / count);
  report.perplexity = std::exp(report.mean_nll);
  return report;
}

}  // namespace millrace
