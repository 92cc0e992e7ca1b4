// The packed matrices and vectors of a model, per layer: views into a WeightStore's bytes.
#pragma once

#include <span>
#include <vector>

#include "kernels/packed_matrix.h"

namespace millrace {

// Absent biases and norms are null. Everything is borrowed from the store that load_weights filled.
struct AttentionWeights {
  PackedMatrix query, key, value;  // [H*D, E], [K*D, E], [K*D_v, E]
  PackedMatrix output;             // [E, H*D_v]
  const float* query_bias = nullptr;
  const float* key_bias = nullptr;
  const float* value_bias = nullptr;
  const float* output_bias = nullptr;
  const float* query_norm = nullptr;  // [D], or [H*D] over the whole width
  const float* key_norm = nullptr;    // [D], or [K*D]
};

struct FeedForwardWeights {
  PackedMatrix gate, up;  // [F, E]; gate empty for the plain kind
  PackedMatrix down;      // [E, F]
  const float* gate_bias = nullptr;
  const float* up_bias = nullptr;
  const float* down_bias = nullptr;
  PackedMatrix router;  // [X, E]; experts only, as are the rest
  std::vector<PackedMatrix> expert_gate, expert_up, expert_down;
};

struct NormWeights {
  const float* weight = nullptr;  // [E]
  const float* bias = nullptr;    // [E]
};

struct LayerWeights {
  NormWeights attention_norm, attention_post_norm;
  NormWeights feed_forward_norm, feed_forward_post_norm;
  AttentionWeights attention;
  FeedForwardWeights feed_forward;
};

struct ModelWeights {
  PackedMatrix embedding;              // [V, E]
  PackedMatrix positions;              // [positions, E]; empty where they are not learned
  PackedMatrix output;                 // [V, E]; the same bytes as embedding when tied
  const float* output_bias = nullptr;  // [V]
  NormWeights final_norm;
  std::vector<LayerWeights> layers;
};

}  // namespace millrace
