// Matrix product with f32, f16, bf16 and e4m3 weights. Included once per instruction set.

// Depth of a block whose weights are widened to f32 once for many rows, together 256 x 16 x 4 bytes
// = 16 KB: half of the smallest L1.
inline constexpr std::size_t kBlockDepth = 256 / kTilePanels;

// How far ahead of its loads each of several streams of panels asks for weights: f16, one row, one
// thread from memory 36 of 37 GB/s; with 1024 bytes 30, with 512 26, without 29.
inline constexpr std::size_t kStreamPrefetchBytes = 2048;

// The weights of one panel and one k, outputs in order.
template <class Weight>
static inline void load_line(const Weight* line, Floats* w) {
  if constexpr (std::is_same_v<Weight, BFloat16>) {
    load_interleaved(line, w);
  } else {
    for (std::size_t v = 0; v < kVectors; ++v) w[v] = load(line + v * kLanes);
  }
}

// The same of k of a panel whose lines begin at `lines`. Scales lie before the lines of e4m3;
// `depth` is the whole panel's.
template <class Weight>
static inline void load_weights(const Weight* lines, std::size_t k, std::size_t depth, Floats* w) {
  load_line(lines + k * kPanelRows, w);
  if constexpr (std::is_same_v<Weight, Float8>) {
    const std::size_t num_groups_left = depth / kWeightGroup - k / kWeightGroup;
    const float* scales = reinterpret_cast<const float*>(lines) - num_groups_left * kPanelRows;
    for (std::size_t v = 0; v < kVectors; ++v) w[v] = w[v] * load(scales + v * kLanes);
  }
}

// Weights that come from memory are asked for ahead; those of a block are in L1.
enum class Stream : std::uint8_t { kCached, kMemory };

// sums[r, p, 0..15] += sum_k x[r, k] * panel p [k, 0..15], for Rows rows and Panels panels.
template <std::size_t Rows, std::size_t Panels, Stream From, class Weight>
static inline void float_tile(const float* x, std::size_t x_stride, const Weight* weights,
                              std::size_t panel_stride, std::size_t depth, float* sums) {
  constexpr std::size_t kWidth = Panels * kVectors;
  constexpr std::size_t kAhead = kStreamPrefetchBytes / sizeof(Weight);
  Floats acc[Rows][kWidth];
  for (std::size_t r = 0; r < Rows; ++r) {
    for (std::size_t v = 0; v < kWidth; ++v) acc[r][v] = load(sums + (r * kWidth + v) * kLanes);
  }
  for (std::size_t k = 0; k < depth; ++k) {
    Floats w[kWidth];
    // Past the end of its panel each stream goes on Panels panels further.
    const std::size_t ahead =
        kAhead + (k * kPanelRows + kAhead < panel_stride ? 0 : (Panels - 1) * panel_stride);
    for (std::size_t p = 0; p < Panels; ++p) {
      const Weight* lines = weights + p * panel_stride;
      if constexpr (Panels > 1 && From == Stream::kMemory) {
        prefetch(reinterpret_cast<const std::byte*>(lines + k * kPanelRows + ahead));
      }
      load_weights(lines, k, depth, w + p * kVectors);
    }
    for (std::size_t r = 0; r < Rows; ++r) {
      const Floats xs = broadcast(x[r * x_stride + k]);
      for (std::size_t v = 0; v < kWidth; ++v) acc[r][v] = fma(xs, w[v], acc[r][v]);
    }
  }
  for (std::size_t r = 0; r < Rows; ++r) {
    for (std::size_t v = 0; v < kWidth; ++v) store(sums + (r * kWidth + v) * kLanes, acc[r][v]);
  }
}

