// A checkpoint loaded for a test, with a cache and a decoder, and the logits of whole prompts from
// it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/thread_team.h"
#include "kernels/cpu/kernels.h"
#include "memory/kv_cache.h"
#include "model/decoder.h"
#include "model/loaded_model.h"
#include "model/read_spec.h"

namespace millrace {

struct TestModelOptions {
  const CpuKernels* kernels = nullptr;  // the best row when null
  std::size_t num_threads = 1;
  DType kv_dtype = DType::kF32;
  std::uint32_t block_tokens = 16;
  std::uint32_t num_blocks = 64;
  std::size_t tokens_max = 256;
  std::size_t adapter_rank_max = 0;
  std::optional<WeightFormat> format = std::nullopt;
  // The context that the model is configured for; absent: its own.
  std::optional<std::size_t> context = std::nullopt;
};

class TestModel {
 public:
  static Result<std::unique_ptr<TestModel>> load(const std::string& path,
                                                 const TestModelOptions& options);

  const ModelSpec& spec() const { return model_->spec(); }
  Decoder& decoder() { return *decoder_; }
  KernelContext& context() { return context_; }
  KvView cache() const { return cache_->view(); }
  const KvCache& kv_cache() const { return *cache_; }

  // Logits [T, V] of every position of one prompt, run in chunks of `chunk_tokens` in blocks from
  // `first_block`, with an adapter or without.
  std::vector<float> logits(std::span<const std::uint32_t> ids, std::size_t chunk_tokens,
                            std::uint32_t first_block = 0, const LoraAdapter* adapter = nullptr);

 private:
  explicit TestModel(const TestModelOptions& options);

  TestModelOptions options_;
  ThreadTeam team_;
  KernelContext context_;
  std::unique_ptr<LoadedModel> model_;
  std::optional<KvCache> cache_;
  Buffer workspace_;
  std::optional<Decoder> decoder_;
};

}  // namespace millrace
