// KvCache sizes by hand, layers that do not overlap, and refusals that name the field.
#include "memory/kv_cache.h"

#include <gtest/gtest.h>

#include <vector>

#include "memory/arena.h"
#include "memory/memory_plan.h"

namespace millrace {
namespace {

KvCacheSpec spec_of(DType dtype, std::uint32_t num_layers) {
  KvCacheSpec spec;
  spec.layers.assign(num_layers,
                     {.dtype = dtype, .num_kv_heads = 2, .head_dim = 64, .value_head_dim = 64});
  spec.block_tokens = 16;
  return spec;
}

TEST(KvCache, SizesMatchTheSumByHand) {
  // 3 layers x 2 heads x (64 + 64) x 2 bytes = 1536 bytes per token; 16 tokens per block, no
  // padding.
  EXPECT_EQ(MUST(kv_bytes_per_token(spec_of(DType::kF16, 3))), 1536u);
  EXPECT_EQ(MUST(kv_bytes_per_block(spec_of(DType::kF16, 3))), 16u * 1536u);
  // int8: two f32 scales per token and head; 16 scales are one padded row of 64 bytes.
  EXPECT_EQ(MUST(kv_bytes_per_token(spec_of(DType::kI8, 3))), 3u * 2u * (128u + 8u));
  EXPECT_EQ(MUST(kv_bytes_per_block(spec_of(DType::kI8, 3))), 3u * 2u * (2u * 1024u + 2u * 64u));
}

TEST(KvCache, OddHeadsArePadded) {
  KvCacheSpec spec;
  spec.layers = {{.dtype = DType::kBF16, .num_kv_heads = 3, .head_dim = 5, .value_head_dim = 7}};
  spec.block_tokens = 3;
  EXPECT_EQ(MUST(kv_bytes_per_token(spec)), 3u * 12u * 2u);
  EXPECT_EQ(MUST(kv_bytes_per_block(spec)), 3u * (64u + 64u));
}

TEST(KvCache, EverySlotHasBytesOfItsOwn) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kI8}) {
    KvCache cache = MUST(KvCache::create(spec_of(dtype, 2), 3));
    EXPECT_EQ(cache.num_bytes(), 3 * MUST(kv_bytes_per_block(cache.spec())));
    const KvView view = cache.view();
    ASSERT_EQ(view.layers.size(), 2u);
    std::vector<std::byte*> starts;
    for (const KvLayerView& layer : view.layers) {
      for (std::uint32_t block = 0; block < 3; ++block) {
        for (std::uint32_t head = 0; head < 2; ++head) starts.push_back(layer.head(block, head));
      }
    }
    for (std::size_t i = 1; i < starts.size(); ++i) {
      EXPECT_EQ(starts[i], starts[i - 1] + view.layers[0].head_bytes());
    }
    *(starts.back() + view.layers[0].head_bytes() - 1) = std::byte{1};  // the last byte is ours
  }
}

TEST(KvCache, RefusesNumbersOutsideTheirLimits) {
  KvCacheSpec spec = spec_of(DType::kF16, 2);
  spec.layers[1].head_dim = 0;
  EXPECT_EQ(KvCache::create(spec, 1).error().message,
            "KV cache: layer 1 head_dim is 0, expected 1 to 65536");
  spec = spec_of(DType::kF64, 1);
  EXPECT_EQ(KvCache::create(spec, 1).error().message,
            "KV cache: layer 0 dtype is f64, expected f32, f16, bf16 or i8");
  EXPECT_FALSE(KvCache::create(spec_of(DType::kF16, 0), 1).ok());
  EXPECT_FALSE(KvCache::create(spec_of(DType::kF16, 1), 0).ok());
}

TEST(KvCache, LargestNumbersDoNotWrap) {
  KvCacheSpec spec;
  spec.layers.assign(
      4096,
      {.dtype = DType::kF32, .num_kv_heads = 65536, .head_dim = 65536, .value_head_dim = 65536});
  spec.block_tokens = 1024;
  // 2 x 4096 layers x 65536 heads x 65536 dims x 4 bytes x 1024 tokens = 2^(1+12+16+16+2+10).
  EXPECT_EQ(MUST(kv_bytes_per_block(spec)), std::uint64_t{1} << 57);
  EXPECT_EQ(KvCache::create(spec, UINT32_MAX).error().code, ErrorCode::kTooLarge);
}

TEST(Arena, SlicesFollowEachOtherAligned) {
  ArenaPlan plan;
  const ArenaSlice first = MUST(plan.take("first", 10));
  const ArenaSlice second = MUST(plan.take("second", 100));
  const ArenaSlice third = MUST(plan.take("third", 1, 4096));
  EXPECT_EQ(first.offset, 0u);
  EXPECT_EQ(second.offset, 64u);
  EXPECT_EQ(third.offset, 4096u);
  EXPECT_EQ(plan.num_bytes(), 4097u);
  EXPECT_EQ(plan.terms().size(), 3u);
  EXPECT_EQ(plan.describe(), "first 0.0 MiB, second 0.0 MiB, third 0.0 MiB");

  Arena arena = MUST(Arena::create(plan));
  EXPECT_EQ(arena.bytes(second).size(), 100u);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(arena.bytes(third).data()) % 4096, 0u);
  EXPECT_EQ(arena.array<std::uint32_t>(second).size(), 25u);
  arena.bytes(third)[0] = std::byte{1};
  EXPECT_EQ(arena.bytes(first)[0], std::byte{0});
}

TEST(Arena, RefusesSumsBeyond64Bits) {
  ArenaPlan plan;
  static_cast<void>(MUST(plan.take("small", 1)));
  EXPECT_EQ(plan.take("huge", UINT64_MAX - 1).error().code, ErrorCode::kTooLarge);
  EXPECT_EQ(plan.terms().size(), 1u);
}

TEST(MemoryPlan, FillsTheLimitBetweenItsBounds) {
  MemoryDemand demand{.limit_bytes = 1000,
                      .weight_bytes = 300,
                      .arena_bytes = 100,
                      .process_bytes = 50,
                      .block_bytes = 60,
                      .num_blocks_min = 2,
                      .num_blocks_max = 100};
  const MemoryPlan plan = MUST(plan_memory(demand));
  EXPECT_EQ(plan.num_blocks, 9u);  // (1000 - 450) / 60
  EXPECT_EQ(plan.kv_bytes, 540u);
  EXPECT_EQ(plan.total_bytes, 990u);
  demand.num_blocks_max = 4;
  EXPECT_EQ(MUST(plan_memory(demand)).num_blocks, 4u);
}

TEST(MemoryPlan, RefusesWithBothNumbers) {
  const MemoryDemand demand{.limit_bytes = 500,
                            .weight_bytes = 300,
                            .arena_bytes = 100,
                            .process_bytes = 50,
                            .block_bytes = 60,
                            .num_blocks_min = 1,
                            .num_blocks_max = 100};
  EXPECT_EQ(plan_memory(demand).error().message,
            "the model needs 510 bytes (weights 300, activations 100, program 50, 1 KV blocks of "
            "60) but only 500 bytes may be used");
  MemoryDemand huge = demand;
  huge.weight_bytes = UINT64_MAX;
  EXPECT_EQ(plan_memory(huge).error().code, ErrorCode::kResourceExhausted);
  huge = demand;
  huge.num_blocks_min = huge.num_blocks_max = UINT64_MAX;
  EXPECT_EQ(plan_memory(huge).error().code, ErrorCode::kResourceExhausted);
}

}  // namespace
}  // namespace millrace