// Few rows: the whole depth in one pass, straight from the packed weights, Panels panels at once so
// that enough sums are under way to hide the latency of a multiply-add.
template <std::size_t Rows, std::size_t Panels, class Weight>
static inline void direct_panels(const MatmulRange& range, std::size_t panel) {
  const std::size_t depth = range.weight->num_cols;
  const PanelLayout layout = panel_layout(range.weight->format, depth);
  const std::size_t panel_stride = layout.panel_bytes / sizeof(Weight);
  const Weight* weights = reinterpret_cast<const Weight*>(range.weight->data + layout.scale_bytes) +
                          panel * panel_stride;
  float sums[Rows * Panels * kPanelRows] = {};
  float_tile<Rows, Panels, Stream::kMemory>(range.x, range.x_stride, weights, panel_stride, depth,
                                            sums);
  for (std::size_t r = 0; r < Rows; ++r) {
    for (std::size_t p = 0; p < Panels; ++p) {
      finish_row(range, r, panel + p, sums + (r * Panels + p) * kPanelRows);
    }
  }
}

template <std::size_t Rows, class Weight>
static inline void direct_rows(const MatmulRange& range) {
  constexpr std::size_t kFit = kDirectSums / (Rows * kVectors);
  constexpr std::size_t kPanels = kFit == 0 ? 1 : kFit > 8 ? 8 : kFit;
  std::size_t panel = range.panel_begin;
  for (; panel + kPanels <= range.panel_end; panel += kPanels) {
    direct_panels<Rows, kPanels, Weight>(range, panel);
  }
  for (; panel < range.panel_end; ++panel) direct_panels<Rows, 1, Weight>(range, panel);
}

// Rows is counted down at compile time to the number at hand.
template <class Weight, std::size_t Rows = kTileRows>
static inline void direct(const MatmulRange& range) {
  if (range.num_rows == Rows) return direct_rows<Rows, Weight>(range);
  if constexpr (Rows > 1) direct<Weight, Rows - 1>(range);
}

// sums [row][panel][16].
template <std::size_t Panels, std::size_t Rows = kTileRows>
static inline void block_tile(std::size_t num_rows, const float* x, std::size_t x_stride,
                              const float* weights, std::size_t panel_stride, std::size_t depth,
                              float* sums) {
  if (num_rows == Rows) {
    return float_tile<Rows, Panels, Stream::kCached>(x, x_stride, weights, panel_stride, depth,
                                                     sums);
  }
  if constexpr (Rows > 1) {
    block_tile<Panels, Rows - 1>(num_rows, x, x_stride, weights, panel_stride, depth, sums);
  }
}

// The weights of `count` k from k on of a panel of `depth`, as f32.
template <class Weight>
static inline const float* widened(const Weight* lines, std::size_t depth, std::size_t k,
                                   std::size_t count, float* scratch) {
  if constexpr (std::is_same_v<Weight, float>) {
    return lines + k * kPanelRows;
  } else {
    for (std::size_t i = 0; i < count; ++i) {
      Floats w[kVectors];
      load_weights(lines, k + i, depth, w);
      for (std::size_t v = 0; v < kVectors; ++v) {
        store(scratch + i * kPanelRows + v * kLanes, w[v]);
      }
    }
    return scratch;
  }
}

// A block of the depth of Panels panels, widened, and what comes after it.
struct FloatBlock {
  const float* weights = nullptr;  // [panel][depth][16]
  std::size_t panel_stride = 0;
  std::size_t first = 0;  // k
  std::size_t depth = 0;
  bool is_last = false;             // Of its panels.
  const std::byte* next = nullptr;  // Packed weights of the first panel that come next.
  std::size_t next_bytes = 0;       // Between panels.
  std::size_t next_lines = 0;       // Of each panel.
};

