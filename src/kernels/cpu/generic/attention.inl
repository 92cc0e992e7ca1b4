// Attention of a few query rows over one kv head of the paged cache. Included once per instruction
// set.
//
// Positions are taken in tiles of kAttentionTile, counted from position 0 of the sequence, in
// rising order. A tile's keys are widened to f32 in scratch once for all rows of the unit, then its
// values. For one row everything it meets is fixed by its own position: which tiles, which
// positions of each, and the order of every sum. So nothing depends on which rows share a unit.
//
// Online softmax: Milakov & Gimelshein 2018, arXiv:1805.02867, alg. 3, with the running maximum
// taken once per tile.

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

// Sums that registers hold beside what feeds them.
inline constexpr std::size_t kAttentionSums = 2 * kTileRows;

// The rows of a unit that go through a tile together.
struct RowSpan {
  std::size_t begin = 0;
  std::size_t end = 0;
};

// A dot product is two chains in rising d, of the lower and of the upper half of the head, added at
// the end: alone or among other rows, at once or one after the other.
template <std::size_t Rows, std::size_t Vectors>
static inline void add_dots(const float* q, std::size_t q_stride, const float* keys,
                            const PosRange& dims, Floats (&acc)[Rows][Vectors]) {
  for (std::size_t d = dims.begin; d < dims.end; ++d) {
    Floats k[Vectors];
    for (std::size_t v = 0; v < Vectors; ++v) k[v] = load(keys + d * kAttentionTile + v * kLanes);
    for (std::size_t r = 0; r < Rows; ++r) {
      const Floats qs = broadcast(q[r * q_stride + d]);
      for (std::size_t v = 0; v < Vectors; ++v) acc[r][v] = fma(qs, k[v], acc[r][v]);
    }
  }
}

// Few rows: both halves at once, so that enough chains are under way.
template <std::size_t Rows, std::size_t Vectors>
static inline void add_both_halves(const float* q, std::size_t q_stride, const float* keys,
                                   std::size_t head_dim, Floats (&lower)[Rows][Vectors],
                                   Floats (&upper)[Rows][Vectors]) {
  const std::size_t half = head_dim / 2;
  for (std::size_t d = 0; d < half; ++d) {
    const float* low = keys + d * kAttentionTile;
    const float* high = keys + (half + d) * kAttentionTile;
    for (std::size_t r = 0; r < Rows; ++r) {
      const Floats q_low = broadcast(q[r * q_stride + d]);
      const Floats q_high = broadcast(q[r * q_stride + half + d]);
      for (std::size_t v = 0; v < Vectors; ++v) {
        lower[r][v] = fma(q_low, load(low + v * kLanes), lower[r][v]);
        upper[r][v] = fma(q_high, load(high + v * kLanes), upper[r][v]);
      }
    }
  }
  add_dots(q, q_stride, keys, {.begin = 2 * half, .end = head_dim}, upper);
}

// scores [Rows, 64] of Vectors vectors of positions.
template <std::size_t Rows, std::size_t Vectors>
static inline void score_positions(const float* q, std::size_t q_stride, const float* keys,
                                   std::size_t head_dim, float* scores) {
  Floats lower[Rows][Vectors];
  Floats upper[Rows][Vectors];
  for (std::size_t r = 0; r < Rows; ++r) {
    for (std::size_t v = 0; v < Vectors; ++v) lower[r][v] = upper[r][v] = zero();
  }
  if constexpr (2 * Rows * Vectors <= kAttentionSums) {
    add_both_halves(q, q_stride, keys, head_dim, lower, upper);
  } else {
    const std::size_t half = head_dim / 2;
    add_dots(q, q_stride, keys, {.begin = 0, .end = half}, lower);
    for (std::size_t r = 0; r < Rows; ++r) {
      for (std::size_t v = 0; v < Vectors; ++v) {
        store(scores + r * kAttentionTile + v * kLanes, lower[r][v]);
      }
    }
    add_dots(q, q_stride, keys, {.begin = half, .end = head_dim}, upper);
    for (std::size_t r = 0; r < Rows; ++r) {
      for (std::size_t v = 0; v < Vectors; ++v) {
        lower[r][v] = load(scores + r * kAttentionTile + v * kLanes);
      }
    }
  }
  for (std::size_t r = 0; r < Rows; ++r) {
    for (std::size_t v = 0; v < Vectors; ++v) {
      store(scores + r * kAttentionTile + v * kLanes, lower[r][v] + upper[r][v]);
    }
  }
}

