// Flat arrays for one step of the decoder, and what comes out of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/ops.h"
#include "tensor/view.h"

namespace millrace {

// The tokens of a step, sequence after sequence. Borrowed for one call of Decoder::forward.
struct ForwardBatch {
  std::span<const std::uint32_t> token_ids;  // [T] all below the vocabulary
  std::span<const std::uint32_t> positions;  // [T]
  AttentionBatch attention;  // whose chunk a token is in, and where its cache slots are
  std::span<const std::uint32_t> logit_rows;  // rows of [0, T) whose logits are wanted, any order
  // Rows whose hidden states are wanted, any order: at most the decoder's tokens_max.
  std::span<const std::uint32_t> state_rows = {};
  // Rows that belong to adapters, in rising order; the others belong to none. Pairs are those of
  // LoraAdapter. Only with a decoder that is planned for their rank.
  std::span<const LoraSegment> adapters = {};

  std::size_t num_tokens() const { return token_ids.size(); }
};

// Views into the decoder's workspace, valid until its next forward.
struct ForwardOutput {
  TensorView logits;  // [rows, V] f32, in the order of logit_rows
  TensorView hidden;  // [rows, E] f32, after the final norm: distillation, draft heads
  TensorView states;  // the same for state_rows: embeddings
};

}  // namespace millrace
