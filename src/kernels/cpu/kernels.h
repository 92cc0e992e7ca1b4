// One row of function pointers per CPU instruction set, over ranges that ops.cpp has checked and
// cut.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "kernels/ops.h"
#include "kernels/packed_matrix.h"
#include "tensor/kv_view.h"

namespace millrace {

// Rows [0, num_rows) of x against panels [panel_begin, panel_end) of the weight.
struct MatmulRange {
  const float* x = nullptr;  // Float formats.
  std::size_t x_stride = 0;
  QuantizedRows quantized;  // Int formats: exactly the rows wanted.
  std::size_t num_rows = 0;
  const PackedMatrix* weight = nullptr;
  std::size_t panel_begin = 0;
  std::size_t panel_end = 0;
  const float* bias = nullptr;
  Accumulate accumulate = Accumulate::kStore;
  float* y = nullptr;
  std::size_t y_stride = 0;
};

// The heads of one token that rope turns: x [num_heads, head_dim], cos and sin [num_pairs].
struct RopeRange {
  float* x = nullptr;
  std::size_t num_heads = 0;
  std::size_t head_dim = 0;
  const float* cos = nullptr;
  const float* sin = nullptr;
  std::size_t num_pairs = 0;
  RopePairs pairs = RopePairs::kHalves;
};

// Keys and values of one (token, kv head) and their slot.
struct KvStoreRange {
  const float* key = nullptr;
  const float* value = nullptr;
  const KvLayerView* cache = nullptr;
  std::uint32_t block = 0;
  std::uint32_t offset = 0;
  std::uint32_t kv_head = 0;
};

// Positions whose scores are taken together. A result depends on this number, so all rows share it.
inline constexpr std::size_t kAttentionTile = 64;
// Rows (token, query head of one kv head) that share one reading of the keys and values.
inline constexpr std::size_t kAttentionRowsMax = 32;

// A few query rows of one sequence and one kv head. Row r is token r / group, head r % group, both
// counted from the sequence's chunk and the kv head's first query head.
struct AttentionUnit {
  const float* q = nullptr;  // Of the chunk's first token and the kv head's first query head.
  std::size_t q_stride = 0;  // Between tokens; heads lie head_dim apart.
  float* y = nullptr;
  std::size_t y_stride = 0;
  std::size_t group = 1;  // Query heads per kv head.
  std::size_t row_begin = 0;
  std::size_t row_end = 0;                // At most kAttentionRowsMax rows.
  std::size_t first_pos = 0;              // Position of the chunk's first token.
  std::span<const std::uint32_t> blocks;  // Of this sequence.
  const KvLayerView* cache = nullptr;
  std::uint32_t kv_head = 0;
  const float* sinks = nullptr;  // Of this kv head's query heads, [group]; null for none.
  const AttentionOptions* options = nullptr;
};

// A row's results depend on its inputs alone, not on how a caller cuts its ranges; rows of
// different instruction sets may differ within the tolerance that ref/ defines.
struct CpuKernels {
  std::string_view isa;
  bool (*is_runnable)();  // On this machine.

  std::array<void (*)(const MatmulRange& range), kNumWeightFormats> matmul;
  // One row of num_cols, a multiple of 32.
  void (*quantize_row)(const float* x, std::size_t num_cols, std::int8_t* values, float* scales,
                       std::int32_t* sums);
  void (*rms_norm)(const float* x, const float* weight, float eps, std::size_t count, float* y);
  void (*layer_norm)(const float* x, const LayerNormWeights& weights, float eps, std::size_t count,
                     float* y);
  void (*rope)(const RopeRange& range);
  void (*kv_store)(const KvStoreRange& range);
  void (*attention)(const AttentionUnit& unit);
  // Elementwise over `count`; y may be an input.
  void (*gated_activation)(Activation activation, const float* gate, const float* up,
                           std::size_t count, float* y);
  void (*clamped_gate)(const ClampedGate& clamp, const float* gate, const float* up,
                       std::size_t count, float* y);
  void (*activate)(Activation activation, const float* x, std::size_t count, float* y);
  void (*add)(const float* x, std::size_t count, float* y);
  void (*scale)(float factor, std::size_t count, float* x);
  void (*softcap)(float cap, std::size_t count, float* x);
  void (*add_scaled)(float factor, const float* x, std::size_t count, float* y);  // y += factor * x
};

// The rows that this machine can run, best first. The portable row needs nothing, so there is
// always one.
std::span<const CpuKernels* const> runnable_cpu_kernels();

// The runnable row of that name, or nullptr.
const CpuKernels* find_cpu_kernels(std::string_view isa);

}  // namespace millrace
