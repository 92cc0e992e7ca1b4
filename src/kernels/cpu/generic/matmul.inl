// What the float and the int matrix products share. Included once per instruction set.
//
// y[m, n] is one chain of multiply-adds in rising k (groups, for the int formats), begun at zero;
// then the bias is added, then the old y. Tiles, blocks and the number of rows only decide where
// the unfinished sum rests (a register or a float in memory, the same bits), never its order.

inline constexpr std::size_t kVectors = kPanelRows / kLanes;  // Of one panel.
// Rows whose unfinished sums are kept while blocks of the depth go by: 96 x 16 sums are 6 KB. A
// multiple of every row's kTileRows.
inline constexpr std::size_t kBlockRows = 96;

static inline void finish_row(const MatmulRange& range, std::size_t row, std::size_t panel,
                              const float* sums) {
  const std::size_t first = panel * kPanelRows;
  const std::size_t num_rows = range.weight->num_rows;
  float* y = range.y + row * range.y_stride + first;
  for (std::size_t i = 0; i < kPanelRows && first + i < num_rows; i += kLanes) {
    const std::size_t count = num_rows - first - i;
    const bool is_whole = count >= kLanes;
    Floats v = load(sums + i);
    if (range.bias != nullptr) {
      const float* bias = range.bias + first + i;
      v = v + (is_whole ? load(bias) : load_part(bias, count));
    }
    if (range.accumulate == Accumulate::kAdd)
      v = v + (is_whole ? load(y + i) : load_part(y + i, count));
    if (is_whole) {
      store(y + i, v);
    } else {
      store_part(y + i, v, count);
    }
  }
}

// The rows [begin, end) of a range that share blocks of weights.
struct RowBlock {
  std::size_t begin = 0;
  std::size_t end = 0;
};

inline constexpr std::size_t kLineBytes = 64;

// Asks for the lines of y that Panels panels will be written to: far apart, so no processor guesses
// them (512 rows of 4,864 outputs of 896: a tenth of the time).
template <std::size_t Panels>
static inline void prefetch_y(const MatmulRange& range, std::size_t panel, const RowBlock& rows) {
  for (std::size_t row = rows.begin; row < rows.end; ++row) {
    float* y = range.y + row * range.y_stride + panel * kPanelRows;
    for (std::size_t p = 0; p < Panels; ++p) prefetch_for_write(y + p * kPanelRows);
  }
}
