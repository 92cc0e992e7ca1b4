// Attention of a few query rows over one kv head of the paged cache. Included once per instruction
// set.
//
// Positions are taken in tiles of kAttentionTile, counted from position 0 of the sequence, in
// rising order. A tile's keys are widened to f32 in scratch once for all rows of the unit, then its
// values; where the rows are so few that each vector is used once, on its way into the product. For
// one row everything it meets is fixed by its own position: which tiles, which positions of each,
// and the order of every sum. So nothing depends on which rows share a unit.
//
// Online softmax: Milakov & Gimelshein 2018, arXiv:1805.02867, alg. 3, with the running maximum
// taken once per tile.

// The blocks of a tile, as they lie in the cache or widened side by side in scratch: then it is one
// of kAttentionTile tokens. Keys [D, tokens]; values [tokens, stride].
template <class Element>
struct TileBlocks {
  const Element* blocks[kAttentionTile / kLanes] = {};
  std::size_t tokens = kAttentionTile;  // Of a block.
  std::size_t stride = kAttentionTile;  // Between d of keys, or tokens of values.

  const Element* keys_at(std::size_t i) const { return blocks[i / tokens] + i % tokens; }
};

static inline TileBlocks<float> widened_tile(const float* tile, std::size_t stride) {
  TileBlocks<float> blocks;
  blocks.blocks[0] = tile;
  blocks.stride = stride;
  return blocks;
}

// Sums that registers hold beside what feeds them.
inline constexpr std::size_t kAttentionSums = 2 * kTileRows;

// The rows of a unit that go through a tile together.
struct RowSpan {
  std::size_t begin = 0;
  std::size_t end = 0;
};

// Vectors of positions, d after d.
template <class Element, std::size_t Vectors>
struct KeyVectors {
  const Element* at[Vectors];
  std::size_t stride;
};

// A dot product is two chains in rising d, of the lower and of the upper half of the head, added at
// the end: alone or among other rows, at once or one after the other.
template <class Element, std::size_t Rows, std::size_t Vectors>
static inline void add_dots(const float* q, std::size_t q_stride,
                            const KeyVectors<Element, Vectors>& keys, const PosRange& dims,
                            Floats (&acc)[Rows][Vectors]) {
  for (std::size_t d = dims.begin; d < dims.end; ++d) {
    Floats k[Vectors];
    for (std::size_t v = 0; v < Vectors; ++v) k[v] = load(keys.at[v] + d * keys.stride);
    for (std::size_t r = 0; r < Rows; ++r) {
      const Floats qs = broadcast(q[r * q_stride + d]);
      for (std::size_t v = 0; v < Vectors; ++v) acc[r][v] = fma(qs, k[v], acc[r][v]);
    }
  }
}

// Few rows: both halves at once, so that enough chains are under way.
template <class Element, std::size_t Rows, std::size_t Vectors>
static inline void add_both_halves(const float* q, std::size_t q_stride,
                                   const KeyVectors<Element, Vectors>& keys, std::size_t head_dim,
                                   Floats (&lower)[Rows][Vectors], Floats (&upper)[Rows][Vectors]) {
  const std::size_t half = head_dim / 2;
  for (std::size_t d = 0; d < half; ++d) {
    Floats low[Vectors];
    Floats high[Vectors];
    for (std::size_t v = 0; v < Vectors; ++v) {
      low[v] = load(keys.at[v] + d * keys.stride);
      high[v] = load(keys.at[v] + (half + d) * keys.stride);
    }
    for (std::size_t r = 0; r < Rows; ++r) {
      const Floats q_low = broadcast(q[r * q_stride + d]);
      const Floats q_high = broadcast(q[r * q_stride + half + d]);
      for (std::size_t v = 0; v < Vectors; ++v) {
        lower[r][v] = fma(q_low, low[v], lower[r][v]);
        upper[r][v] = fma(q_high, high[v], upper[r][v]);
      }
    }
  }
  add_dots(q, q_stride, keys, {.begin = 2 * half, .end = head_dim}, upper);
}

