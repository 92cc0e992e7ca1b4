// Matrix product with the int formats and quantised rows. Included once per instruction set.
//
// Inside a group of 32 (or 16) the products and their sum are integers, exact in any order. A group
// adds one multiply-add to the output's chain: float(sum of q x) times (weight scale * row scale);
// with minima a second one: minimum times (row scale * sum of x).

// How far ahead of its loads a pass over few rows asks for weights; a panel follows the other, so
// it is one stream. int8, one row, one thread from memory: 34 of 37 GB/s; with 4096 bytes 24,
// without 13.
inline constexpr std::size_t kPrefetchBytes = 8192;

// Groups whose quants stay in L1 while many rows pass over them: 16 x 512 bytes. While they do, the
// next block is asked for, group by group (512 rows of 896: 655 instead of 540 G operations/s,
// together with prefetch_y; AVX-512, Zen 5, one thread).
inline constexpr std::size_t kBlockGroups = 16;
inline constexpr std::size_t kStepBytes = kPanelRows * 4;

// Eight x of a row, for the nibbles of a step.
struct TwoQuads {
  Bytes low;
  Bytes high;
};
static inline TwoQuads two_quads(const std::int8_t* x) {
  return {broadcast_quad(x), broadcast_quad(x + 4)};
}

// How one 64-byte step of a panel enters the integer sum of one vector of outputs.
struct Int8Quants {
  using Weights = U8Weights;
  using Sum = U8Sum;
  static constexpr std::size_t kStepDepth = 4;
  static constexpr std::int32_t kOffset = kU8Offset;
  static inline Sum begin(Ints start) { return u8_begin(start); }
  static inline Weights weights(const std::byte* p) { return u8_weights(p); }
  static inline Bytes quads(const std::int8_t* x) { return broadcast_quad(x); }
  static inline void accumulate(Sum& s, const Weights& w, Bytes x) { u8_add(s, w, x); }
  static inline Ints total(const Sum& s, Ints start) { return u8_total(s, start); }
};
struct UnsignedInt4Quants {
  using Weights = U4Weights;
  using Sum = U4Sum;
  static constexpr std::size_t kStepDepth = 8;
  static constexpr std::int32_t kOffset = 0;
  static inline Sum begin(Ints start) { return u4_begin(start); }
  static inline Weights weights(const std::byte* p) { return u4_weights(p); }
  static inline TwoQuads quads(const std::int8_t* x) { return two_quads(x); }
  static inline void accumulate(Sum& s, const Weights& w, const TwoQuads& x) {
    u4_add(s, w.low, x.low);
    u4_add(s, w.high, x.high);
  }
  static inline Ints total(const Sum& s, Ints start) { return u4_total(s, start); }
};
struct Int4Quants : UnsignedInt4Quants {
  static constexpr std::int32_t kOffset = 8;
};
// Four bits that say which of 16 values; the products are those of Int8Quants.
template <const std::array<std::int8_t, 16>& Values>
struct TableQuants {
  struct Weights {
    U8Weights low;
    U8Weights high;
  };
  using Sum = U8Sum;
  static constexpr std::size_t kStepDepth = 8;
  static constexpr std::int32_t kOffset = kU8Offset;
  static inline Sum begin(Ints start) { return u8_begin(start); }
  static inline Weights weights(const std::byte* p) {
    const U4Weights indices = u4_weights(p);
    return {u8_weights_of(lookup(indices.low, Values.data())),
            u8_weights_of(lookup(indices.high, Values.data()))};
  }
  static inline TwoQuads quads(const std::int8_t* x) { return two_quads(x); }
  static inline void accumulate(Sum& s, const Weights& w, const TwoQuads& x) {
    u8_add(s, w.low, x.low);
    u8_add(s, w.high, x.high);
  }
  static inline Ints total(const Sum& s, Ints start) { return u8_total(s, start); }
};

enum class Minimum : std::uint8_t { kNo, kYes };

// A format: quants, the type of scales (and minima), the weights that share one.
template <class Quants, class ScaleType, std::size_t Group, Minimum HasMinimum>
struct IntScheme : Quants {
  using Scale = ScaleType;
  static constexpr std::size_t kGroup = Group;
  static constexpr bool kHasMinimum = HasMinimum == Minimum::kYes;
  static constexpr std::size_t kGroupBytes = Group / Quants::kStepDepth * kStepBytes;
  static constexpr std::size_t kGroupScales = kPanelRows * (kHasMinimum ? 2 : 1);
  static constexpr std::size_t kParts = kWeightGroup / Group;  // Groups that share a row's scale.
};