// The dot products of some rows with positions `range` of the tile, and with those that fill its
// first and last vectors.
template <std::size_t Rows = kTileRows>
static inline void score_rows(const AttentionUnit& unit, const RowSpan& rows, const PosRange& range,
                              AttentionScratch& scratch) {
  if (rows.end - rows.begin == Rows) {
    constexpr std::size_t kVectorsAtOnce = Rows == 1 ? 4 : 2;
    constexpr std::size_t kStep = kVectorsAtOnce * kLanes;
    const std::size_t head_dim = unit.cache->head_dim;
    const std::size_t stride = padded(head_dim);
    for (std::size_t i = range.begin / kStep * kStep; i < range.end; i += kStep) {
      score_positions<Rows, kVectorsAtOnce>(scratch.q + rows.begin * stride, stride,
                                            scratch.tile + i, head_dim,
                                            scratch.weights + rows.begin * kAttentionTile + i);
    }
    return;
  }
  if constexpr (Rows > 1) score_rows<Rows - 1>(unit, rows, range, scratch);
}

// The scores of one row from its dot products; -infinity where it does not see. Returns the
// highest.
static inline float finish_scores(const AttentionUnit& unit, std::size_t r, const PosRange& range,
                                  AttentionScratch& scratch) {
  float* scores = scratch.weights + r * kAttentionTile;
  const Floats begin = broadcast(static_cast<float>(range.begin));
  const Floats end = broadcast(static_cast<float>(range.end));
  const Floats hidden = broadcast(-HUGE_VALF);
  Floats highest = hidden;
  for (std::size_t i = range.begin / kLanes * kLanes; i < range.end; i += kLanes) {
    Floats s = load(scores + i);
    if (unit.cache->dtype == DType::kI8) s = s * load(scratch.scales + i);
    if (unit.options->softcap.has_value()) {
      const Floats cap = broadcast(*unit.options->softcap);
      s = cap * hyperbolic_tangent(s / cap);
    }
    if (i < range.begin || i + kLanes > range.end) {
      const Floats index = lane_index() + broadcast(static_cast<float>(i));
      s = select(less(index, begin), hidden, select(less(index, end), s, hidden));
    }
    highest = maximum(highest, s);
    store(scores + i, s);
  }
  return largest(highest);
}

// Turns the scores of one row into weights e^(s - highest) and brings what was summed before to the
// new maximum.
static inline void soften_row(std::size_t r, const PosRange& range, float tile_highest,
                              std::size_t out_stride, AttentionScratch& scratch) {
  float* weights = scratch.weights + r * kAttentionTile;
  const float before = scratch.highest[r];
  const float highest = before > tile_highest ? before : tile_highest;
  const Floats highests = broadcast(highest);
  Floats total = zero();
  for (std::size_t i = range.begin / kLanes * kLanes; i < range.end; i += kLanes) {
    const Floats w = exponential(load(weights + i) - highests);
    total = total + w;
    store(weights + i, w);
  }
  if (before == highest) {  // As mostly: e^0 is exactly 1.
    scratch.total[r] = scratch.total[r] + sum(total);
    return;
  }
  float factor[kLanes];
  store(factor, exponential(broadcast(before - highest)));
  scratch.highest[r] = highest;
  scratch.total[r] = scratch.total[r] * factor[0] + sum(total);
  if (factor[0] != 1.0f) {
    float* out = scratch.out + r * out_stride;
    const Floats factors = load(factor);
    for (std::size_t d = 0; d < out_stride; d += kLanes) store(out + d, load(out + d) * factors);
  }
}

