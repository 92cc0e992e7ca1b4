// The rope part of a Hugging Face config.json.
#pragma once

#include <cstddef>
#include <string_view>

#include "model/config_reader.h"
#include "model/model_spec.h"

namespace millrace {

// What a family calls the fields, and which of them are meant.
struct RopeKeys {
  std::string_view base = "rope_theta";
  double default_base = 10000.0;
  std::string_view part = "partial_rotary_factor";
  double default_part = 1.0;
  // The object within rope_parameters that is for this kind of layer, where there are several.
  std::string_view layer_type = {};
  bool reads_rope_scaling = true;   // the older spelling; false: it is for other layers
  bool stretches_positions = true;  // false: max_position_embeddings has been stretched already
};

struct RopeConfig {
  RopeSpec rope;
  std::size_t context_max = 0;  // positions, stretched by the scaling where that is what it is for
};

// Reads rope_theta, rope_scaling and partial_rotary_factor, or the rope_parameters that newer files
// have, of a model of `positions` positions.
Result<RopeConfig> read_rope_config(const ConfigReader& config, std::size_t head_dim,
                                    std::size_t positions, const RopeKeys& keys);

// The positions that a model has when `rope` stretches the `positions` of its file; kCorruptData
// when they are out of limits.
Result<std::size_t> stretched_context(const RopeSpec& rope, std::size_t positions);

}  // namespace millrace
