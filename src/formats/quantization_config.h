// How the matrices of a Hugging Face checkpoint are quantised, as its quantization_config says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace millrace {

enum class QuantizationMethod : std::uint8_t {
  kGptq,               // integers packed along the inputs, zeros, f16 scales; also AutoRound's
  kAwq,                // integers packed along the outputs
  kCompressedTensors,  // integers packed along a row, int8 rows or FP8 rows
  kFp8,                // FP8 E4M3 with scales per block, row or tensor
};

// Plain data. Which matrices are quantised is not in here: a checkpoint's tensors say that, so
// lists of ignored or converted modules are not needed, and neither are patterns of names: what
// differs between parts of a model shows in the shapes of their tensors.
struct QuantizationConfig {
  QuantizationMethod method = QuantizationMethod::kGptq;
  // Bits that packed integers may have; more than one when parts of the model differ.
  std::vector<std::uint32_t> bits;
  // Columns that share a scale where shapes alone do not say it; 0: all of a row.
  std::size_t group_size = 0;
  // Rows and columns that share a scale, where the shape of the scales means blocks; 0: none do.
  std::size_t block_rows = 0;
  std::size_t block_cols = 0;
  // GPTQ: modules may have bits and groups of their own (`dynamic`, `extra_config`).
  bool has_overrides = false;
  // GPTQ: zeros are stored less one, modulo 2^bits.
  bool stores_zeros_less_one = false;
  // GPTQ: columns were quantised in another order, so g_idx must say each one's group.
  bool needs_column_groups = false;
  // "GPTQ, 4 bits in groups of 128"
  std::string summary;
};

// Nothing when the object `config` of file `name` says that nothing is quantised. kUnsupported
// naming a method, format or option that is not read, with what to use instead; kCorruptData naming
// a field of the wrong type or out of limits.
Result<std::optional<QuantizationConfig>> read_quantization_config(const Json& config,
                                                                   const std::string& name);

// What older files keep beside config.json: the settings in `folder`'s quantize_config.json (GPTQ),
// quant_config.json (AWQ) or hf_quant_config.json (ModelOpt), as a quantization_config; null when
// it has none of them.
Result<Json> read_separate_quantization_config(const std::string& folder);

}  // namespace millrace
