// The first argument of every op: which kernels run it, and which of the step's ranks we are.
#pragma once

#include <cstddef>

#include "base/function_ref.h"
#include "base/thread_team.h"

namespace millrace {

struct CpuKernels;
class DeviceOps;

// A small value, borrowed by everything that runs inside one step. Outside a step rank is 0 of 1.
//
// A step is one program run by all ranks at once: every rank calls the same ops with the same
// arguments in the same order; each op does this rank's share of the outputs and ends in a barrier,
// so that the next op sees all of them. Code above kernels/ is written as if it ran alone. On a GPU
// there is one rank and the barrier is the stream's order.
class KernelContext {
 public:
  // The kernels and the team must outlive the context.
  KernelContext(const CpuKernels& kernels, ThreadTeam& team) : kernels_(&kernels), team_(&team) {}
  // Ops run on a device, which must outlive the context too; steps have one rank.
  KernelContext(const CpuKernels& kernels, ThreadTeam& team, DeviceOps& device)
      : kernels_(&kernels), team_(&team), device_(&device) {}

  const CpuKernels& kernels() const { return *kernels_; }
  DeviceOps* device() const { return device_; }  // null: the CPU itself
  std::size_t rank() const { return rank_; }
  std::size_t num_ranks() const { return num_ranks_; }
  std::size_t num_threads() const { return team_->num_threads(); }

  // Waits until every rank of the running step is here. Nothing to wait for outside a step.
  void barrier() const {
    if (num_ranks_ > 1) team_->barrier();
  }

  // This rank's part of `count` outputs, cut at multiples of `grain`.
  WorkRange share(std::size_t count, std::size_t grain) const {
    return split_work(count, grain, rank_, num_ranks_);
  }

 private:
  friend void run_step(KernelContext& context, std::size_t num_ranks,
                       FunctionRef<void(KernelContext&)> step);

  const CpuKernels* kernels_;
  ThreadTeam* team_;
  DeviceOps* device_ = nullptr;
  std::size_t rank_ = 0;
  std::size_t num_ranks_ = 1;
};

// Runs `step` on the first `num_ranks` of the team at once, each with a context of its own; results
// do not depend on how many. 1 to num_threads(). Not from inside a step.
void run_step(KernelContext& context, std::size_t num_ranks,
              FunctionRef<void(KernelContext&)> step);
// On all of them.
void run_step(KernelContext& context, FunctionRef<void(KernelContext&)> step);

}  // namespace millrace
