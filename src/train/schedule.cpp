// Warm-up, plateau and decay as fractions of a peak.
#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace millrace {
namespace {

// 1 at the first step of the decay, `final_fraction` at the last step of all.
double decayed(double done, double final_fraction, bool is_cosine) {
  const double share = is_cosine ? 0.5 * (1.0 + std::cos(std::numbers::pi * done)) : 1.0 - done;
  return final_fraction + (1.0 - final_fraction) * share;
}

}  // namespace

double learning_rate(const ScheduleOptions& options, std::size_t step, std::size_t num_steps) {
  const auto now = static_cast<double>(step);
  const auto warmup = static_cast<double>(options.warmup_steps);
  if (step < options.warmup_steps) return options.peak * (now + 1.0) / (warmup + 1.0);
  if (options.kind == ScheduleKind::kConstant) return options.peak;
  const double last = static_cast<double>(num_steps) - 1.0;
  const bool is_cosine = options.kind == ScheduleKind::kCosine;
  const double begin =
      is_cosine ? warmup
                : std::max(warmup, static_cast<double>(num_steps) * (1.0 - options.decay_fraction));
  if (now <= begin || last <= begin) return options.peak;
  const double done = std::min(1.0, (now - begin) / (last - begin));
  return options.peak * decayed(done, options.final_fraction, is_cosine);
}

}  // namespace millrace
