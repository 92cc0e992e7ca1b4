// How long a step takes on a machine: measured coefficients, or the roofs of one that is not here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "engine/step_shape.h"

namespace millrace {

// Seconds per one of each term of a step's shape; none is below 0.
struct LinearCost {
  double per_step = 0;
  double per_token = 0;
  double per_sequence = 0;
  double per_kv_token = 0;
  double per_attended = 0;
  double per_few_token = 0;   // of the first StepShape::kFewTokens of a step, besides per_token
  double per_many_token = 0;  // of those beyond, besides per_token
  double per_sampled = 0;     // of a row of logits

  double seconds(const StepShape& shape) const {
    return per_step + per_token * static_cast<double>(shape.num_tokens) +
           per_sequence * static_cast<double>(shape.num_sequences) +
           per_kv_token * static_cast<double>(shape.num_kv_tokens) +
           per_attended * static_cast<double>(shape.num_attended) +
           per_few_token * static_cast<double>(shape.num_few_tokens()) +
           per_many_token * static_cast<double>(shape.num_many_tokens()) +
           per_sampled * static_cast<double>(shape.num_sampled);
  }
};

// "step 2 ms + tokens x 5 us + …", the terms above 0.
std::string cost_text(const LinearCost& cost);

// A step takes as long as the slowest of its roofs: one measured fit, or compute beside memory; and
// the host's time before the next one.
//
// As JSON, all in seconds; terms that are left out are 0:
//   {"format": "millrace-step-cost", "version": 2, "name": "…",
//    "cache_tokens": 131072,                what the KV cache holds; may be absent
//    "kv_bytes_per_token": 131072,          may be absent
//    "host": {"per_step": …, …},            time between steps, added to each; may be absent
//    "roofs": [{"name": "…", "per_step": …, "per_token": …, "per_sequence": …, "per_kv_token": …,
//               "per_attended": …, "per_few_token": …, "per_many_token": …, "per_sampled": …}, …]}
// Files of version 1, which knew neither per_many_token nor per_sampled, mean what they meant.
struct StepCost {
  struct Roof {
    std::string name;
    LinearCost cost;
  };
  std::string name;
  std::uint64_t cache_tokens = 0;  // 0: not known
  std::uint64_t kv_bytes_per_token = 0;
  std::vector<Roof> roofs;
  LinearCost host;  // between two steps: what planning, applying and emitting take

  // Of the step itself, as the scheduler learns it.
  double seconds(const StepShape& shape) const;
};

// kCorruptData naming the field, what was found and what is expected.
Result<StepCost> parse_step_cost(std::string_view text, const std::string& name);
Result<StepCost> read_step_cost(const std::string& path);
OrderedJson step_cost_json(const StepCost& cost);

// A decoder's shape, as far as its time depends on it. Letters as in the ops' contracts.
struct DecoderShape {
  std::string name;
  double num_layers = 0;     // L
  double hidden = 0;         // E
  double num_heads = 0;      // H
  double num_kv_heads = 0;   // K
  double head_dim = 0;       // D
  double feed_forward = 0;   // F
  double vocabulary = 0;     // V
  bool has_own_head = true;  // false: the output matrix is the embedding
  double weight_bytes = 2;   // of one parameter
  double kv_bytes = 2;       // of one element of the cache
};

struct MachineRoofs {
  std::string name;
  double flops_per_second = 0;
  double bytes_per_second = 0;
  double memory_bytes = 0;
  double flops_fraction = 0.6;      // of the ceiling that matrices reach
  double bytes_fraction = 0.75;     // of the bandwidth that streams reach
  double layer_gap_seconds = 6e-6;  // launches and waits, per layer and step
  double memory_fraction = 0.9;     // that weights and cache may take
};

// The formulas of a roofline for one device, in step_cost.cpp.
StepCost roofline_cost(const MachineRoofs& machine, const DecoderShape& shape);

// "h200-llama-3.1-8b", "h200-qwen2.5-0.5b".
std::vector<StepCost> builtin_step_costs();
// kNotFound listing the names.
Result<StepCost> find_builtin_step_cost(std::string_view name);

}  // namespace millrace
