// TestModel: the shortest way from a path to logits.
#include "support/test_model.h"

#include <algorithm>
#include <numeric>

namespace millrace {

TestModel::TestModel(const TestModelOptions& options)
    : options_(options),
      team_(options.num_threads),
      context_(options.kernels != nullptr ? *options.kernels : *runnable_cpu_kernels().front(),
               team_) {}

Result<std::unique_ptr<TestModel>> TestModel::load(const std::string& path,
                                                   const TestModelOptions& options) {
  std::unique_ptr<TestModel> test(new TestModel(options));
  const Checkpoint checkpoint = TRY(open_checkpoint(path));
  ModelSpec spec = TRY(read_spec(checkpoint));
  spec.context_max = options.context.value_or(spec.context_max);
  LoadOptions load_options;
  load_options.weights.format = options.format;
  test->model_ = TRY(LoadedModel::load(checkpoint, std::move(spec), load_options, test->context_,
                                       [](std::uint64_t, std::uint64_t) {}));
  const ModelSpec& loaded = test->model_->spec();
  test->cache_ = TRY(KvCache::create(kv_cache_spec(loaded, options.kv_dtype, options.block_tokens),
                                     options.num_blocks));
  const DecoderLimits limits{.tokens_max = options.tokens_max,
                             .logit_rows_max = options.tokens_max,
                             .adapter_rank_max = options.adapter_rank_max};
  test->workspace_ = TRY(Buffer::allocate(workspace_bytes(TRY(plan_workspace(loaded, limits)))));
  test->decoder_ =
      TRY(Decoder::create(loaded, test->model_->weights(), limits, test->workspace_.bytes()));
  return test;
}

std::vector<float> TestModel::logits(std::span<const std::uint32_t> ids, std::size_t chunk_tokens,
                                     std::uint32_t first_block, const LoraAdapter* adapter) {
  std::vector<std::uint32_t> blocks(ids.size() / options_.block_tokens + 1);
  std::iota(blocks.begin(), blocks.end(), first_block);
  std::vector<float> all;
  for (std::size_t begin = 0; begin < ids.size(); begin += chunk_tokens) {
    const std::size_t count = std::min(chunk_tokens, ids.size() - begin);
    std::vector<std::uint32_t> positions(count);
    std::iota(positions.begin(), positions.end(), static_cast<std::uint32_t>(begin));
    std::vector<std::uint32_t> rows(count);
    std::iota(rows.begin(), rows.end(), 0u);
    const std::vector<std::uint32_t> chunk_begin = {0, static_cast<std::uint32_t>(count)};
    const std::vector<std::uint32_t> context_tokens = {static_cast<std::uint32_t>(begin)};
    LoraSegment segment{.pairs = {}, .row_begin = 0, .row_end = count};
    if (adapter != nullptr) segment.pairs = adapter->pairs();
    const ForwardBatch batch{
        .token_ids = ids.subspan(begin, count),
        .positions = positions,
        .attention = {.chunk_begin = chunk_begin,
                      .context_tokens = context_tokens,
                      .block_table = blocks,
                      .block_table_stride = blocks.size()},
        .logit_rows = rows,
        .state_rows = {},
        .adapters = std::span(&segment, adapter == nullptr ? 0 : 1),
    };
    const ForwardOutput output = run_forward(*decoder_, context_, batch, cache());
    const float* values = output.logits.row<float>(0);
    all.insert(all.end(), values, values + count * spec().vocabulary);
  }
  return all;
}

}  // namespace millrace