// All rows over one block, which is in L1. The next one is asked for meanwhile, tile by tile.
template <std::size_t Panels>
static inline void float_rows(const MatmulRange& range, std::size_t panel, const RowBlock& rows,
                              const FloatBlock& block, float* sums) {
  const std::size_t num_tiles = (rows.end - rows.begin + kTileRows - 1) / kTileRows;
  const std::size_t lines_per_tile = (block.next_lines + num_tiles - 1) / num_tiles;
  std::size_t line = 0;
  for (std::size_t row = rows.begin; row < rows.end; row += kTileRows) {
    const std::size_t count = rows.end - row < kTileRows ? rows.end - row : kTileRows;
    const std::size_t left = block.next_lines - line;
    const std::size_t end = line + (left < lines_per_tile ? left : lines_per_tile);
    for (; line < end; ++line) {
      for (std::size_t p = 0; p < Panels; ++p) {
        prefetch_alone(block.next + p * block.next_bytes + line * kLineBytes);
      }
    }
    if (block.is_last) prefetch_y<Panels>(range, panel, {.begin = row, .end = row + count});
    block_tile<Panels>(count, range.x + row * range.x_stride + block.first, range.x_stride,
                       block.weights, block.panel_stride, block.depth,
                       sums + (row - rows.begin) * Panels * kPanelRows);
  }
}

// Many rows of Panels panels: block after block of the depth, its weights widened once and kept in
// L1 while all rows of the block pass over them.
template <class Weight, std::size_t Panels>
static inline void blocked_panels(const MatmulRange& range, std::size_t panel,
                                  const RowBlock& rows) {
  alignas(64) float scratch[Panels * kBlockDepth * kPanelRows];
  alignas(64) float sums[kBlockRows * Panels * kPanelRows] = {};
  const std::size_t depth = range.weight->num_cols;
  const PanelLayout layout = panel_layout(range.weight->format, depth);
  const std::byte* data = range.weight->data + panel * layout.panel_bytes + layout.scale_bytes;
  for (std::size_t k = 0; k < depth; k += kBlockDepth) {
    FloatBlock block;
    block.first = k;
    block.depth = depth - k < kBlockDepth ? depth - k : kBlockDepth;
    for (std::size_t p = 0; p < Panels; ++p) {
      const auto* lines = reinterpret_cast<const Weight*>(data + p * layout.panel_bytes);
      const float* of_panel =
          widened(lines, depth, k, block.depth, scratch + p * kBlockDepth * kPanelRows);
      if (p == 0) block.weights = of_panel;
    }
    // f32 weights are read where they are.
    block.panel_stride = std::is_same_v<Weight, float> ? layout.panel_bytes / sizeof(float)
                                                       : kBlockDepth * kPanelRows;
    block.is_last = k + kBlockDepth >= depth;
    block.next = block.is_last ? data + Panels * layout.panel_bytes
                               : data + (k + kBlockDepth) * layout.group_bytes;
    block.next_bytes = layout.panel_bytes;
    const std::size_t left = block.is_last ? depth : depth - k - kBlockDepth;
    const std::size_t next_depth = left < kBlockDepth ? left : kBlockDepth;
    block.next_lines = next_depth * layout.group_bytes / kLineBytes;
    float_rows<Panels>(range, panel, rows, block, sums);
  }
  for (std::size_t row = rows.begin; row < rows.end; ++row) {
    for (std::size_t p = 0; p < Panels; ++p) {
      finish_row(range, row, panel + p, sums + ((row - rows.begin) * Panels + p) * kPanelRows);
    }
  }
}

template <class Weight>
static void matmul_float(const MatmulRange& range) {
  if (range.num_rows <= kTileRows) return direct<Weight>(range);
  for (std::size_t row = 0; row < range.num_rows; row += kBlockRows) {
    const std::size_t end = range.num_rows - row < kBlockRows ? range.num_rows : row + kBlockRows;
    std::size_t panel = range.panel_begin;
    if constexpr (kTilePanels > 1) {
      for (; panel + kTilePanels <= range.panel_end; panel += kTilePanels) {
        blocked_panels<Weight, kTilePanels>(range, panel, {.begin = row, .end = end});
      }
    }
    for (; panel < range.panel_end; ++panel) {
      blocked_panels<Weight, 1>(range, panel, {.begin = row, .end = end});
    }
  }
}
