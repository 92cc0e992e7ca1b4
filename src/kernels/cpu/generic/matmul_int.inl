// Matrix product with the int formats and quantised rows. Included once per instruction set.
//
// Inside a group of 32 (or 16) the products and their sum are integers, exact in any order. A group
// adds one multiply-add to the output's chain: float(sum of q x) times (weight scale * row scale);
// with minima a second one: minimum times (row scale * sum of x).

// How far ahead of its loads a pass over few rows asks for weights; a panel follows the other, so
// it is one stream. int8, one row, one thread from memory: 34 of 37 GB/s; with 4096 bytes 24,
// without 13.
inline constexpr std::size_t kPrefetchBytes = 8192;

// Groups whose quants stay in L1 while many rows pass over them: 16 x 512 bytes.
inline constexpr std::size_t kBlockGroups = 16;
inline constexpr std::size_t kStepBytes = kPanelRows * 4;

// How one 64-byte step of a panel enters the integer sum of one vector of outputs.
struct Int8Quants {
  using Weights = U8Weights;
  using Sum = U8Sum;
  static constexpr std::size_t kStepDepth = 4;
  static constexpr std::int32_t kOffset = kU8Offset;
  static inline Sum begin() { return u8_zero(); }
  static inline Weights weights(const std::byte* p) { return u8_weights(p); }
  static inline void accumulate(Sum& s, const Weights& w, const std::int8_t* x) {
    u8_add(s, w, broadcast_quad(x));
  }
  static inline Ints total(const Sum& s) { return u8_total(s); }
};
struct UnsignedInt4Quants {
  using Weights = U4Weights;
  using Sum = U4Sum;
  static constexpr std::size_t kStepDepth = 8;
  static constexpr std::int32_t kOffset = 0;
  static inline Sum begin() { return u4_zero(); }
  static inline Weights weights(const std::byte* p) { return u4_weights(p); }
  static inline void accumulate(Sum& s, const Weights& w, const std::int8_t* x) {
    u4_add(s, w.low, broadcast_quad(x));
    u4_add(s, w.high, broadcast_quad(x + 4));
  }
  static inline Ints total(const Sum& s) { return u4_total(s); }
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
  static inline Sum begin() { return u8_zero(); }
  static inline Weights weights(const std::byte* p) {
    const U4Weights indices = u4_weights(p);
    return {u8_weights_of(lookup(indices.low, Values.data())),
            u8_weights_of(lookup(indices.high, Values.data()))};
  }
  static inline void accumulate(Sum& s, const Weights& w, const std::int8_t* x) {
    u8_add(s, w.low, broadcast_quad(x));
    u8_add(s, w.high, broadcast_quad(x + 4));
  }
  static inline Ints total(const Sum& s) { return u8_total(s); }
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

// Some groups of a panel from one vector of outputs on, and the rows' parts at the same depth.
template <class Format>
struct IntBlock {
  const std::byte* quants = nullptr;
  const typename Format::Scale* scales = nullptr;
  std::size_t num_groups = 0;  // Of 32.
  const std::int8_t* x = nullptr;
  std::size_t x_stride = 0;
  const float* x_scales = nullptr;
  const std::int32_t* x_sums = nullptr;
  std::size_t x_groups = 0;  // Between rows, in scales; half of that between rows in sums.

