// The case table on the device that this test was built for: right by the reference, whatever
// thread goes first, and products of every format on every path.
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>

#include "base/random.h"
#include "kernel_case.h"
#include "kernels/cuda/cuda_ops.h"
#include "packed_weights.h"
#include "staged_ops.h"
#include "test_device.h"

namespace millrace::kernel_cases {
namespace {

using cuda::BatchInvariance;
using cuda::CudaOps;
using cuda::CudaOpsOptions;

// The first or second half of a row's name, up to its shape.
std::string family_of(const std::string& name) {
  return name.substr(0, name.find('/'));
}

// Int formats multiply x as it is on a device, and bf16 rounds it; what the table expects of them
// is the CPU's quantised x. They have tests of their own below.
bool is_of_table(const CaseRow& row) {
  const std::string family = family_of(row.name);
  return row.use != Use::kBenchmark && family != "matmul" && family != "experts" &&
         family != "head_matmul" && family != "quantize_rows" && family != "quantize_heads" &&
         family != "lora";
}

class DeviceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    runtime_ = open_test_device();
    if (runtime_ == nullptr) GTEST_SKIP() << "no device here: " << kNoTestDevice;
  }
  std::unique_ptr<CudaOps> make_ops(BatchInvariance invariance = BatchInvariance::kOff) {
    CudaOpsOptions options;
    options.invariance = invariance;
    options.twin_elements = 1u << 20;
    options.partial_elements = 1u << 20;
    return MUST(CudaOps::create(*runtime_, options));  // A few megabytes.
  }

  std::unique_ptr<cuda::Runtime> runtime_;
};

class DeviceTableTest : public DeviceTest, public ::testing::WithParamInterface<std::string> {
 protected:
  void run_rows(DeviceOps& device) {
    const CpuKernels& kernels = *runnable_cpu_kernels().front();
    ThreadTeam team(1);
    for (const CaseRow& row : all_cases()) {
      if (!is_of_table(row) || family_of(row.name) != GetParam()) continue;
      SCOPED_TRACE(row.name);
      const std::unique_ptr<KernelCase> kernel_case = row.make();
      // A pair of attention is a multiply-add of many; an element of a row, a thread's whole life.
      const double weight = GetParam() == "attention" ? 4 : 1;
      if (kernel_case->cost().operations > weight * kTestOperationsMax) continue;
      KernelContext context(kernels, team, device);
      kernel_case->reset();
      kernel_case->run(context);
      EXPECT_EQ(kernel_case->check_narrow(attention_unit(row)), "");
      const std::vector<std::byte> output = kernel_case->output();
      set_test_order(TestOrder::kFalling);
      kernel_case->reset();
      kernel_case->run(context);
      set_test_order(TestOrder::kRising);
      EXPECT_TRUE(kernel_case->output() == output) << "the order of threads changes the result";
    }
  }

 private:
  // Attention over caches of 16 and 8 bits may run on tensor cores, which take queries and weights
  // in 16 bits.
  static double attention_unit(const CaseRow& row) {
    if (!row.name.starts_with("attention/")) return 0;
    if (row.name.starts_with("attention/f32")) return 0;
    return row.name.starts_with("attention/f16") ? 0x1.0p-11 : 0x1.0p-8;
  }
};

TEST_P(DeviceTableTest, AgreesWithTheReference) {
  const std::unique_ptr<CudaOps> ops = make_ops();
  cuda::StagedOps staged(*runtime_, *ops);
  run_rows(staged);
}

std::vector<std::string> families() {
  std::vector<std::string> names;
  for (const CaseRow& row : all_cases()) {
    if (!is_of_table(row)) continue;
    if (names.empty() || std::find(names.begin(), names.end(), family_of(row.name)) == names.end())
      names.push_back(family_of(row.name));
  }
  return names;
}
INSTANTIATE_TEST_SUITE_P(Families, DeviceTableTest, ::testing::ValuesIn(families()),
                         [](const auto& test) { return test.param; });

// ---- Products
// ------------------------------------------------------------------------------------

struct ProductShape {
  std::size_t num_rows = 1;
  std::size_t num_outputs = 1;
  std::size_t depth = 32;
};

