// Threads for passes, and the sum of what they found.
#include "train/torch/workers.h"

#include <algorithm>
#include <future>
#include <thread>

// OpenBLAS keeps threads of its own beside libtorch's, and both spin; there where that is the BLAS.
extern "C" void openblas_set_num_threads(int count) __attribute__((weak));

namespace millrace {
namespace {

std::size_t cores_of(std::size_t num_threads) {
  if (num_threads > 0) return num_threads;
  return std::max<std::size_t>(1, std::thread::hardware_concurrency());
}

}  // namespace

Workers::Workers(Twin& twin, const Twin* teacher, std::size_t num_threads,
                 std::size_t num_parts_max)
    : twin_(&twin), teacher_(teacher) {
  const std::size_t cores = cores_of(num_threads);
  const std::size_t count =
      twin.options().device.is_cpu() ? std::clamp<std::size_t>(num_parts_max, 1, cores) : 1;
  threads_each_ = static_cast<int>(cores / count);
  at::set_num_threads(threads_each_);
  if (openblas_set_num_threads != nullptr) openblas_set_num_threads(threads_each_);
  for (std::size_t i = 1; i < count; ++i) {
    std::optional<Twin> own_teacher;
    if (teacher != nullptr) own_teacher = *teacher;
    replicas_.push_back({twin.with_own_gradients(), std::move(own_teacher)});
  }
}

void Workers::run(std::size_t num_parts,
                  FunctionRef<void(const Twin&, const Twin*, std::size_t)> work) {
  const bool has_gradients = at::GradMode::is_enabled();
  const auto run_parts = [&](std::size_t worker, const Twin& twin, const Twin* teacher) {
    const at::AutoGradMode mode(has_gradients);
    for (std::size_t i = worker; i < num_parts; i += size()) work(twin, teacher, i);
  };
  std::vector<std::future<void>> others;
  for (std::size_t i = 0; i < replicas_.size() && i + 1 < num_parts; ++i) {
    others.push_back(std::async(std::launch::async, [&, i] {
      at::set_num_threads(threads_each_);
      const Worker& own = replicas_[i];
      run_parts(i + 1, own.twin, own.teacher ? &*own.teacher : nullptr);
    }));
  }
  run_parts(0, *twin_, teacher_);
  // A future that is dropped waits for its thread, so an exception leaves nobody behind.
  for (std::future<void>& other : others) other.get();
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
