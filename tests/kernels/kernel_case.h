// One row of the case table: an op on prepared inputs, its check against the reference, and what a
// call costs. Driven by the correctness tests and by the benchmarks alike.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "kernels/cpu/kernels.h"
#include "kernels/ops.h"
#include "tensor/buffer.h"

namespace millrace::kernel_cases {

// What bounds an op on this machine.
enum class Roof : std::uint8_t {
  kBandwidth,  // a streaming read of its bytes
  kFma,        // an f32 multiply-add loop
  kInt8,       // vpmaddubsw + vpmaddwd + add
};

// Of one call.
struct Cost {
  double operations = 0;
  double bytes = 0;  // Each input read once, each output written once.
  Roof roof = Roof::kBandwidth;
};

// The bound of Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., ch. 3, for f32.
inline double gamma_n(std::size_t n) {
  const double nu = static_cast<double>(n) * 0x1.0p-24;
  return nu / (1 - nu);
}

// Inputs are made by the constructor from a fixed seed.
class KernelCase {
 public:
  virtual ~KernelCase() = default;
  // Puts outputs (and what is changed in place) back to their state before the first run.
  virtual void reset() = 0;
  virtual void run(KernelContext& context) = 0;
  // Empty when the outputs of one run after reset() are right; otherwise what is wrong.
  virtual std::string check() = 0;
  // The same for kernels that narrow what they multiply: each factor may be off by `unit` of
  // itself. Of attention only; elsewhere as check().
  virtual std::string check_narrow(double /*unit*/) { return check(); }
  // What must be the same, bit for bit, whatever the number of threads.
  virtual std::vector<std::byte> output() const = 0;
  virtual Cost cost() const = 0;
};

enum class Use : std::uint8_t { kTest, kTestAndBenchmark, kBenchmark };

struct CaseRow {
  std::string name;
  Use use = Use::kTest;
  std::function<std::unique_ptr<KernelCase>()> make;
};

// The table.
std::vector<CaseRow> all_cases();
void add_matmul_cases(std::vector<CaseRow>& rows);
void add_row_cases(std::vector<CaseRow>& rows);
void add_attention_cases(std::vector<CaseRow>& rows);
void add_expert_cases(std::vector<CaseRow>& rows);
void add_lora_cases(std::vector<CaseRow>& rows);

// A float matrix whose rows are followed by a few guard elements that no kernel may touch.
class GuardedRows {
 public:
  static constexpr std::size_t kGuard = 5;
  static constexpr float kGuardValue = 12345.75f;

  GuardedRows(std::size_t num_rows, std::size_t num_cols)
      : num_rows_(num_rows), num_cols_(num_cols), values_(num_rows * (num_cols + kGuard)) {
    fill(kGuardValue);
  }
  void fill(float value) {
    for (std::size_t i = 0; i < values_.size(); ++i) {
      values_[i] = i % (num_cols_ + kGuard) < num_cols_ ? value : kGuardValue;
    }
  }
  template <class Draw>
  void fill_with(const Draw& draw) {
    for (std::size_t r = 0; r < num_rows_; ++r) {
      for (std::size_t c = 0; c < num_cols_; ++c) row(r)[c] = static_cast<float>(draw());
    }
  }
  float* row(std::size_t r) { return values_.data() + r * (num_cols_ + kGuard); }
  const float* row(std::size_t r) const { return values_.data() + r * (num_cols_ + kGuard); }
  std::size_t num_rows() const { return num_rows_; }
  std::size_t num_cols() const { return num_cols_; }

  TensorView view() { return shaped({num_rows_, num_cols_}); }
  // Dimensions 1.. must multiply to num_cols.
  TensorView shaped(const Shape& shape) {
    TensorView view = view_of(values_.data(), shape);
    view.row_stride = num_cols_ + kGuard;
    return view;
  }
  bool guards_hold() const {
    for (std::size_t i = 0; i < values_.size(); ++i) {
      if (i % (num_cols_ + kGuard) >= num_cols_ && values_[i] != kGuardValue) return false;
    }
    return true;
  }
  std::vector<std::byte> bytes() const {
    const auto* begin = reinterpret_cast<const std::byte*>(values_.data());
    return {begin, begin + values_.size() * sizeof(float)};
  }

 private:
  std::size_t num_rows_;
  std::size_t num_cols_;
  std::vector<float> values_;
};

// Compares got with want, elementwise; tolerance(r, c, want) is the absolute bound.
template <class Tolerance>
std::string compare(const GuardedRows& got, const GuardedRows& want, const Tolerance& tolerance) {
  if (!got.guards_hold()) return "elements beside a row were written";
  for (std::size_t r = 0; r < got.num_rows(); ++r) {
    for (std::size_t c = 0; c < got.num_cols(); ++c) {
      const double expected = double{want.row(r)[c]};
      const double found = double{got.row(r)[c]};
      const double bound = tolerance(r, c, expected);
      if (!(std::abs(found - expected) <= bound)) {
        return "at [" + std::to_string(r) + ", " + std::to_string(c) + "]: found " +
               std::to_string(found) + ", expected " + std::to_string(expected) + ", off by " +
               std::to_string(std::abs(found - expected) / bound) + " times the bound";
      }
    }
  }
  return {};
}

}  // namespace millrace::kernel_cases
