// What a unit of attention keeps while it goes over the cache, and the widening of a tile of it.
// Included once per instruction set.

inline constexpr std::size_t kHeadFloatsMax = kHeadDimMax;  // A multiple of every kLanes.

// Positions [begin, end).
struct PosRange {
  std::size_t begin = 0;
  std::size_t end = 0;
};

// Where the blocks of a kv head lie: what KvLayerView works out anew for every block, which took
// half of the time at depth 4,096.
struct HeadPlaces {
  const std::byte* keys = nullptr;  // Of block 0; the rest are offsets from there.
  std::size_t values = 0;
  std::size_t key_scales = 0;
  std::size_t value_scales = 0;
  std::size_t head_bytes = 0;
  std::size_t block_bytes = 0;

  const std::byte* keys_of(std::uint32_t block) const { return keys + block * block_bytes; }
  const std::byte* values_of(std::uint32_t block) const { return keys_of(block) + values; }
  const float* key_scales_of(std::uint32_t block) const {
    return reinterpret_cast<const float*>(keys_of(block) + key_scales);
  }
  const float* value_scales_of(std::uint32_t block) const {
    return reinterpret_cast<const float*>(keys_of(block) + value_scales);
  }
};

static inline HeadPlaces places_of(const KvLayerView& cache, std::uint32_t kv_head) {
  HeadPlaces places;
  places.head_bytes = cache.head_bytes();
  places.block_bytes = places.head_bytes * cache.num_kv_heads;
  places.keys = cache.data + kv_head * places.head_bytes;
  places.values = cache.key_bytes();
  places.key_scales = places.values + cache.value_bytes();
  places.value_scales = places.key_scales + cache.scale_bytes();
  return places;
}

// The unfinished rows of a unit. Strides of q, out and values are head dims rounded up to whole
// vectors.
struct AttentionScratch {
  alignas(64) float q[kAttentionRowsMax * kHeadFloatsMax];
  alignas(64) float out[kAttentionRowsMax * kHeadFloatsMax];
  alignas(64) float weights[kAttentionRowsMax * kAttentionTile];
  alignas(64) float tile[kAttentionTile * kHeadFloatsMax];  // Keys [D, 64], then values [64, D_v].
  alignas(64) float scales[kAttentionTile];                 // Of the tile's positions; i8 only.
  float highest[kAttentionRowsMax];
  float total[kAttentionRowsMax];
  PosRange visible[kAttentionRowsMax];  // Of the sequence.
  HeadPlaces places;
};

static inline std::size_t padded(std::size_t count) {
  return (count + kLanes - 1) / kLanes * kLanes;
}

static inline PosRange visible_to(const AttentionUnit& unit, std::size_t row) {
  const std::size_t pos = unit.first_pos + row / unit.group;
  const std::size_t end = pos + 1;
  const std::size_t window = unit.options->window.has_value() ? *unit.options->window : end;
  return {.begin = end > window ? end - window : 0, .end = end};
}

// The part of `range` inside the tile that begins at `first`, counted from there.
static inline PosRange within_tile(const PosRange& range, std::size_t first) {
  const std::size_t begin = range.begin > first ? range.begin - first : 0;
  const std::size_t end = range.end > first ? range.end - first : 0;
  return {.begin = begin, .end = end < kAttentionTile ? end : kAttentionTile};
}

template <class Element>
static inline void widen_vector(const std::byte* from, std::size_t count, float* to) {
  const Element* elements = reinterpret_cast<const Element*>(from);
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(to + i, load(elements + i));
  if (i < count) {
    std::array<Element, kLanes> rest{};
    std::memcpy(rest.data(), elements + i, (count - i) * sizeof(Element));
    store(to + i, load(rest.data()));
  }
}

// The keys of one block, [D, block_tokens]: `count` slots from `offset` on go to column `column` of
// the tile. Whole blocks of whole vectors also bring the slots around them, which no row looks at.
template <class Element>
static inline void widen_key_block(const KvLayerView& cache, const std::byte* from,
                                   std::size_t offset, std::size_t count, float* column) {
  const Element* elements = reinterpret_cast<const Element*>(from);
  const std::size_t block_tokens = cache.block_tokens;
  if (offset == 0 && count == block_tokens && block_tokens % kLanes == 0) {
    for (std::size_t d = 0; d < cache.head_dim; ++d) {
      for (std::size_t i = 0; i < block_tokens; i += kLanes) {
        store(column + d * kAttentionTile + i, load(elements + d * block_tokens + i));
      }
    }
    return;
  }
  float wide[kAttentionTile];
  for (std::size_t d = 0; d < cache.head_dim; ++d) {
    widen_vector<Element>(reinterpret_cast<const std::byte*>(elements + d * block_tokens + offset),
                          count, wide);
    std::memcpy(column + d * kAttentionTile, wide, count * sizeof(float));
  }
}