// What the rows of a tile bring to each group beside their values, worked out once for a block of
// groups and all vectors of outputs.
template <class Format>
struct RowTerms {
  static constexpr std::size_t kGroupsMax = kBlockGroups * Format::kParts;
  // Where the integer sum begins: what takes the offset of the quants out again.
  alignas(64) std::int32_t starts[kIntTileRows][kGroupsMax];
  // What the minimum is multiplied by: scale of the row * sum of x.
  alignas(64) float shifts[kIntTileRows][kGroupsMax];
};

// Some groups of a panel (and of those after it), and the rows' parts at the same depth.
template <class Format>
struct IntBlock {
  const std::byte* quants = nullptr;
  const typename Format::Scale* scales = nullptr;
  std::size_t panel_bytes = 0;  // Between panels.
  std::size_t first_panel = 0;
  std::size_t first_group = 0;     // Of 32, in the depth.
  std::size_t num_groups = 0;      // Of 32; at most kBlockGroups.
  bool is_last = false;            // Of its panel.
  std::size_t prefetch_bytes = 0;  // From what few rows read to what they ask for.
  // Quants of the first panel that come next, as many of them as these rows ask for.
  const std::byte* next = nullptr;
  std::size_t next_lines = 0;
  std::size_t next_per_group = 0;
  const std::int8_t* x = nullptr;
  std::size_t x_stride = 0;
  const float* x_scales = nullptr;
  const std::int32_t* x_sums = nullptr;
  std::size_t x_groups = 0;  // Between rows, in scales; half of that between rows in sums.

  float x_scale(std::size_t row, std::size_t group) const {
    return x_scales[row * x_groups + group / Format::kParts];
  }
  const std::byte* quants_of(std::size_t vector) const {
    return quants + vector / kVectors * panel_bytes + vector % kVectors * kLanes * 4;
  }
  const typename Format::Scale* scales_of(std::size_t vector) const {
    const std::byte* panel =
        reinterpret_cast<const std::byte*>(scales) + vector / kVectors * panel_bytes;
    return reinterpret_cast<const typename Format::Scale*>(panel) + vector % kVectors * kLanes;
  }
};

template <class Format>
static inline void work_out_terms(const IntBlock<Format>& block, std::size_t num_rows,
                                  RowTerms<Format>& terms) {
  for (std::size_t r = 0; r < num_rows; ++r) {
    const std::int32_t* sums = block.x_sums + r * 2 * block.x_groups;
    for (std::size_t g = 0; g < block.num_groups * Format::kParts; ++g) {
      const std::int32_t sum = Format::kParts == 2 ? sums[g] : sums[2 * g] + sums[2 * g + 1];
      if constexpr (Format::kOffset != 0) terms.starts[r][g] = -Format::kOffset * sum;
      if constexpr (Format::kHasMinimum) {
        terms.shifts[r][g] = block.x_scale(r, g) * static_cast<float>(sum);
      }
    }
  }
}

// Whether so few sums are under way that memory is the limit.
template <std::size_t Sums>
constexpr bool is_few() {
  return 2 * Sums <= kIntTileSums;
}

// The integer sums of one group: Rows rows, Vectors vectors of outputs from `first` on.
template <class Format, std::size_t Rows, std::size_t Vectors>
static inline void add_products(const IntBlock<Format>& block, std::size_t first, std::size_t g,
                                typename Format::Sum (&sums)[Rows][Vectors]) {
  const std::int8_t* x = block.x + g * Format::kGroup;
  for (std::size_t k = 0; k < Format::kGroup; k += Format::kStepDepth) {
    const std::size_t at = g * Format::kGroupBytes + k / Format::kStepDepth * kStepBytes;
    if constexpr (is_few<Rows * Vectors>()) {
      for (std::size_t v = 0; v < Vectors; v += kVectors) {
        prefetch(block.quants_of(first + v) + at + block.prefetch_bytes);
      }
    }
    typename Format::Weights weights[Vectors];
    for (std::size_t v = 0; v < Vectors; ++v) {
      weights[v] = Format::weights(block.quants_of(first + v) + at);
    }
    for (std::size_t r = 0; r < Rows; ++r) {
      const auto quads = Format::quads(x + r * block.x_stride + k);
      for (std::size_t v = 0; v < Vectors; ++v) Format::accumulate(sums[r][v], weights[v], quads);
    }
  }
}