// scores [Rows, 64] of Vectors vectors of positions.
template <class Element, std::size_t Rows, std::size_t Vectors>
static inline void score_positions(const float* q, std::size_t q_stride,
                                   const KeyVectors<Element, Vectors>& keys, std::size_t head_dim,
                                   float* scores) {
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
template <class Element, std::size_t Rows = kTileRows>
static inline void score_rows(const TileBlocks<Element>& keys, std::size_t head_dim,
                              const RowSpan& rows, const PosRange& range,
                              AttentionScratch& scratch) {
  if (rows.end - rows.begin == Rows) {
    constexpr std::size_t kVectorsAtOnce = Rows == 1 ? 4 : 2;
    constexpr std::size_t kStep = kVectorsAtOnce * kLanes;
    const std::size_t stride = padded(head_dim);
    for (std::size_t i = range.begin / kStep * kStep; i < range.end; i += kStep) {
      KeyVectors<Element, kVectorsAtOnce> vectors;
      vectors.stride = keys.stride;
      for (std::size_t v = 0; v < kVectorsAtOnce; ++v) vectors.at[v] = keys.keys_at(i + v * kLanes);
      score_positions<Element, Rows>(scratch.q + rows.begin * stride, stride, vectors, head_dim,
                                     scratch.weights + rows.begin * kAttentionTile + i);
    }
    return;
  }
  if constexpr (Rows > 1) score_rows<Element, Rows - 1>(keys, head_dim, rows, range, scratch);
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
template <class Element, std::size_t Rows, std::size_t Vectors>
static inline void mix_vectors(const float* weights, const TileBlocks<Element>& values,
                               std::size_t d, const PosRange& range, float* out) {
  const std::size_t stride = values.stride;
  Floats acc[Rows][Vectors];
  for (std::size_t r = 0; r < Rows; ++r) {
    for (std::size_t v = 0; v < Vectors; ++v) acc[r][v] = load(out + r * stride + v * kLanes);
  }
  for (std::size_t i = range.begin; i < range.end;) {
    const std::size_t block = i / values.tokens;
    const std::size_t block_end = (block + 1) * values.tokens;
    const std::size_t end = block_end < range.end ? block_end : range.end;
    const Element* from = values.blocks[block] + i % values.tokens * stride + d;
    for (; i < end; ++i, from += stride) {
      Floats x[Vectors];
      for (std::size_t v = 0; v < Vectors; ++v) x[v] = load(from + v * kLanes);
      for (std::size_t r = 0; r < Rows; ++r) {
        const Floats w = broadcast(weights[r * kAttentionTile + i]);
        for (std::size_t v = 0; v < Vectors; ++v) acc[r][v] = fma(w, x[v], acc[r][v]);
      }
    }
  }
  for (std::size_t r = 0; r < Rows; ++r) {
    for (std::size_t v = 0; v < Vectors; ++v) store(out + r * stride + v * kLanes, acc[r][v]);
  }
}

// The head from `d` on: as many vectors at once as registers hold, then fewer.
template <class Element, std::size_t Rows, std::size_t Vectors = 8>
static inline void mix_dims(std::size_t d, const TileBlocks<Element>& values, const PosRange& range,
                            std::size_t first_row, AttentionScratch& scratch) {
  if constexpr (Vectors == 1 || Rows * Vectors <= kAttentionSums) {
    for (; d + Vectors * kLanes <= values.stride; d += Vectors * kLanes) {
      mix_vectors<Element, Rows, Vectors>(scratch.weights + first_row * kAttentionTile, values, d,
                                          range, scratch.out + first_row * values.stride + d);
    }
  }
  if constexpr (Vectors > 1) {
    mix_dims<Element, Rows, Vectors / 2>(d, values, range, first_row, scratch);
  }
}

// Some rows over what all of them see of the tile.
template <class Element, std::size_t Rows = kTileRows>
static inline void mix_rows(const RowSpan& rows, const TileBlocks<Element>& values,
                            const PosRange& range, AttentionScratch& scratch) {
  if (rows.end - rows.begin == Rows) {
    return mix_dims<Element, Rows>(0, values, range, rows.begin, scratch);
  }
  if constexpr (Rows > 1) mix_rows<Element, Rows - 1>(rows, values, range, scratch);
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
template <class Element>
static inline void weigh_rows(const AttentionUnit& unit, const TileBlocks<Element>& keys,
                              const RowSpan& rows, std::size_t first, AttentionScratch& scratch) {
  // Later rows neither begin nor end earlier.
  const PosRange seen = {.begin = seen_by(scratch, rows.begin, first).begin,
                         .end = seen_by(scratch, rows.end - 1, first).end};
  score_rows(keys, unit.cache->head_dim, rows, seen, scratch);
  for (std::size_t r = rows.begin; r < rows.end; ++r) {
    const PosRange range = seen_by(scratch, r, first);
    const float highest = finish_scores(unit, r, range, scratch);
    soften_row(r, range, highest, padded(unit.cache->value_head_dim), scratch);
  }
}

// Each row's own positions before those that all see, then these for all at once, then its own
// after.
template <class Element>
static inline void mix_tile_rows(const AttentionUnit& unit, const TileBlocks<Element>& values,
                                 const RowSpan& rows, std::size_t first,
                                 AttentionScratch& scratch) {
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
    mix_rows<Element, 1>({.begin = r, .end = r + 1}, values, before, scratch);
  }
  mix_rows(rows, values, shared, scratch);
  for (std::size_t r = rows.begin; r < rows.end; ++r) {
    const PosRange range = seen_by(scratch, r, first);
    const PosRange after = {.begin = range.begin > shared.end ? range.begin : shared.end,
                            .end = range.end};
    mix_rows<Element, 1>({.begin = r, .end = r + 1}, values, after, scratch);
  }
}

// The rows that see some of the tile at `first`. Those that see none of it are the first ones (it
// comes after them) or the last (it lies before their windows).
static inline RowSpan rows_that_see(const AttentionUnit& unit, std::size_t first,
                                    const AttentionScratch& scratch) {
  RowSpan all = {.begin = 0, .end = unit.row_end - unit.row_begin};
  const auto sees_nothing = [&](std::size_t r) {
    const PosRange range = seen_by(scratch, r, first);
    return range.begin >= range.end;
  };
  while (all.begin < all.end && sees_nothing(all.begin)) ++all.begin;
  while (all.begin < all.end && sees_nothing(all.end - 1)) --all.end;
  return all;
}

// One tile, widened in scratch, for all rows that see any of it. `seen` is what the unit's rows see
// of it together.
static inline void attend_widened(const AttentionUnit& unit, std::size_t first,
                                  const PosRange& seen, AttentionScratch& scratch) {
  const RowSpan all = rows_that_see(unit, first, scratch);
  const auto for_each_span = [&](const auto& visit) {
    for (std::size_t r = all.begin; r < all.end; r += kTileRows) {
      visit(RowSpan{.begin = r, .end = all.end - r < kTileRows ? all.end : r + kTileRows});
    }
  };
  widen(unit, KvPart::kKeys, first, seen, scratch);
  const TileBlocks<float> keys = widened_tile(scratch.tile, kAttentionTile);
  for_each_span([&](const RowSpan& rows) { weigh_rows(unit, keys, rows, first, scratch); });
  widen(unit, KvPart::kValues, first, seen, scratch);
  const TileBlocks<float> values = widened_tile(scratch.tile, padded(unit.cache->value_head_dim));
  for_each_span([&](const RowSpan& rows) { mix_tile_rows(unit, values, rows, first, scratch); });
}

// The tile's blocks where they lie. In place of those that no row sees, any of the others: their
// scores are not looked at.
template <class Element>
static inline TileBlocks<Element> blocks_of_tile(const AttentionUnit& unit, KvPart part,
                                                 std::size_t first, const PosRange& seen,
                                                 AttentionScratch& scratch) {
  const KvLayerView& cache = *unit.cache;
  const bool is_keys = part == KvPart::kKeys;
  TileBlocks<Element> tile;
  tile.tokens = cache.block_tokens;
  tile.stride = is_keys ? cache.block_tokens : cache.value_head_dim;
  const std::size_t lowest = seen.begin / tile.tokens;
  const std::size_t highest = (seen.end - 1) / tile.tokens;
  for (std::size_t b = 0; b < kAttentionTile / tile.tokens; ++b) {
    const std::size_t visible = b < lowest ? lowest : b > highest ? highest : b;
    const std::uint32_t block = unit.blocks[first / tile.tokens + visible];
    DCHECK(block < cache.num_blocks);
    const HeadPlaces& places = scratch.places;
    tile.blocks[b] =
        reinterpret_cast<const Element*>(is_keys ? places.keys_of(block) : places.values_of(block));
    if constexpr (std::is_same_v<Element, std::int8_t>) {
      const float* scales = is_keys ? places.key_scales_of(block) : places.value_scales_of(block);
      std::memcpy(scratch.scales + b * tile.tokens, scales, tile.tokens * sizeof(float));
    }
  }
  return tile;
}

// The same without scratch between: each vector is widened where it is used, which for so few rows
// is once.
template <class Element>
static inline void attend_direct(const AttentionUnit& unit, std::size_t first, const PosRange& seen,
                                 AttentionScratch& scratch) {
  const RowSpan rows = rows_that_see(unit, first, scratch);
  if (rows.begin == rows.end) return;
  weigh_rows(unit, blocks_of_tile<Element>(unit, KvPart::kKeys, first, seen, scratch), rows, first,
             scratch);
  mix_tile_rows(unit, blocks_of_tile<Element>(unit, KvPart::kValues, first, seen, scratch), rows,
                first, scratch);
}

// Whether a unit's tiles are whole blocks of whole vectors, and its rows go through them together.
static inline bool is_direct(const AttentionUnit& unit) {
  const KvLayerView& cache = *unit.cache;
  return unit.row_end - unit.row_begin <= kTileRows && kAttentionTile % cache.block_tokens == 0 &&
         cache.block_tokens % kLanes == 0 && cache.value_head_dim % kLanes == 0;
}

static inline void attend_tile(const AttentionUnit& unit, std::size_t first, const PosRange& seen,
                               AttentionScratch& scratch) {
  if (!is_direct(unit)) return attend_widened(unit, first, seen, scratch);
  switch (unit.cache->dtype) {
    case DType::kF16:
      return attend_direct<Float16>(unit, first, seen, scratch);
    case DType::kBF16:
      return attend_direct<BFloat16>(unit, first, seen, scratch);
    case DType::kI8:
      return attend_direct<std::int8_t>(unit, first, seen, scratch);
    default:
      return attend_direct<float>(unit, first, seen, scratch);
  }
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
