// Turns a plan into a result: the one place where the engine meets a model.
#pragma once

#include <array>
#include <cstddef>

#include "base/result.h"
#include "engine/step.h"

namespace millrace {

// Engine thread only. Implemented by DecoderRunner on a real model and by the simulator's
// TruthRunner.
//
// Steps run one after the other, in the order in which they were begun. A plan stays as it is until
// its step has been finished; of its sequences only what begin() has copied does, because the
// engine plans on meanwhile. Where a chunk's last token is drawn by the step before it
// (PlannedChunk::drawn_by), that step's result has it.
class ModelRunner {
 public:
  // Plans that may be begun and not finished.
  static constexpr std::size_t kBegunMax = 2;

  virtual ~ModelRunner() = default;

  // Copies the plan's blocks, then stores keys and values of every planned token in its slot, and
  // draws a token for each chunk that samples. `result` has been reset to the plan's chunks. An
  // error means that nothing of the step can be relied on. Nothing else is begun meanwhile.
  virtual Status run(const StepPlan& plan, StepResult& result) = 0;

  // The same in two halves: begin() hands the plan over and returns, finish() waits for the step
  // that was begun first. Here nothing overlaps: finish() calls run(). It may, since every token
  // that was to be drawn is there when the step before has been applied; of a sequence that ended
  // meanwhile the last token may be missing, and its result is not looked at.
  virtual void begin(const StepPlan& plan);
  virtual Status finish(StepResult& result);
  // Forgets what was begun and not finished, and returns when none of it runs any more.
  virtual void abandon() { num_begun_ = 0; }

 private:
  std::array<const StepPlan*, kBegunMax> begun_{};
  std::size_t num_begun_ = 0;
};

}  // namespace millrace