template <class Format, std::size_t Rows, std::size_t Vectors>
static inline void int_group(const IntBlock<Format>& block, const RowTerms<Format>& terms,
                             std::size_t first, std::size_t g, Floats (&acc)[Rows][Vectors]) {
  const auto start = [&](std::size_t r) {
    return broadcast(Format::kOffset == 0 ? 0 : terms.starts[r][g]);
  };
  typename Format::Sum sums[Rows][Vectors];
  for (std::size_t r = 0; r < Rows; ++r) {
    for (std::size_t v = 0; v < Vectors; ++v) sums[r][v] = Format::begin(start(r));
  }
  add_products<Format>(block, first, g, sums);
  for (std::size_t v = 0; v < Vectors; ++v) {
    const auto* scales = block.scales_of(first + v) + g * Format::kGroupScales;
    const Floats scale = load(scales);
    for (std::size_t r = 0; r < Rows; ++r) {
      const Floats total = to_floats(Format::total(sums[r][v], start(r)));
      acc[r][v] = fma(total, scale * broadcast(block.x_scale(r, g)), acc[r][v]);
      if constexpr (Format::kHasMinimum) {
        acc[r][v] = fma(load(scales + kPanelRows), broadcast(terms.shifts[r][g]), acc[r][v]);
      }
    }
  }
}

// Asks for the part of what comes next that falls to group `g`.
template <class Format, std::size_t Panels>
static inline void prefetch_next(const IntBlock<Format>& block, std::size_t g) {
  const std::size_t begin = g * block.next_per_group;
  const std::size_t end = begin + block.next_per_group;
  for (std::size_t i = begin; i < (end < block.next_lines ? end : block.next_lines); ++i) {
    for (std::size_t p = 0; p < Panels; ++p) {
      prefetch_alone(block.next + p * block.panel_bytes + i * kLineBytes);
    }
  }
}

// sums [panel][kBlockRows][16] from vector `first` on: Vectors vectors go through all groups.
template <class Format, std::size_t Rows, std::size_t Vectors, std::size_t Panels>
static inline void int_vectors(const IntBlock<Format>& block, const RowTerms<Format>& terms,
                               std::size_t first, float* sums) {
  Floats acc[Rows][Vectors];
  const auto place = [&](std::size_t r, std::size_t v) {
    const std::size_t vector = first + v;
    return sums + (vector / kVectors * kBlockRows + r) * kPanelRows + vector % kVectors * kLanes;
  };
  for (std::size_t r = 0; r < Rows; ++r) {
    for (std::size_t v = 0; v < Vectors; ++v) acc[r][v] = load(place(r, v));
  }
  for (std::size_t g = 0; g < block.num_groups * Format::kParts; ++g) {
    if constexpr (!is_few<Rows * Vectors>()) {
      if (first == 0) prefetch_next<Format, Panels>(block, g);
    }
    int_group<Format>(block, terms, first, g, acc);
  }
  for (std::size_t r = 0; r < Rows; ++r) {
    for (std::size_t v = 0; v < Vectors; ++v) store(place(r, v), acc[r][v]);
  }
}

// As many vectors at once as registers hold.
template <class Format, std::size_t Panels, std::size_t Rows = kIntTileRows>
static inline void int_tile(std::size_t num_rows, const IntBlock<Format>& block, float* sums) {
  constexpr std::size_t kAll = Panels * kVectors;
  constexpr std::size_t kAtOnce = Rows * kAll <= kIntTileSums ? kAll : kIntTileSums / kIntTileRows;
  if (num_rows == Rows) {
    RowTerms<Format> terms;
    work_out_terms(block, Rows, terms);
    for (std::size_t v = 0; v < kAll; v += kAtOnce) {
      int_vectors<Format, Rows, kAtOnce, Panels>(block, terms, v, sums);
    }
    return;
  }
  if constexpr (Rows > 1) int_tile<Format, Panels, Rows - 1>(num_rows, block, sums);
}

// All rows over one block of groups, which is in L1 for all but the first.
template <class Format, std::size_t Panels>
static inline void int_rows(const MatmulRange& range, const RowBlock& rows, IntBlock<Format>& block,
                            float* sums) {
  const std::size_t g = block.first_group;
  const std::size_t num_groups = block.x_groups;
  const std::size_t lines = block.next_lines;
  const std::size_t num_tiles = (rows.end - rows.begin + kIntTileRows - 1) / kIntTileRows;
  const std::size_t lines_per_tile = (lines + num_tiles - 1) / num_tiles;
  const std::size_t num_parts = block.num_groups * Format::kParts;
  block.next_per_group = (lines_per_tile + num_parts - 1) / num_parts;
  std::size_t asked = 0;
  for (std::size_t row = rows.begin; row < rows.end; row += kIntTileRows) {
    block.x = range.quantized.values + row * block.x_stride + g * kWeightGroup;
    block.x_scales = range.quantized.scales + row * num_groups + g;
    block.x_sums = range.quantized.sums + 2 * (row * num_groups + g);
    block.next_lines = lines - asked < lines_per_tile ? lines - asked : lines_per_tile;
    const std::size_t count = rows.end - row < kIntTileRows ? rows.end - row : kIntTileRows;
    if (block.is_last) {
      prefetch_y<Panels>(range, block.first_panel, {.begin = row, .end = row + count});
    }
    int_tile<Format, Panels>(count, block, sums + (row - rows.begin) * kPanelRows);
    asked += block.next_lines;
    block.next += block.next_lines * kLineBytes;
  }
}

