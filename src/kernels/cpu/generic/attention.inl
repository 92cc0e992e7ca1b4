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

// The unfinished rows of a unit. Strides are head dims rounded up to whole vectors; the pad of q
// and of the keys is zero, so that dot products need no tail.
struct AttentionScratch {
  alignas(64) float q[kAttentionRowsMax * kHeadFloatsMax];
  alignas(64) float out[kAttentionRowsMax * kHeadFloatsMax];
  alignas(64) float weights[kAttentionRowsMax * kAttentionTile];
  alignas(64) float tile[kAttentionTile * kHeadFloatsMax];  // Keys, then values.
  alignas(64) float scales[kAttentionTile];                 // Of the tile's positions; i8 only.
  float highest[kAttentionRowsMax];
  float total[kAttentionRowsMax];
};

static inline std::size_t padded(std::size_t count) {
  return (count + kLanes - 1) / kLanes * kLanes;
}

// Positions [begin, end).
struct PosRange {
  std::size_t begin = 0;
  std::size_t end = 0;
};

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

enum class KvPart : std::uint8_t { kKeys, kValues };

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

// Fills scratch.tile, and scratch.scales for i8, with positions `range` of the tile at `first`.
template <class Element>
static inline void widen_tile(const AttentionUnit& unit, KvPart part, std::size_t first,
                              const PosRange& range, AttentionScratch& scratch) {
  const KvLayerView& cache = *unit.cache;
  const std::size_t count = part == KvPart::kKeys ? cache.head_dim : cache.value_head_dim;
  const std::size_t stride = padded(count);
  for (std::size_t i = range.begin; i < range.end; ++i) {
    const std::size_t pos = first + i;
    const std::uint32_t block = unit.blocks[pos / cache.block_tokens];
    const std::size_t offset = pos % cache.block_tokens;
    const std::byte* from =
        part == KvPart::kKeys ? cache.keys(block, unit.kv_head) : cache.values(block, unit.kv_head);
    widen_vector<Element>(from + offset * count * sizeof(Element), count,
                          scratch.tile + i * stride);
    if constexpr (std::is_same_v<Element, std::int8_t>) {
      const float* scales = part == KvPart::kKeys ? cache.key_scales(block, unit.kv_head)
                                                  : cache.value_scales(block, unit.kv_head);
      scratch.scales[i] = scales[offset];
    }
  }
}

static inline void widen(const AttentionUnit& unit, KvPart part, std::size_t first,
                         const PosRange& range, AttentionScratch& scratch) {
  switch (unit.cache->dtype) {
    case DType::kF16:
      return widen_tile<Float16>(unit, part, first, range, scratch);
    case DType::kBF16:
      return widen_tile<BFloat16>(unit, part, first, range, scratch);
    case DType::kI8:
      return widen_tile<std::int8_t>(unit, part, first, range, scratch);
    default:
      return widen_tile<float>(unit, part, first, range, scratch);
  }
}

// kLanes consecutive positions against one row of q: each dot product is kLanes chains, added up in
// a fixed tree.
static inline Floats dot_positions(const float* q, const float* keys, std::size_t stride) {
  Floats parts[kLanes];
  for (std::size_t j = 0; j < kLanes; ++j) parts[j] = zero();
  for (std::size_t d = 0; d < stride; d += kLanes) {
    const Floats qs = load(q + d);
    for (std::size_t j = 0; j < kLanes; ++j) {
      parts[j] = fma(qs, load(keys + j * stride + d), parts[j]);
    }
  }
  return sum_each(parts);
}

