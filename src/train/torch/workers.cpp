// Threads for passes, and the sum of what they found.
#include "train/torch/workers.h"

#include <algorithm>
#include <exception>

#include "base/machine.h"

// OpenBLAS keeps threads of its own beside libtorch's, and both spin; there where that is the BLAS.
extern "C" void openblas_set_num_threads(int count) __attribute__((weak));

namespace millrace {

Workers::Workers(Twin& twin, const Twin* teacher, std::size_t num_threads,
                 std::size_t num_parts_max)
    : twin_(&twin), teacher_(teacher) {
  const std::size_t cores = num_threads > 0 ? num_threads : num_usable_cpus();
  const std::size_t count =
      twin.options().device.is_cpu() ? std::clamp<std::size_t>(num_parts_max, 1, cores) : 1;
  const auto threads_each = static_cast<int>(cores / count);
  if (openblas_set_num_threads != nullptr) openblas_set_num_threads(threads_each);
  team_ = std::make_unique<ThreadTeam>(count);
  // OpenMP keeps this number for each thread that asks it for work.
  team_->run([&](std::size_t) { at::set_num_threads(threads_each); });
  for (std::size_t i = 1; i < count; ++i) {
    std::optional<Twin> own_teacher;
    if (teacher != nullptr) own_teacher = *teacher;
    replicas_.push_back({twin.with_own_gradients(), std::move(own_teacher)});
  }
}

void Workers::run(std::size_t num_parts,
                  FunctionRef<void(const Twin&, const Twin*, std::size_t)> work) {
  const bool has_gradients = at::GradMode::is_enabled();
  std::vector<std::exception_ptr> thrown(size());
  team_->run(std::min(size(), num_parts), [&](std::size_t rank) {
    const at::AutoGradMode mode(has_gradients);
    const Worker* own = rank == 0 ? nullptr : &replicas_[rank - 1];
    const Twin* teacher = own == nullptr ? teacher_ : own->teacher ? &*own->teacher : nullptr;
    try {
      for (std::size_t i = rank; i < num_parts; i += size()) {
        work(own == nullptr ? *twin_ : own->twin, teacher, i);
      }
    } catch (...) {
      thrown[rank] = std::current_exception();
    }
  });
  for (const std::exception_ptr& exception : thrown) {
    if (exception) std::rethrow_exception(exception);
  }
}

void Workers::gather_gradients() {
  const at::NoGradGuard no_gradients;
  std::vector<TwinParameter>& parameters = twin_->parameters();
  for (Worker& worker : replicas_) {
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      at::Tensor& own = worker.twin.parameters()[i].value;
      if (!own.grad().defined()) continue;
      at::Tensor& sum = parameters[i].value.mutable_grad();
      sum = sum.defined() ? sum.add_(own.grad()) : own.grad();
      own.mutable_grad().reset();
    }
  }
}

}  // namespace millrace
