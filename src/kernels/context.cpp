// Runs a step on every rank of the team.
#include "kernels/context.h"

#include "base/check.h"

namespace millrace {

void run_step(KernelContext& context, std::size_t num_ranks,
              FunctionRef<void(KernelContext&)> step) {
  CHECK(context.num_ranks_ == 1);  // A step inside a step would wait for ranks that never come.
  if (context.device_ != nullptr) return step(context);
  ThreadTeam& team = *context.team_;
  const auto run_rank = [&context, num_ranks, &step](std::size_t rank) {
    KernelContext of_rank = context;
    of_rank.rank_ = rank;
    of_rank.num_ranks_ = num_ranks;
    step(of_rank);
  };
  team.run(num_ranks, run_rank);
}

void run_step(KernelContext& context, FunctionRef<void(KernelContext&)> step) {
  run_step(context, context.num_threads(), step);
}

}  // namespace millrace
