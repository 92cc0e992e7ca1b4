// The learning rate of each step.
#pragma once

#include <cstddef>
#include <cstdint>

namespace millrace {

enum class ScheduleKind : std::uint8_t {
  kConstant,
  kCosine,       // Loshchilov & Hutter 2016, arXiv:1608.03983, without restarts
  kStableDecay,  // warmup, stable, decay: Hu et al. 2024, arXiv:2404.06395, section 4
};

struct ScheduleOptions {
  ScheduleKind kind = ScheduleKind::kCosine;
  double peak = 1e-3;
  std::size_t warmup_steps = 100;  // linear, from 0
  double decay_fraction = 0.2;     // kStableDecay: of all steps, the last ones, linear
  double final_fraction = 0.1;     // of the peak, at the last step
};

// Of step 0 … num_steps - 1.
double learning_rate(const ScheduleOptions& options, std::size_t step, std::size_t num_steps);

}  // namespace millrace