// y = x W^T + bias + y against the exact sum of the weights as they are stored. `unit` is what each
// factor may be off by, relatively: 0 where both are taken as they are.
class ProductCheck {
 public:
  ProductCheck(WeightFormat format, const ProductShape& shape)
      : shape_(shape),
        weights_(format, shape.num_outputs, shape.depth),
        x_(shape.num_rows, shape.depth),
        y_(shape.num_rows, shape.num_outputs),
        bias_(shape.num_outputs) {
    Random random(31);
    x_.fill_with([&] { return random.normal(); });
    Random of_bias(32);
    for (float& bias : bias_) bias = static_cast<float>(of_bias.normal());
    y_.fill(0.5f);
  }
  void run(KernelContext& context) {
    y_.fill(0.5f);
    matmul(context, {x_.view(), nullptr}, weights_.matrix(),
           {.bias = bias_.data(), .accumulate = Accumulate::kAdd}, y_.view());
  }
  std::string check(double unit) {
    GuardedRows want(shape_.num_rows, shape_.num_outputs);
    std::vector<double> magnitudes(shape_.num_rows * shape_.num_outputs);
    std::vector<float> row(shape_.depth);
    for (std::size_t n = 0; n < shape_.num_outputs; ++n) {
      unpack_row(weights_.matrix(), n, row.data());
      for (std::size_t m = 0; m < shape_.num_rows; ++m) {
        double sum = 0.5 + double{bias_[n]};
        double magnitude = 0.5 + std::abs(double{bias_[n]});
        for (std::size_t k = 0; k < shape_.depth; ++k) {
          sum += double{x_.row(m)[k]} * double{row[k]};
          magnitude += std::abs(double{x_.row(m)[k]} * double{row[k]});
        }
        want.row(m)[n] = static_cast<float>(sum);
        magnitudes[m * shape_.num_outputs + n] = magnitude;
      }
    }
    return compare(y_, want, [&](std::size_t m, std::size_t n, double) {
      return magnitudes[m * shape_.num_outputs + n] *
             (gamma_n(shape_.depth + 4) + 2 * unit + unit * unit + 0x1.0p-23);
    });
  }
  std::vector<float> row(std::size_t m) const {
    return {y_.row(m), y_.row(m) + shape_.num_outputs};
  }

 private:
  ProductShape shape_;
  PackedWeights weights_;
  GuardedRows x_;
  GuardedRows y_;
  std::vector<float> bias_;
};

std::vector<WeightFormat> all_formats() {
  std::vector<WeightFormat> formats;
  for (std::size_t f = 0; f < kNumWeightFormats; ++f) {
    formats.push_back(static_cast<WeightFormat>(f));
  }
  return formats;
}

// What a 16-bit float is off by: bf16 has 8 bits of significand, f16 11.
double unit_of(WeightFormat format) {
  return format == WeightFormat::kF16 ? 0x1.0p-11 : 0x1.0p-8;
}

class DeviceProductTest : public DeviceTest, public ::testing::WithParamInterface<WeightFormat> {};

TEST_P(DeviceProductTest, OfFewRowsTakesEveryFactorAsItIs) {
  const std::unique_ptr<CudaOps> ops = make_ops();
  cuda::StagedOps staged(*runtime_, *ops);
  ThreadTeam team(1);
  KernelContext context(*runnable_cpu_kernels().front(), team, staged);
  for (const ProductShape& shape : {ProductShape{1, 1, 32}, ProductShape{1, 19, 64},
                                    ProductShape{3, 33, 1184}, ProductShape{4, 16, 96}}) {
    SCOPED_TRACE(std::to_string(shape.num_rows) + "x" + std::to_string(shape.num_outputs));
    ProductCheck product(GetParam(), shape);
    product.run(context);
    EXPECT_EQ(product.check(0), "");
  }
}

TEST_P(DeviceProductTest, InTilesIsOffByTheRoundingOfItsFactors) {
  if (GetParam() == WeightFormat::kF32) GTEST_SKIP() << "f32 weights are never narrowed";
  const std::unique_ptr<CudaOps> ops = make_ops();
  cuda::StagedOps staged(*runtime_, *ops);
  ThreadTeam team(1);
  KernelContext context(*runnable_cpu_kernels().front(), team, staged);
  for (const ProductShape& shape : {ProductShape{5, 7, 32}, ProductShape{65, 66, 96}}) {
    SCOPED_TRACE(std::to_string(shape.num_rows) + "x" + std::to_string(shape.num_outputs));
    ProductCheck product(GetParam(), shape);
    product.run(context);
    EXPECT_EQ(product.check(unit_of(GetParam())), "");
  }
}

TEST_P(DeviceProductTest, OfARowDoesNotDependOnTheOthersWhenInvariant) {
  const std::unique_ptr<CudaOps> ops = make_ops(BatchInvariance::kOn);
  cuda::StagedOps staged(*runtime_, *ops);
  ThreadTeam team(1);
  KernelContext context(*runnable_cpu_kernels().front(), team, staged);
  ProductCheck alone(GetParam(), {1, 40, 64});
  ProductCheck among(GetParam(), {9, 40, 64});
  alone.run(context);
  among.run(context);
  EXPECT_EQ(alone.row(0), among.row(0));  // Both draw the same first row.
}

INSTANTIATE_TEST_SUITE_P(Formats, DeviceProductTest, ::testing::ValuesIn(all_formats()),
                         [](const auto& test) {
                           std::string name(weight_format_name(test.param));
                           for (char& c : name) c = c == '-' ? '_' : c;
                           return name;
                         });

}  // namespace
}  // namespace millrace::kernel_cases