// Calls `visit(block, offset, count, i)` for the blocks that hold positions `range` of the tile at
// `first`: `count` slots from `offset` on are positions i, i + 1, … of the tile.
template <class Visit>
static inline void for_each_block(const AttentionUnit& unit, std::size_t first,
                                  const PosRange& range, const Visit& visit) {
  const std::size_t block_tokens = unit.cache->block_tokens;
  std::size_t count = 0;
  for (std::size_t i = range.begin; i < range.end; i += count) {
    const std::size_t offset = (first + i) % block_tokens;
    count = block_tokens - offset < range.end - i ? block_tokens - offset : range.end - i;
    visit(unit.blocks[(first + i) / block_tokens], offset, count, i);
  }
}

// `range`, widened to whole blocks where they lie in one tile.
static inline PosRange whole_blocks(const AttentionUnit& unit, const PosRange& range) {
  const std::size_t block_tokens = unit.cache->block_tokens;
  if (kAttentionTile % block_tokens != 0) return range;
  return {.begin = range.begin / block_tokens * block_tokens,
          .end = (range.end + block_tokens - 1) / block_tokens * block_tokens};
}

template <class Element>
static inline void widen_keys(const AttentionUnit& unit, std::size_t first, const PosRange& range,
                              AttentionScratch& scratch) {
  const KvLayerView& cache = *unit.cache;
  const auto widen_block = [&](std::uint32_t block, std::size_t offset, std::size_t count,
                               std::size_t i) {
    DCHECK(block < cache.num_blocks);
    widen_key_block<Element>(cache, scratch.places.keys_of(block), offset, count, scratch.tile + i);
    if constexpr (std::is_same_v<Element, std::int8_t>) {
      const float* scales = scratch.places.key_scales_of(block) + offset;
      std::memcpy(scratch.scales + i, scales, count * sizeof(float));
    }
  };
  for_each_block(unit, first, whole_blocks(unit, range), widen_block);
}

template <class Element>
static inline void widen_values(const AttentionUnit& unit, std::size_t first, const PosRange& range,
                                AttentionScratch& scratch) {
  const KvLayerView& cache = *unit.cache;
  const std::size_t num_dims = cache.value_head_dim;
  const std::size_t stride = padded(num_dims);
  const auto widen_block = [&](std::uint32_t block, std::size_t offset, std::size_t count,
                               std::size_t i) {
    DCHECK(block < cache.num_blocks);
    const std::byte* from = scratch.places.values_of(block) + offset * num_dims * sizeof(Element);
    for (std::size_t j = 0; j < count; ++j) {
      widen_vector<Element>(from + j * num_dims * sizeof(Element), num_dims,
                            scratch.tile + (i + j) * stride);
    }
    if constexpr (std::is_same_v<Element, std::int8_t>) {
      const float* scales = scratch.places.value_scales_of(block) + offset;
      std::memcpy(scratch.scales + i, scales, count * sizeof(float));
    }
  };
  for_each_block(unit, first, range, widen_block);
}

enum class KvPart : std::uint8_t { kKeys, kValues };

template <class Element>
static inline void widen_part(const AttentionUnit& unit, KvPart part, std::size_t first,
                              const PosRange& range, AttentionScratch& scratch) {
  if (part == KvPart::kKeys) return widen_keys<Element>(unit, first, range, scratch);
  widen_values<Element>(unit, first, range, scratch);
}

// Fills scratch.tile, and scratch.scales for i8, with positions `range` of the tile at `first`.
static inline void widen(const AttentionUnit& unit, KvPart part, std::size_t first,
                         const PosRange& range, AttentionScratch& scratch) {
  switch (unit.cache->dtype) {
    case DType::kF16:
      return widen_part<Float16>(unit, part, first, range, scratch);
    case DType::kBF16:
      return widen_part<BFloat16>(unit, part, first, range, scratch);
    case DType::kI8:
      return widen_part<std::int8_t>(unit, part, first, range, scratch);
    default:
      return widen_part<float>(unit, part, first, range, scratch);
  }
}
