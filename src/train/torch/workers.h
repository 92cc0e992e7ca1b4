// The passes of a step, side by side on threads: each with gradients of its own.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "base/function_ref.h"
#include "base/thread_team.h"
#include "train/torch/twin.h"

namespace millrace {

// A model and its teacher as one thread uses them: the same values, other gradients.
struct Worker {
  Twin twin;
  std::optional<Twin> teacher;
};

// Small models fill two cores better with a pass on each than with both on one: most of a pass are
// short loops, and a thread waits at the end of each of them. Costs one more set of gradients per
// thread. On a GPU there is one worker.
class Workers {
 public:
  // `twin` gets the gradients; both must outlive this. At most `num_parts_max` parts run at once;
  // libtorch's own threads share what is left of `num_threads` (0: one per core that we may use).
  Workers(Twin& twin, const Twin* teacher, std::size_t num_threads, std::size_t num_parts_max);

  std::size_t size() const { return replicas_.size() + 1; }
  // Calls `work` for the parts 0, 1, …; part i on worker i modulo size(), so that the sums of
  // gradients do not depend on which thread is faster. Throws what `work` throws, when all have
  // ended.
  void run(std::size_t num_parts,
           FunctionRef<void(const Twin&, const Twin* teacher, std::size_t part)> work);
  // The gradients of all workers are added to the twin's, in order; then only the twin has some.
  void gather_gradients();

 private:
  Twin* twin_;
  const Twin* teacher_;
  std::vector<Worker> replicas_;
  std::unique_ptr<ThreadTeam> team_;
};

}  // namespace millrace
