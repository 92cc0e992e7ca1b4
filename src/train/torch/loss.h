// The loss of some rows: of the text, of a teacher, of the experts' balance.
#pragma once

#include <cstddef>
#include <optional>

#include "train/packing.h"
#include "train/torch/aten.h"
#include "train/torch/twin.h"
#include "train/train_options.h"

namespace millrace {

struct LossBatch {
  TwinBatch rows;
  at::Tensor places;   // [N] of [0, B * T): those that have a target
  at::Tensor targets;  // [N]; undefined when there is none
};

// Rows [begin, begin + count) of a batch on a device.
LossBatch loss_batch(const RowBatch& batch, std::size_t begin, std::size_t count,
                     at::Device device);

struct LossOptions {
  double balance_weight = 0.0;
  std::optional<DistillOptions> distill;
};

// Summed over the targets, f32. The teacher may be null.
at::Tensor training_loss(const Twin& twin, const Twin* teacher, const LossBatch& batch,
                         const LossOptions& options);

// KL(teacher || student) of softened distributions, times the temperature's square, summed over
// rows [N, V]. All outcomes but the teacher's top_k count as one.
at::Tensor distillation_loss(const at::Tensor& student_logits, const at::Tensor& teacher_logits,
                             const DistillOptions& options);

}  // namespace millrace
