// Cross entropy and distillation.
#include "train/torch/loss.h"

#include <algorithm>

namespace millrace {
namespace {

at::Tensor rows_of(const std::vector<std::int64_t>& values, const RowBatch& batch,
                   std::size_t begin, std::size_t count) {
  const std::size_t width = values.size() / batch.num_rows;
  at::Tensor tensor =
      at::empty({static_cast<std::int64_t>(count), static_cast<std::int64_t>(width)}, at::kLong);
  std::copy_n(values.data() + begin * width, count * width, tensor.data_ptr<std::int64_t>());
  return tensor;
}

// log(1 - sum of exp(chosen)): of everything else, kept away from log(0).
at::Tensor log_rest(const at::Tensor& chosen) {
  return at::log((1.0 - chosen.exp().sum(-1, true)).clamp_min(1e-6));
}

}  // namespace

LossBatch loss_batch(const RowBatch& batch, std::size_t begin, std::size_t count,
                     at::Device device) {
  LossBatch out;
  out.rows.token_ids = rows_of(batch.token_ids, batch, begin, count).to(device);
  out.rows.positions = rows_of(batch.positions, batch, begin, count).to(device);
  out.rows.documents = rows_of(batch.documents, batch, begin, count).to(device);
  const at::Tensor targets = rows_of(batch.targets, batch, begin, count).flatten();
  const at::Tensor places = (targets != kNoTarget).nonzero().flatten();
  if (places.numel() == 0) return out;
  out.places = places.to(device);
  out.targets = targets.index_select(0, places).to(device);
  return out;
}

at::Tensor distillation_loss(const at::Tensor& student_logits, const at::Tensor& teacher_logits,
                             const DistillOptions& options) {
  const double temperature = options.temperature;
  const auto top_k =
      std::min<std::int64_t>(static_cast<std::int64_t>(options.top_k), teacher_logits.size(-1));
  const at::Tensor teacher = at::log_softmax(teacher_logits / temperature, -1);
  const at::Tensor student = at::log_softmax(student_logits / temperature, -1);
  const auto [kept, places] = teacher.topk(top_k, -1);
  const at::Tensor followed = student.gather(-1, places);
  at::Tensor divergence = (kept.exp() * (kept - followed)).sum();
  if (top_k < teacher_logits.size(-1)) {
    const at::Tensor rest = log_rest(kept);
    divergence = divergence + (rest.exp() * (rest - log_rest(followed))).sum();
  }
  return divergence * (temperature * temperature);
}

at::Tensor training_loss(const Twin& twin, const Twin* teacher, const LossBatch& batch,
                         const LossOptions& options) {
  const auto logits_of = [&batch](const Twin& model) {
    const at::Tensor states = model.hidden(batch.rows);
    return model.logits(states.flatten(0, 1).index_select(0, batch.places));
  };
  const at::Tensor logits = logits_of(twin);
  at::Tensor loss = at::cross_entropy_loss(logits, batch.targets, {}, at::Reduction::Sum);
  if (teacher != nullptr && options.distill) {
    at::Tensor teacher_logits;
    {
      const at::NoGradGuard no_gradients;
      teacher_logits = logits_of(*teacher);
    }
    loss = loss * (1.0 - options.distill->weight) +
           distillation_loss(logits, teacher_logits, *options.distill) * options.distill->weight;
  }
  if (options.balance_weight == 0.0) return loss;
  return loss + twin.balance_loss() *
                    (options.balance_weight * static_cast<double>(batch.targets.numel()));
}

}  // namespace millrace