// Scores of one row over `range` of the tile, into weights; -infinity where it does not see.
// Returns the highest.
static inline float score_row(const AttentionUnit& unit, std::size_t r, const PosRange& range,
                              AttentionScratch& scratch) {
  const std::size_t stride = padded(unit.cache->head_dim);
  float* scores = scratch.weights + r * kAttentionTile;
  const Floats begin = broadcast(static_cast<float>(range.begin));
  const Floats end = broadcast(static_cast<float>(range.end));
  const Floats hidden = broadcast(-HUGE_VALF);
  Floats highest = hidden;
  for (std::size_t i = range.begin / kLanes * kLanes; i < range.end; i += kLanes) {
    Floats s = dot_positions(scratch.q + r * stride, scratch.tile + i * stride, stride);
    if (unit.cache->dtype == DType::kI8) s = s * load(scratch.scales + i);
    if (unit.options->softcap.has_value()) {
      const Floats cap = broadcast(*unit.options->softcap);
      s = cap * hyperbolic_tangent(s / cap);
    }
    const Floats index = lane_index() + broadcast(static_cast<float>(i));
    s = select(less(index, begin), hidden, select(less(index, end), s, hidden));
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
template <std::size_t Vectors>
static inline void mix_vectors(const float* weights, const float* values, std::size_t stride,
                               const PosRange& range, float* out) {
  Floats acc[Vectors];
  for (std::size_t v = 0; v < Vectors; ++v) acc[v] = load(out + v * kLanes);
  for (std::size_t i = range.begin; i < range.end; ++i) {
    const Floats w = broadcast(weights[i]);
    for (std::size_t v = 0; v < Vectors; ++v) {
      acc[v] = fma(w, load(values + i * stride + v * kLanes), acc[v]);
    }
  }
  for (std::size_t v = 0; v < Vectors; ++v) store(out + v * kLanes, acc[v]);
}

static inline void mix_row(const AttentionUnit& unit, std::size_t r, const PosRange& range,
                           AttentionScratch& scratch) {
  const std::size_t stride = padded(unit.cache->value_head_dim);
  float* weights = scratch.weights + r * kAttentionTile;
  if (unit.cache->dtype == DType::kI8) {
    for (std::size_t i = range.begin; i < range.end; ++i) weights[i] *= scratch.scales[i];
  }
  float* out = scratch.out + r * stride;
  std::size_t d = 0;
  for (; d + 8 * kLanes <= stride; d += 8 * kLanes) {
    mix_vectors<8>(weights, scratch.tile + d, stride, range, out + d);
  }
  for (; d < stride; d += kLanes) mix_vectors<1>(weights, scratch.tile + d, stride, range, out + d);
}

static inline void begin_rows(const AttentionUnit& unit, AttentionScratch& scratch) {
  const std::size_t head_dim = unit.cache->head_dim;
  const std::size_t stride = padded(head_dim);
  for (std::size_t row = unit.row_begin; row < unit.row_end; ++row) {
    const std::size_t r = row - unit.row_begin;
    const float* q = unit.q + row / unit.group * unit.q_stride + row % unit.group * head_dim;
    for (std::size_t d = 0; d < stride; ++d) {
      scratch.q[r * stride + d] = d < head_dim ? q[d] * unit.options->scale : 0.0f;
    }
    // A sink is a score seen before all others, whose value is zero.
    const float sink = unit.sinks != nullptr ? unit.sinks[row % unit.group] : -HUGE_VALF;
    scratch.highest[r] = sink;
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

// One tile for all rows that see any of it. `seen` is what the unit's rows see of it together.
static inline void attend_tile(const AttentionUnit& unit, std::size_t first, const PosRange& seen,
                               AttentionScratch& scratch) {
  widen(unit, KvPart::kKeys, first, seen, scratch);
  for (std::size_t row = unit.row_begin; row < unit.row_end; ++row) {
    const PosRange range = within_tile(visible_to(unit, row), first);
    if (range.begin >= range.end) continue;
    const std::size_t r = row - unit.row_begin;
    const float highest = score_row(unit, r, range, scratch);
    soften_row(r, range, highest, padded(unit.cache->value_head_dim), scratch);
  }
  widen(unit, KvPart::kValues, first, seen, scratch);
  for (std::size_t row = unit.row_begin; row < unit.row_end; ++row) {
    const PosRange range = within_tile(visible_to(unit, row), first);
    if (range.begin < range.end) mix_row(unit, row - unit.row_begin, range, scratch);
  }
}

static void attention(const AttentionUnit& unit) {
  AttentionScratch scratch;
  begin_rows(unit, scratch);
  const std::size_t num_tile_floats = kAttentionTile * padded(unit.cache->head_dim);
  for (std::size_t i = 0; i < num_tile_floats; ++i) scratch.tile[i] = 0.0f;
  for (float& scale : scratch.scales) scale = 0.0f;
  const PosRange all = {.begin = visible_to(unit, unit.row_begin).begin,
                        .end = visible_to(unit, unit.row_end - 1).end};
  for (std::size_t first = all.begin / kAttentionTile * kAttentionTile; first < all.end;
       first += kAttentionTile) {
    attend_tile(unit, first, within_tile(all, first), scratch);
  }
  end_rows(unit, scratch);
}
