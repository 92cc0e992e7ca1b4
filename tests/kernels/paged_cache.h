// A paged cache of random keys and values with shuffled blocks, and the batch that reads it.
#pragma once

#include <cstdint>
#include <cstring>
#include <numeric>
#include <optional>
#include <vector>

#include "base/checked.h"
#include "base/random.h"
#include "kernel_case.h"
#include "kernels/ops.h"
#include "kernels/ref/ref.h"
#include "tensor/buffer.h"

namespace millrace::kernel_cases {

struct SequenceShape {
  std::uint32_t context = 0;  // Tokens before the chunk.
  std::uint32_t chunk = 1;
};

struct CacheShape {
  DType dtype = DType::kF32;
  std::uint32_t num_kv_heads = 1;
  std::uint32_t head_dim = 8;
  std::uint32_t value_head_dim = 8;
  std::uint32_t block_tokens = 16;
};

// Slots that hold no token are NaN (all bits set; i8: scale NaN), and table entries that no token
// needs name a block that does not exist: a kernel that looks where it should not shows it.
class PagedCache {
 public:
  static constexpr std::uint32_t kNoBlock = 0xFFFFFF;

  PagedCache(const CacheShape& shape, const std::vector<SequenceShape>& sequences) {
    begin_.push_back(0);
    for (const SequenceShape& sequence : sequences) {
      context_.push_back(sequence.context);
      begin_.push_back(begin_.back() + sequence.chunk);
      const auto blocks = static_cast<std::uint32_t>(
          ceil_div(sequence.context + sequence.chunk, shape.block_tokens));
      stride_ = std::max<std::size_t>(stride_, blocks + 1);
      num_blocks_ += blocks;
    }
    give_blocks(shape, sequences);
    cache_ = {.data = nullptr,
              .dtype = shape.dtype,
              .num_kv_heads = shape.num_kv_heads,
              .head_dim = shape.head_dim,
              .value_head_dim = shape.value_head_dim,
              .block_tokens = shape.block_tokens,
              .num_blocks = num_blocks_};
    buffer_ = MUST(Buffer::allocate(cache_.block_bytes() * num_blocks_ + 1));  // Test sizes: fits.
    cache_.data = buffer_.bytes().data();
    clear();
  }

  void clear() { std::memset(buffer_.bytes().data(), 0xFF, buffer_.bytes().size()); }

  // Puts keys and values of positions 0 .. context (+ chunk) of each sequence, drawn from its index
  // and position alone.
  enum class Upto : std::uint8_t { kContext, kChunk };
  void fill(Upto upto) { fill_by(upto, ref::kv_store); }
  // `store` is called with keys, values, batch and cache of each sequence.
  template <class Store>
  void fill_by(Upto upto, const Store& store) {
    for (std::uint32_t b = 0; b < context_.size(); ++b) {
      const std::uint32_t count = context_[b] + (upto == Upto::kChunk ? chunk(b) : 0);
      GuardedRows keys = drawn_rows(b, 0, count, cache_.head_dim, 11);
      GuardedRows values = drawn_rows(b, 0, count, cache_.value_head_dim, 12);
      const std::uint32_t begin[] = {0, count};
      const std::uint32_t none[] = {0};
      AttentionBatch whole = {begin, none, table_of(b), stride_};
      store(heads(keys, cache_.head_dim), heads(values, cache_.value_head_dim), whole, cache_);
    }
  }

  // Rows for positions [first, first + count) of sequence b.
  GuardedRows drawn_rows(std::uint32_t b, std::uint32_t first, std::uint32_t count,
                         std::uint32_t head_dim, std::uint64_t seed) const {
    GuardedRows rows(count, std::size_t{cache_.num_kv_heads} * head_dim);
    for (std::uint32_t i = 0; i < count; ++i) {
      Random random(mix64(seed * 1000 + b) + first + i);
      for (std::size_t d = 0; d < rows.num_cols(); ++d) {
        rows.row(i)[d] = static_cast<float>(random.normal());
      }
    }
    return rows;
  }

  TensorView heads(GuardedRows& rows, std::uint32_t head_dim) const {
    return rows.shaped({rows.num_rows(), cache_.num_kv_heads, head_dim});
  }

  // Forgets the blocks that lie wholly before position `first` of sequence b.
  void drop_before(std::uint32_t b, std::uint32_t first) {
    for (std::uint32_t i = 0; (i + 1) * cache_.block_tokens <= first; ++i) {
      table_[b * stride_ + i] = kNoBlock;
    }
  }

  std::uint32_t chunk(std::uint32_t b) const { return begin_[b + 1] - begin_[b]; }
  std::size_t num_tokens() const { return begin_.back(); }
  std::span<const std::uint32_t> table_of(std::size_t b) const {
    return std::span(table_).subspan(b * stride_, stride_);
  }
  AttentionBatch batch() const { return {begin_, context_, table_, stride_}; }
  const KvLayerView& cache() const { return cache_; }
  std::vector<std::byte> bytes() const { return {buffer_.bytes().begin(), buffer_.bytes().end()}; }

 private:
  void give_blocks(const CacheShape& shape, const std::vector<SequenceShape>& sequences) {
    std::vector<std::uint32_t> order(num_blocks_);
    std::iota(order.begin(), order.end(), 0u);
    Random random(9);
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
    table_.assign(sequences.size() * stride_, kNoBlock);
    std::size_t next = 0;
    for (std::size_t b = 0; b < sequences.size(); ++b) {
      const std::uint64_t tokens = sequences[b].context + sequences[b].chunk;
      for (std::size_t i = 0; i < ceil_div(tokens, shape.block_tokens); ++i) {
        table_[b * stride_ + i] = order[next++];
      }
    }
  }

  std::vector<std::uint32_t> begin_;
  std::vector<std::uint32_t> context_;
  std::vector<std::uint32_t> table_;
  std::size_t stride_ = 1;
  std::uint32_t num_blocks_ = 0;
  KvLayerView cache_;
  Buffer buffer_;
};

}  // namespace millrace::kernel_cases