// Panels panels from `panel` on. Their quants stay in L1 while all rows pass over a block of
// groups.
template <class Format, std::size_t Panels>
static inline void int_panels(const MatmulRange& range, std::size_t panel, const RowBlock& rows) {
  alignas(64) float sums[Panels * kBlockRows * kPanelRows] = {};
  const PanelLayout layout = panel_layout(range.weight->format, range.weight->num_cols);
  const std::byte* data = range.weight->data + panel * layout.panel_bytes;
  const std::size_t num_groups = range.weight->num_cols / kWeightGroup;
  for (std::size_t g = 0; g < num_groups; g += kBlockGroups) {
    IntBlock<Format> block;
    block.quants = data + layout.scale_bytes + g * layout.group_bytes;
    block.scales = reinterpret_cast<const typename Format::Scale*>(data) +
                   g * Format::kParts * Format::kGroupScales;
    block.panel_bytes = layout.panel_bytes;
    // Past the end of its panel each stream goes on Panels panels further.
    const bool is_past =
        layout.scale_bytes + g * layout.group_bytes + kPrefetchBytes >= layout.panel_bytes;
    block.prefetch_bytes = kPrefetchBytes + (is_past ? (Panels - 1) * layout.panel_bytes : 0);
    block.first_panel = panel;
    block.first_group = g;
    block.num_groups = num_groups - g < kBlockGroups ? num_groups - g : kBlockGroups;
    // After a panel's last block comes the panel after these, its scales first.
    block.is_last = g + kBlockGroups >= num_groups;
    block.next = block.is_last ? data + Panels * layout.panel_bytes
                               : block.quants + kBlockGroups * layout.group_bytes;
    const std::size_t left = block.is_last ? num_groups : num_groups - g - kBlockGroups;
    const std::size_t next_groups = left < kBlockGroups ? left : kBlockGroups;
    block.next_lines = next_groups * layout.group_bytes / kLineBytes;
    block.x_stride = range.quantized.num_cols;
    block.x_groups = num_groups;
    int_rows<Format, Panels>(range, rows, block, sums);
  }
  for (std::size_t p = 0; p < Panels; ++p) {
    for (std::size_t row = rows.begin; row < rows.end; ++row) {
      finish_row(range, row, panel + p, sums + (p * kBlockRows + row - rows.begin) * kPanelRows);
    }
  }
}

template <class Format>
static void matmul_int(const MatmulRange& range) {
  for (std::size_t row = 0; row < range.num_rows; row += kBlockRows) {
    const std::size_t end = range.num_rows - row < kBlockRows ? range.num_rows : row + kBlockRows;
    std::size_t panel = range.panel_begin;
    if (kIntTilePanels > 1 && range.num_rows > 1) {
      for (; panel + kIntTilePanels <= range.panel_end; panel += kIntTilePanels) {
        int_panels<Format, kIntTilePanels>(range, panel, {.begin = row, .end = end});
      }
    }
    for (; panel < range.panel_end; ++panel) {
      int_panels<Format, 1>(range, panel, {.begin = row, .end = end});
    }
  }
}

// As WeightFormat lists them.
using Int8Format = IntScheme<Int8Quants, Float16, 32, Minimum::kNo>;
using Int4Format = IntScheme<Int4Quants, Float16, 32, Minimum::kNo>;
using Int4MinFormat = IntScheme<UnsignedInt4Quants, Float16, 32, Minimum::kYes>;
using Int8G32Format = IntScheme<Int8Quants, float, 32, Minimum::kNo>;
using Int8G32MinFormat = IntScheme<Int8Quants, float, 32, Minimum::kYes>;
using Int8G16Format = IntScheme<Int8Quants, float, 16, Minimum::kNo>;
using Int4G32Format = IntScheme<Int4Quants, float, 32, Minimum::kNo>;
using Int4G32MinFormat = IntScheme<UnsignedInt4Quants, float, 32, Minimum::kYes>;
using Int4G16Format = IntScheme<Int4Quants, float, 16, Minimum::kNo>;
using Int4G16MinFormat = IntScheme<UnsignedInt4Quants, float, 16, Minimum::kYes>;
using E2m1G32Format = IntScheme<TableQuants<kE2m1Values>, float, 32, Minimum::kNo>;
using Iq4G32Format = IntScheme<TableQuants<kIq4Values>, float, 32, Minimum::kNo>;