  float x_scale(std::size_t row, std::size_t group) const {
    return x_scales[row * x_groups + group / Format::kParts];
  }
  std::int32_t x_sum(std::size_t row, std::size_t group) const {
    const std::int32_t* sums = x_sums + row * 2 * x_groups;
    return Format::kParts == 2 ? sums[group] : sums[2 * group] + sums[2 * group + 1];
  }
};

template <class Format, std::size_t Rows, std::size_t Vectors>
static inline void int_group(const IntBlock<Format>& block, std::size_t g,
                             Floats (&acc)[Rows][Vectors]) {
  typename Format::Sum sums[Rows][Vectors];
  for (auto& of_row : sums) {
    for (auto& sum_of_vector : of_row) sum_of_vector = Format::begin();
  }
  const std::byte* quants = block.quants + g * Format::kGroupBytes;
  const std::int8_t* x = block.x + g * Format::kGroup;
  for (std::size_t k = 0; k < Format::kGroup; k += Format::kStepDepth) {
    const std::byte* line = quants + k / Format::kStepDepth * kStepBytes;
    if constexpr (Vectors == kVectors) prefetch(line + kPrefetchBytes);
    for (std::size_t v = 0; v < Vectors; ++v) {
      const auto weights = Format::weights(line + v * kLanes * 4);
      for (std::size_t r = 0; r < Rows; ++r) {
        Format::accumulate(sums[r][v], weights, x + r * block.x_stride + k);
      }
    }
  }
  const auto* scales = block.scales + g * Format::kGroupScales;
  for (std::size_t v = 0; v < Vectors; ++v) {
    const Floats scale = load(scales + v * kLanes);
    for (std::size_t r = 0; r < Rows; ++r) {
      const float x_scale = block.x_scale(r, g);
      Ints total = Format::total(sums[r][v]);
      if constexpr (Format::kOffset != 0) {
        total = subtract(total, broadcast(block.x_sum(r, g) * Format::kOffset));
      }
      acc[r][v] = fma(to_floats(total), scale * broadcast(x_scale), acc[r][v]);
      if constexpr (Format::kHasMinimum) {
        const float shift = x_scale * static_cast<float>(block.x_sum(r, g));
        acc[r][v] = fma(load(scales + kPanelRows + v * kLanes), broadcast(shift), acc[r][v]);
      }
    }
  }
}

// sums [Rows, 16] from their vector `first` on: Vectors vectors of them go through all groups.
template <class Format, std::size_t Rows, std::size_t Vectors>
static inline void int_vectors(const IntBlock<Format>& block, std::size_t first, float* sums) {
  Floats acc[Rows][Vectors];
  for (std::size_t r = 0; r < Rows; ++r) {
    for (std::size_t v = 0; v < Vectors; ++v) {
      acc[r][v] = load(sums + r * kPanelRows + (first + v) * kLanes);
    }
  }
  IntBlock<Format> part = block;
  part.quants += first * kLanes * 4;
  part.scales += first * kLanes;
  for (std::size_t g = 0; g < block.num_groups * Format::kParts; ++g) {
    int_group<Format>(part, g, acc);
  }
  for (std::size_t r = 0; r < Rows; ++r) {
    for (std::size_t v = 0; v < Vectors; ++v) {
      store(sums + r * kPanelRows + (first + v) * kLanes, acc[r][v]);
    }
  }
}

// As many vectors at once as registers hold: a whole panel for few rows.
template <class Format, std::size_t Rows = kIntTileRows>
static inline void int_tile(std::size_t num_rows, const IntBlock<Format>& block, float* sums) {
  constexpr std::size_t kAtOnce = Rows * kVectors <= kIntTileRows ? kVectors : 1;
  if (num_rows == Rows) {
    for (std::size_t v = 0; v < kVectors; v += kAtOnce) {
      int_vectors<Format, Rows, kAtOnce>(block, v, sums);
    }
    return;
  }
  if constexpr (Rows > 1) int_tile<Format, Rows - 1>(num_rows, block, sums);
}

template <class Format>
static inline void int_panel(const MatmulRange& range, std::size_t panel, std::size_t row_begin,
                             std::size_t row_end) {
  alignas(64) float sums[kBlockRows * kPanelRows] = {};
  const PanelLayout layout = panel_layout(range.weight->format, range.weight->num_cols);
  const std::byte* data = range.weight->data + panel * layout.panel_bytes;
  const std::size_t num_groups = range.weight->num_cols / kWeightGroup;
  const std::size_t step = row_end - row_begin <= kIntTileRows ? num_groups : kBlockGroups;
  for (std::size_t g = 0; g < num_groups; g += step) {
    IntBlock<Format> block;
    block.quants = data + layout.scale_bytes + g * layout.group_bytes;
    block.scales = reinterpret_cast<const typename Format::Scale*>(data) +
                   g * Format::kParts * Format::kGroupScales;
    block.num_groups = num_groups - g < step ? num_groups - g : step;
    block.x_stride = range.quantized.num_cols;
    block.x_groups = num_groups;
    for (std::size_t row = row_begin; row < row_end; row += kIntTileRows) {
      block.x = range.quantized.values + row * block.x_stride + g * kWeightGroup;
      block.x_scales = range.quantized.scales + row * num_groups + g;
      block.x_sums = range.quantized.sums + 2 * (row * num_groups + g);
      int_tile<Format>(row_end - row < kIntTileRows ? row_end - row : kIntTileRows, block,
                       sums + (row - row_begin) * kPanelRows);
    }
  }
  for (std::size_t row = row_begin; row < row_end; ++row) {
    finish_row(range, row, panel, sums + (row - row_begin) * kPanelRows);
  }
}

template <class Format>
static void matmul_int(const MatmulRange& range) {
  for (std::size_t row = 0; row < range.num_rows; row += kBlockRows) {
    const std::size_t end = range.num_rows - row < kBlockRows ? range.num_rows : row + kBlockRows;
    for (std::size_t panel = range.panel_begin; panel < range.panel_end; ++panel) {
      int_panel<Format>(range, panel, row, end);
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
