// One checked call, then as many timed ones as fit.
#include "measure/kernel_rows.h"

#include <algorithm>
#include <vector>

namespace millrace {

KernelTiming time_kernel_row(const kernel_cases::CaseRow& row, KernelContext& context,
                             Duration duration) {
  constexpr std::size_t kCallsMin = 3;
  constexpr std::size_t kCallsMax = 1 << 20;
  const std::unique_ptr<kernel_cases::KernelCase> kernel_case = row.make();
  const auto step = [&](KernelContext& rank) { kernel_case->run(rank); };
  KernelTiming timing;
  timing.cost = kernel_case->cost();
  kernel_case->reset();
  run_step(context, step);
  timing.wrong = kernel_case->check();
  if (!timing.wrong.empty()) return timing;

  const SystemClock clock;
  std::vector<double> times;
  const TimePoint end = clock.now() + duration;
  while (times.size() < kCallsMin || (clock.now() < end && times.size() < kCallsMax)) {
    const TimePoint begin = clock.now();
    run_step(context, step);
    times.push_back(seconds(clock.now() - begin));
  }
  std::sort(times.begin(), times.end());
  timing.best_seconds = times.front();
  timing.median_seconds = times[times.size() / 2];
  return timing;
}

double seconds_at_ceiling(const kernel_cases::Cost& cost, const Ceilings& ceilings) {
  switch (cost.roof) {
    case kernel_cases::Roof::kBandwidth:
      return cost.bytes / ceilings.read_bytes;
    case kernel_cases::Roof::kFma:
      return cost.operations / ceilings.fma_operations;
    case kernel_cases::Roof::kInt8:
      return cost.operations / ceilings.int8_operations;
  }
  return 0;
}

}  // namespace millrace
