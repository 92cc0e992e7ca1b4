// Rows of the kernels' case table, timed: each is checked before its time counts.
#pragma once

#include <string>

#include "base/clock.h"
#include "kernel_case.h"
#include "kernels/context.h"
#include "measure/ceilings.h"

namespace millrace {

struct KernelTiming {
  std::string wrong;  // what is wrong with the answer; empty when nothing is
  double median_seconds = 0;
  double best_seconds = 0;
  kernel_cases::Cost cost;
};

// Calls the row's op for `duration` and three times at least, after one call that is checked.
KernelTiming time_kernel_row(const kernel_cases::CaseRow& row, KernelContext& context,
                             Duration duration);

// What bounds a call: its bytes over the read bandwidth or its operations over the products.
double seconds_at_ceiling(const kernel_cases::Cost& cost, const Ceilings& ceilings);

}  // namespace millrace
