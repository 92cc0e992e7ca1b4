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
  const float* sinks = nullptr;       // [H]
  const float* query_norm = nullptr;  // [D], or [H*D] over the whole width
  const float* key_norm = nullptr;    // [D], or [K*D]

  // Latent attention. R: rotary_dim, C: rank, P: plain_dim, C_q: query_rank. `query` is
  // [H*(P+R), E], or [H*(P+R), C_q] after query_down.
  PackedMatrix query_down;             // [C_q, E]
  PackedMatrix latent, shared_key;     // [C, E], [R, E]
  std::vector<PackedMatrix> head_key;  // of each head [C, P]: what takes its queries to the latent
  std::vector<PackedMatrix> head_value;  // of each head [D_v, C]
  const float* query_down_bias = nullptr;
  const float* latent_bias = nullptr;
  const float* shared_key_bias = nullptr;
  const float* query_down_norm = nullptr;  // [C_q]
  const float* latent_norm = nullptr;      // [C]
};

struct FeedForwardWeights {
  PackedMatrix gate, up;  // [F, E]; gate empty for the plain kind
  PackedMatrix down;      // [E, F]
  const float* gate_bias = nullptr;
  const float* up_bias = nullptr;
  const float* down_bias = nullptr;
  PackedMatrix router;                 // [X, E]; experts only, as are the rest
  const float* router_bias = nullptr;  // [X]
  const float* choice_bias = nullptr;  // [X]
  std::vector<PackedMatrix> expert_gate, expert_up, expert_down;
  const float* expert_gate_bias = nullptr;           // [X, F]
  const float* expert_up_bias = nullptr;             // [X, F]
  const float* expert_down_bias = nullptr;           // [X, E]
  PackedMatrix shared_gate, shared_up, shared_down;  // as gate, up and down
  PackedMatrix shared_router;                        // [1, E]
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
