// The rope part of a config.json that is being written.
#pragma once

#include "base/json.h"
#include "base/result.h"
#include "model/model_spec.h"

namespace millrace {

// Adds rope_theta and rope_scaling (null where there is none). Frequency divisors, which GGUF has
// instead of Llama 3's parameters, are turned back into those that give the same divisors;
// kUnsupported when none do.
Status add_rope_config(const RopeSpec& rope, OrderedJson& config);

// The shortest decimal that reads back as the same number: 1e-05 for the float nearest to it.
OrderedJson json_number(double number);

}  // namespace millrace
