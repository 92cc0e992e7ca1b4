// A runner whose steps run while the engine waits for them.
#include "engine/model_runner.h"

#include "base/check.h"

namespace millrace {

void ModelRunner::begin(const StepPlan& plan) {
  CHECK(num_begun_ < kBegunMax);
  begun_[num_begun_++] = &plan;
}

Status ModelRunner::finish(StepResult& result) {
  CHECK(num_begun_ > 0);
  const StepPlan& plan = *begun_[0];
  begun_[0] = begun_[1];
  --num_begun_;
  return run(plan, result);
}

}  // namespace millrace