// out[r] += weights[r, i] * values[i] over `range`, in rising order of i: Vectors vectors of the
// head at once.
template <std::size_t Rows, std::size_t Vectors>
static inline void mix_vectors(const float* weights, const float* values, std::size_t stride,
                               const PosRange& range, float* out) {
  Floats acc[Rows][Vectors];
  for (std::size_t r = 0; r < Rows; ++r) {
    for (std::size_t v = 0; v < Vectors; ++v) acc[r][v] = load(out + r * stride + v * kLanes);
  }
  for (std::size_t i = range.begin; i < range.end; ++i) {
    Floats x[Vectors];
    for (std::size_t v = 0; v < Vectors; ++v) x[v] = load(values + i * stride + v * kLanes);
    for (std::size_t r = 0; r < Rows; ++r) {
      const Floats w = broadcast(weights[r * kAttentionTile + i]);
      for (std::size_t v = 0; v < Vectors; ++v) acc[r][v] = fma(w, x[v], acc[r][v]);
    }
  }
  for (std::size_t r = 0; r < Rows; ++r) {
    for (std::size_t v = 0; v < Vectors; ++v) store(out + r * stride + v * kLanes, acc[r][v]);
  }
}

// The head from `d` on: as many vectors at once as registers hold, then fewer.
template <std::size_t Rows, std::size_t Vectors = 8>
static inline void mix_dims(std::size_t d, std::size_t stride, const PosRange& range,
                            std::size_t first_row, AttentionScratch& scratch) {
  if constexpr (Vectors == 1 || Rows * Vectors <= kAttentionSums) {
    for (; d + Vectors * kLanes <= stride; d += Vectors * kLanes) {
      mix_vectors<Rows, Vectors>(scratch.weights + first_row * kAttentionTile, scratch.tile + d,
                                 stride, range, scratch.out + first_row * stride + d);
    }
  }
  if constexpr (Vectors > 1) mix_dims<Rows, Vectors / 2>(d, stride, range, first_row, scratch);
}

// Some rows over what all of them see of the tile.
template <std::size_t Rows = kTileRows>
static inline void mix_rows(const RowSpan& rows, std::size_t stride, const PosRange& range,
                            AttentionScratch& scratch) {
  if (rows.end - rows.begin == Rows) return mix_dims<Rows>(0, stride, range, rows.begin, scratch);
  if constexpr (Rows > 1) mix_rows<Rows - 1>(rows, stride, range, scratch);
}

static inline void begin_rows(const AttentionUnit& unit, AttentionScratch& scratch) {
  const std::size_t head_dim = unit.cache->head_dim;
  const std::size_t stride = padded(head_dim);
  scratch.places = places_of(*unit.cache, unit.kv_head);
  for (std::size_t row = unit.row_begin; row < unit.row_end; ++row) {
    const std::size_t r = row - unit.row_begin;
    const float* q = unit.q + row / unit.group * unit.q_stride + row % unit.group * head_dim;
    for (std::size_t d = 0; d < stride; ++d) {
      scratch.q[r * stride + d] = d < head_dim ? q[d] * unit.options->scale : 0.0f;
    }
    // A sink is a score seen before all others, whose value is zero.
    const float sink = unit.sinks != nullptr ? unit.sinks[row % unit.group] : -HUGE_VALF;
    scratch.highest[r] = sink;
    scratch.visible[r] = visible_to(unit, row);
    scratch.total[r] = sink == -HUGE_VALF ? 0.0f : 1.0f;
  }
  const std::size_t num_out = (unit.row_end - unit.row_begin) * padded(unit.cache->value_head_dim);
  for (std::size_t i = 0; i < num_out; ++i) scratch.out[i] = 0.0f;
}

static inline void end_rows(const AttentionUnit& unit, const AttentionScratch& scratch) {
  const std::size_t head_dim = unit.cache->value_head_dim;
  for (std::size_t row = unit.row_begin; row < unit.row_end; ++row) {
    const std::size_t r = row - unit.row_begin;
    float* y = unit.y + row / unit.group * unit.y_stride + row % unit.group * head_dim;
    const float* out = scratch.out + r * padded(head_dim);
    for (std::size_t d = 0; d < head_dim; ++d) y[d] = out[d] / scratch.total[r];
  }
}

