// Windows in chunks of the decoder's limits.
#include "evaluate/window_runner.h"

#include <algorithm>
#include <numeric>
#include <string>

namespace millrace {

Status check_windows(const Decoder& decoder, const KvCache& cache,
                     std::span<const std::uint32_t> ids, std::size_t window_tokens) {
  constexpr std::size_t kWindowMin = 4;  // Two scored tokens.
  const std::size_t cache_tokens = std::size_t{cache.num_blocks()} * cache.spec().block_tokens;
  if (window_tokens < kWindowMin || window_tokens > cache_tokens) {
    return Error{ErrorCode::kInvalidArgument,
                 "a window of " + std::to_string(window_tokens) + " tokens is outside " +
                     std::to_string(kWindowMin) + " to " + std::to_string(cache_tokens)};
  }
  if (ids.size() < window_tokens) {
    return Error{ErrorCode::kInvalidArgument, "a text of " + std::to_string(ids.size()) +
                                                  " tokens does not fill one window of " +
                                                  std::to_string(window_tokens)};
  }
  const auto outside = std::find_if(
      ids.begin(), ids.end(), [&](std::uint32_t id) { return id >= decoder.spec().vocabulary; });
  if (outside == ids.end()) return Ok{};
  return Error{ErrorCode::kInvalidArgument, "token id " + std::to_string(*outside) +
                                                " is outside the model's vocabulary of " +
                                                std::to_string(decoder.spec().vocabulary)};
}

WindowRunner::WindowRunner(Decoder& decoder, KernelContext& context, const KvCache& cache)
    : decoder_(&decoder),
      context_(&context),
      cache_(&cache),
      chunk_max_(std::min(decoder.limits().tokens_max, decoder.limits().logit_rows_max)),
      blocks_(cache.num_blocks()) {
  std::iota(blocks_.begin(), blocks_.end(), 0u);
}

void WindowRunner::run(std::span<const std::uint32_t> window, Visit visit) {
  for (std::size_t begin = 0; begin < window.size(); begin += chunk_max_) {
    run_chunk(window, begin, std::min(chunk_max_, window.size() - begin), visit);
  }
}

void WindowRunner::run_chunk(std::span<const std::uint32_t> window, std::size_t begin,
                             std::size_t count, Visit visit) {
  const ScoredRange scored = scored_positions(window.size());
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
    visit(begin + rows_[i], {output.logits.row<float>(i), output.logits.row_elements()});
  }
}

}  // namespace millrace
