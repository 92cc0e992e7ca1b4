// Writing to the cache and attending over it: checks, and the cutting of sequences, heads and
// queries into units.
#include <algorithm>
#include <cstdint>

#include "base/checked.h"
#include "kernels/cpu/kernels.h"
#include "kernels/device_ops.h"
#include "kernels/op_checks.h"
#include "kernels/ops.h"

namespace millrace {
namespace {

void check_cache(const KvLayerView& cache) {
  CHECK(cache.dtype == DType::kF32 || cache.dtype == DType::kF16 || cache.dtype == DType::kBF16 ||
        cache.dtype == DType::kI8);
  CHECK(cache.num_kv_heads > 0);
  CHECK(cache.head_dim > 0);
  CHECK(cache.head_dim <= kHeadDimMax);
  CHECK(cache.value_head_dim > 0);
  CHECK(cache.value_head_dim <= kHeadDimMax);
  CHECK(cache.block_tokens > 0);
}

// O(B), so that the kernels need not look: chunks follow each other and every position up to the
// last of each sequence has a block. Block numbers are checked where they are used.
void check_batch(const AttentionBatch& batch, std::size_t num_tokens, const KvLayerView& cache) {
  const std::size_t num_sequences = batch.num_sequences();
  CHECK(batch.chunk_begin.size() == num_sequences + 1);
  CHECK(batch.chunk_begin.front() == 0);
  CHECK(batch.chunk_begin.back() == num_tokens);
  CHECK(batch.block_table.size() >= num_sequences * batch.block_table_stride);
  for (std::size_t b = 0; b < num_sequences; ++b) {
    CHECK(batch.chunk_begin[b] <= batch.chunk_begin[b + 1]);
    const std::uint64_t end =
        std::uint64_t{batch.context_tokens[b]} + batch.chunk_begin[b + 1] - batch.chunk_begin[b];
    CHECK(ceil_div(end, cache.block_tokens) <= batch.block_table_stride);
  }
}

std::size_t chunk_tokens(const AttentionBatch& batch, std::size_t b) {
  return batch.chunk_begin[b + 1] - batch.chunk_begin[b];
}

std::span<const std::uint32_t> blocks_of(const AttentionBatch& batch, std::size_t b) {
  return batch.block_table.subspan(b * batch.block_table_stride, batch.block_table_stride);
}

}  // namespace

void kv_store(KernelContext& context, ConstTensorView keys, ConstTensorView values,
              const AttentionBatch& batch, const KvLayerView& cache) {
  if (DeviceOps* device = context.device()) return device->kv_store(keys, values, batch, cache);
  check_cache(cache);
  const std::size_t num_tokens = keys.num_rows();
  check_f32_like(keys, {num_tokens, cache.num_kv_heads, cache.head_dim});
  check_f32_like(values, {num_tokens, cache.num_kv_heads, cache.value_head_dim});
  check_batch(batch, num_tokens, cache);
  const WorkRange range = context.share(num_tokens, 1);
  for (std::size_t b = 0; b < batch.num_sequences(); ++b) {
    const std::size_t begin = std::max<std::size_t>(range.begin, batch.chunk_begin[b]);
    const std::size_t end = std::min<std::size_t>(range.end, batch.chunk_begin[b + 1]);
    for (std::size_t t = begin; t < end; ++t) {
      const std::size_t pos = batch.context_tokens[b] + (t - batch.chunk_begin[b]);
      const std::uint32_t block = blocks_of(batch, b)[pos / cache.block_tokens];
      CHECK(block < cache.num_blocks);
      for (std::uint32_t head = 0; head < cache.num_kv_heads; ++head) {
        context.kernels().kv_store({.key = keys.row<float>(t) + head * cache.head_dim,
                                    .value = values.row<float>(t) + head * cache.value_head_dim,
                                    .cache = &cache,
                                    .block = block,
                                    .offset = static_cast<std::uint32_t>(pos % cache.block_tokens),
                                    .kv_head = head});
      }
    }
  }
  context.barrier();
}

namespace {

// The rows (token, query head) of one sequence and kv head, cut into units of at most
// kAttentionRowsMax, and what each costs: its rows times the positions that its last row sees.
struct UnitCutter {
  const AttentionBatch& batch;
  const AttentionOptions& options;
  std::size_t group = 1;

  std::size_t num_rows(std::size_t b) const { return chunk_tokens(batch, b) * group; }
  std::size_t row_end(std::size_t b, std::size_t row) const {
    return std::min(row + kAttentionRowsMax, num_rows(b));
  }
  std::uint64_t cost(std::size_t b, std::size_t row) const {
    const std::size_t end = row_end(b, row);
    const std::uint64_t seen = batch.context_tokens[b] + (end - 1) / group + 1;
    const std::uint64_t in_window =
        options.window ? std::min<std::uint64_t>(seen, *options.window + end / group) : seen;
    return (end - row) * (in_window + kAttentionTile);
  }
  std::uint64_t cost_of_head(std::size_t b) const {
    std::uint64_t total = 0;
    for (std::size_t row = 0; row < num_rows(b); row += kAttentionRowsMax) total += cost(b, row);
    return total;
  }
};

}  // namespace

void attention(KernelContext& context, ConstTensorView q, const AttentionBatch& batch,
               const KvLayerView& cache, const AttentionOptions& options, TensorView y) {
  if (DeviceOps* device = context.device()) return device->attention(q, batch, cache, options, y);
  check_cache(cache);
  check_f32(q, 3);
  CHECK(q.shape[1] % cache.num_kv_heads == 0);
  CHECK(q.shape[2] == cache.head_dim);
  check_f32_like(y, {q.num_rows(), q.shape[1], cache.value_head_dim});
  check_batch(batch, q.num_rows(), cache);
  CHECK(!options.window || *options.window > 0);
  CHECK(!options.softcap || *options.softcap > 0);
  const UnitCutter cutter = {batch, options, q.shape[1] / cache.num_kv_heads};
  std::uint64_t total = 0;
  for (std::size_t b = 0; b < batch.num_sequences(); ++b) {
    total += cutter.cost_of_head(b) * cache.num_kv_heads;
  }
  // Every rank walks over all units and takes those whose middle lies in its part of the cost.
  std::uint64_t done = 0;
  for (std::size_t b = 0; b < batch.num_sequences(); ++b) {
    for (std::uint32_t head = 0; head < cache.num_kv_heads; ++head) {
      for (std::size_t row = 0; row < cutter.num_rows(b); row += kAttentionRowsMax) {
        const std::uint64_t cost = cutter.cost(b, row);
        const std::uint64_t middle = done + cost / 2;
        done += cost;
        if (middle * context.num_ranks() / total != context.rank()) continue;
        const std::size_t first_token = batch.chunk_begin[b];
        context.kernels().attention(
            {.q = q.row<float>(first_token) + head * cutter.group * cache.head_dim,
             .q_stride = q.row_stride,
             .y = y.row<float>(first_token) + head * cutter.group * cache.value_head_dim,
             .y_stride = y.row_stride,
             .group = cutter.group,
             .row_begin = row,
             .row_end = cutter.row_end(b, row),
             .first_pos = batch.context_tokens[b],
             .blocks = blocks_of(batch, b),
             .cache = &cache,
             .kv_head = head,
             .sinks = options.sinks == nullptr ? nullptr : options.sinks + head * cutter.group,
             .options = &options});
      }
    }
  }
  context.barrier();
}

}  // namespace millrace
