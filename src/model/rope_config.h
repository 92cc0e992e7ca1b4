// The rope part of a Hugging Face config.json.
#pragma once

#include <cstddef>

#include "model/config_reader.h"
#include "model/model_spec.h"

namespace millrace {

struct RopeConfig {
  RopeSpec rope;
  std::size_t context_max = 0;  // positions, stretched by the scaling where that is what it is for
};

// Reads rope_theta, rope_scaling and partial_rotary_factor, or the rope_parameters that newer files
// have.
Result<RopeConfig> read_rope_config(const ConfigReader& config, std::size_t head_dim);

}  // namespace millrace
