// Everything that a training run is told, as plain data.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.h"
#include "train/schedule.h"

namespace millrace {

// Loshchilov & Hutter 2017, arXiv:1711.05101, alg. 2. Vectors (norms, biases) do not decay.
struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.95;
  double eps = 1e-8;
  double weight_decay = 0.1;
};

// kAuto: bf16 on a GPU and on a CPU with its products (AVX512-BF16), f32 elsewhere.
enum class Precision : std::uint8_t { kAuto, kF32, kBF16 };
enum class TrainDevice : std::uint8_t { kAuto, kCpu, kCuda };
enum class TrainQuantization : std::uint8_t { kNone, kInt8, kInt4 };

// How a student learns from a teacher beside the text: Hinton, Vinyals & Dean 2015,
// arXiv:1503.02531, section 2.
struct DistillOptions {
  double weight = 0.5;  // of the teacher's part of the loss; the text has the rest
  double temperature =
      2.0;  // both distributions are flattened by it, the loss multiplied by its square
  std::size_t top_k = 64;  // of the teacher's logits that are kept; the rest is one more outcome
};

struct TrainOptions {
  std::uint64_t seed = 0;
  std::size_t num_steps = 1000;
  std::size_t context = 512;   // places of a row
  std::size_t step_rows = 32;  // rows of one step of the optimiser
  std::size_t micro_rows = 8;  // rows of one pass; the gradients of the passes are added
  AdamWOptions optimizer;
  ScheduleOptions schedule;
  double gradient_norm_max = 1.0;
  double balance_weight = 0.01;  // of the experts' balance loss
  std::size_t log_steps = 10;
  std::size_t evaluate_steps = 200;  // 0: at the end only
  std::size_t evaluate_rows = 64;
  Duration checkpoint_time = std::chrono::minutes(5);
  std::size_t checkpoint_steps = 0;  // 0: by time alone
  Precision precision = Precision::kAuto;
  TrainDevice device = TrainDevice::kAuto;
  TrainQuantization quantization = TrainQuantization::kNone;
  std::optional<DistillOptions> distill;
  std::size_t num_threads = 0;  // 0: one per core
};

}  // namespace millrace
