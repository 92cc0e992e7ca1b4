// Runs fixed windows of a text through a decoder and hands out the logits of scored positions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/function_ref.h"
#include "base/result.h"
#include "evaluate/perplexity.h"
#include "kernels/context.h"
#include "memory/kv_cache.h"
#include "model/decoder.h"

namespace millrace {

// kInvalidArgument when the ids do not fill one window, hold one that the model does not know, or a
// window does not fit the cache.
Status check_windows(const Decoder& decoder, const KvCache& cache,
                     std::span<const std::uint32_t> ids, std::size_t window_tokens);

// One window at a time, each from an empty cache; buffers are kept between windows. Borrows all.
class WindowRunner {
 public:
  WindowRunner(Decoder& decoder, KernelContext& context, const KvCache& cache);

  // `visit(position, logits)` for every scored position of the window, in order. The logits are
  // gone when it returns.
  using Visit = FunctionRef<void(std::size_t position, std::span<const float> logits)>;
  void run(std::span<const std::uint32_t> window, Visit visit);

 private:
  void run_chunk(std::span<const std::uint32_t> window, std::size_t begin, std::size_t count,
                 Visit visit);

  Decoder* decoder_;
  KernelContext* context_;
  const KvCache* cache_;
  std::size_t chunk_max_;
  std::vector<std::uint32_t> blocks_;
  std::vector<std::uint32_t> positions_;
  std::vector<std::uint32_t> rows_;
};

}  // namespace millrace