// What one row of the unit sees of the tile at `first`.
static inline PosRange seen_by(const AttentionScratch& scratch, std::size_t r, std::size_t first) {
  return within_tile(scratch.visible[r], first);
}

// `rows` see some of the tile; scores become weights.
static inline void weigh_rows(const AttentionUnit& unit, const RowSpan& rows, std::size_t first,
                              AttentionScratch& scratch) {
  // Later rows neither begin nor end earlier.
  const PosRange seen = {.begin = seen_by(scratch, rows.begin, first).begin,
                         .end = seen_by(scratch, rows.end - 1, first).end};
  score_rows(unit, rows, seen, scratch);
  for (std::size_t r = rows.begin; r < rows.end; ++r) {
    const PosRange range = seen_by(scratch, r, first);
    const float highest = finish_scores(unit, r, range, scratch);
    soften_row(r, range, highest, padded(unit.cache->value_head_dim), scratch);
  }
}

// Each row's own positions before those that all see, then these for all at once, then its own
// after.
static inline void mix_tile_rows(const AttentionUnit& unit, const RowSpan& rows, std::size_t first,
                                 AttentionScratch& scratch) {
  const std::size_t stride = padded(unit.cache->value_head_dim);
  const PosRange last = seen_by(scratch, rows.end - 1, first);
  const std::size_t end = seen_by(scratch, rows.begin, first).end;
  const PosRange shared = {.begin = last.begin < end ? last.begin : end, .end = end};
  for (std::size_t r = rows.begin; r < rows.end; ++r) {
    const PosRange range = seen_by(scratch, r, first);
    if (unit.cache->dtype == DType::kI8) {
      float* weights = scratch.weights + r * kAttentionTile;
      for (std::size_t i = range.begin; i < range.end; ++i) weights[i] *= scratch.scales[i];
    }
    const PosRange before = {.begin = range.begin, .end = shared.begin};
    mix_rows<1>({.begin = r, .end = r + 1}, stride, before, scratch);
  }
  mix_rows(rows, stride, shared, scratch);
  for (std::size_t r = rows.begin; r < rows.end; ++r) {
    const PosRange range = seen_by(scratch, r, first);
    const PosRange after = {.begin = range.begin > shared.end ? range.begin : shared.end,
                            .end = range.end};
    mix_rows<1>({.begin = r, .end = r + 1}, stride, after, scratch);
  }
}

// One tile for all rows that see any of it. `seen` is what the unit's rows see of it together.
static inline void attend_tile(const AttentionUnit& unit, std::size_t first, const PosRange& seen,
                               AttentionScratch& scratch) {
  // Those that see none of it are the first ones (it comes after them) or the last (it lies before
  // their windows).
  RowSpan all = {.begin = 0, .end = unit.row_end - unit.row_begin};
  const auto sees_nothing = [&](std::size_t r) {
    const PosRange range = seen_by(scratch, r, first);
    return range.begin >= range.end;
  };
  while (all.begin < all.end && sees_nothing(all.begin)) ++all.begin;
  while (all.begin < all.end && sees_nothing(all.end - 1)) --all.end;
  const auto for_each_span = [&](const auto& visit) {
    for (std::size_t r = all.begin; r < all.end; r += kTileRows) {
      visit(RowSpan{.begin = r, .end = all.end - r < kTileRows ? all.end : r + kTileRows});
    }
  };
  widen(unit, KvPart::kKeys, first, seen, scratch);
  for_each_span([&](const RowSpan& rows) { weigh_rows(unit, rows, first, scratch); });
  widen(unit, KvPart::kValues, first, seen, scratch);
  for_each_span([&](const RowSpan& rows) { mix_tile_rows(unit, rows, first, scratch); });
}

static void attention(const AttentionUnit& unit) {
  AttentionScratch scratch;
  begin_rows(unit, scratch);
  const PosRange all = {.begin = visible_to(unit, unit.row_begin).begin,
                        .end = visible_to(unit, unit.row_end - 1).end};
  for (std::size_t first = all.begin / kAttentionTile * kAttentionTile; first < all.end;
       first += kAttentionTile) {
    attend_tile(unit, first, within_tile(all, first), scratch);
  }
  end_rows(unit, scratch);
}
