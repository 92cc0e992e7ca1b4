// Turns a plan into a result: the one place where the engine meets a model.
#pragma once

#include "base/result.h"
#include "engine/step.h"

namespace millrace {

// Engine thread only; one step at a time. Implemented by DecoderRunner on a real model and by the
// simulator's TruthRunner.
class ModelRunner {
 public:
  virtual ~ModelRunner() = default;

  // Copies the plan's blocks, then stores keys and values of every planned token in its slot, and
  // draws a token for each chunk that samples. `result` has been reset to the plan's chunks. An
  // error means that nothing of the step can be relied on: every sequence in the plan ends with it.
  virtual Status run(const StepPlan& plan, StepResult& result) = 0;
};

}  // namespace millrace
