// Cases of the matrix product, the quantisation of rows and the embedding.
#include <algorithm>

#include "kernel_case.h"
#include "kernels/pack.h"
#include "kernels/ref/ref.h"
#include "packed_weights.h"

namespace millrace::kernel_cases {
namespace {

struct MatmulShape {
  WeightFormat format = WeightFormat::kF32;
  std::size_t num_rows = 1;     // M
  std::size_t num_outputs = 1;  // N
  std::size_t depth = 32;       // P
};

enum class Extras : std::uint8_t { kNone, kBiasAndAdd };

class MatmulCase final : public KernelCase {
 public:
  MatmulCase(const MatmulShape& shape, Extras extras)
      : shape_(shape),
        weights_(shape.format, shape.num_outputs, shape.depth),
        x_(shape.num_rows, shape.depth),
        y_(shape.num_rows, shape.num_outputs),
        quantized_(shape.num_rows, (shape.depth + 31) / 32 * 32) {
    Random random(2);
    x_.fill_with([&] { return random.normal(); });
    if (extras == Extras::kBiasAndAdd) {
      for (std::size_t n = 0; n < shape.num_outputs; ++n) {
        bias_.push_back(static_cast<float>(random.normal()));
      }
      options_ = {.bias = bias_.data(), .accumulate = Accumulate::kAdd};
    }
    if (needs_quantized_rows(shape.format)) ref::quantize_rows(x_.view(), quantized_.rows());
    reset();
  }

  void reset() override { y_.fill(0.5f); }
  void run(KernelContext& context) override {
    matmul(context, input(), weights_.matrix(), options_, y_.view());
  }
  std::string check() override {
    GuardedRows want(shape_.num_rows, shape_.num_outputs);
    GuardedRows magnitudes(shape_.num_rows, shape_.num_outputs);
    want.fill(0.5f);
    TensorView magnitude_view = magnitudes.view();
    ref::matmul(input(), weights_.matrix(), options_, want.view(), &magnitude_view);
    const double relative = gamma_n(num_roundings());
    return compare(y_, want, [&](std::size_t r, std::size_t c, double) {
      return relative * double{magnitudes.row(r)[c]} + 1e-30;
    });
  }
  std::vector<std::byte> output() const override { return y_.bytes(); }
  Cost cost() const override {
    const double macs = static_cast<double>(shape_.num_rows * shape_.num_outputs * shape_.depth);
    const Roof compute = needs_quantized_rows(shape_.format) ? Roof::kInt8 : Roof::kFma;
    const std::size_t x_bytes =
        shape_.num_rows * shape_.depth * (needs_quantized_rows(shape_.format) ? 1 : sizeof(float));
    return {.operations = 2 * macs,
            .bytes = static_cast<double>(weights_.num_bytes() + x_bytes +
                                         shape_.num_rows * shape_.num_outputs * sizeof(float)),
            .roof = shape_.num_rows >= 16 ? compute : Roof::kBandwidth};
  }

 private:
  MatmulInput input() { return {.x = x_.view(), .quantized = &quantized_.rows()}; }

  // Roundings on the way of one term into the sum. Floats: the product (in rows without fused
  // multiply-add), P sums, the bias, the old y, the reference's own. Ints: the product of the two
  // scales, the same per group; with minima two sums per group.
  std::size_t num_roundings() const {
    if (!needs_quantized_rows(shape_.format)) return shape_.depth + 4;
    const IntFormat ints = int_format(shape_.format);
    return shape_.depth / ints.group_size * (ints.has_minimum ? 2 : 1) + 6;
  }

  MatmulShape shape_;
  PackedWeights weights_;
  GuardedRows x_;
  GuardedRows y_;
  QuantizedBuffer quantized_;
  std::vector<float> bias_;
  MatmulOptions options_;
};

class QuantizeCase final : public KernelCase {
 public:
  QuantizeCase(std::size_t num_rows, std::size_t num_cols)
      : x_(num_rows, num_cols), quantized_(num_rows, num_cols) {
    Random random(3);
    // Some groups of zeros, some tiny, some huge.
    std::size_t i = 0;
    x_.fill_with([&] {
      const double sizes[] = {1.0, 0.0, 1e-30, 1e30, 3.0};
      return random.normal() * sizes[i++ / kWeightGroup % 5];
    });
  }
  void reset() override {}
  void run(KernelContext& context) override {
    quantize_rows(context, x_.view(), quantized_.rows());
  }
  std::string check() override {
    const QuantizedRows& q = quantized_.rows();
    const std::size_t num_groups = q.num_cols / kWeightGroup;
    for (std::size_t i = 0; i < q.num_rows * num_groups; ++i) {
      const std::string found =
          check_group(x_.row(i / num_groups) + i % num_groups * kWeightGroup,
                      q.values + i * kWeightGroup, double{q.scales[i]}, q.sums + 2 * i);
      if (!found.empty()) return "group " + std::to_string(i) + ": " + found;
    }
    return {};
  }
  std::vector<std::byte> output() const override { return quantized_.bytes(); }
  Cost cost() const override {
    const auto count = static_cast<double>(x_.num_rows() * x_.num_cols());
    return {.operations = 3 * count, .bytes = 5.25 * count};
  }

 private:
  static std::string check_group(const float* x, const std::int8_t* q, double scale,
                                 const std::int32_t* sums) {
    double highest = 0;
    std::int32_t totals[] = {0, 0};
    for (std::size_t i = 0; i < kWeightGroup; ++i) {
      highest = std::max(highest, std::abs(double{x[i]}));
      totals[i / kSumGroup] += q[i];
      // Half a step, and the roundings of the scale's inverse and of the product with it, each at
      // most 127 u.
      if (!(std::abs(double{x[i]} - scale * q[i]) <= scale * (0.5 + 127 * gamma_n(4)))) {
        return "value " + std::to_string(i) + " is not the nearest";
      }
    }
    if (totals[0] != sums[0] || totals[1] != sums[1]) return "a sum is wrong";
    if (std::abs(scale - highest / 127) > gamma_n(2) * scale) return "the scale is wrong";
    return {};
  }

  GuardedRows x_;
  QuantizedBuffer quantized_;
};

class EmbedCase final : public KernelCase {
 public:
  EmbedCase(WeightFormat format, std::size_t num_tokens, std::size_t num_cols)
      : weights_(format, kVocabulary, num_cols), y_(num_tokens, num_cols) {
    Random random(4);
    for (std::size_t t = 0; t < num_tokens; ++t) {
      ids_.push_back(static_cast<std::uint32_t>(random.below(kVocabulary)));
    }
  }
  void reset() override { y_.fill(0); }
  void run(KernelContext& context) override {
    embed(context, weights_.matrix(), ids_, 1.75f, y_.view());
  }
  std::string check() override {
    GuardedRows want(y_.num_rows(), y_.num_cols());
    ref::embed(weights_.matrix(), ids_, 1.75f, want.view());
    return compare(y_, want, [](std::size_t, std::size_t, double) { return 0.0; });
  }
  std::vector<std::byte> output() const override { return y_.bytes(); }
  Cost cost() const override {
    const auto count = static_cast<double>(y_.num_rows() * y_.num_cols());
    return {.operations = count,
            .bytes = count * (4 + weight_format_bits(weights_.matrix().format) / 8)};
  }

 private:
  static constexpr std::size_t kVocabulary = 37;

  PackedWeights weights_;
  GuardedRows y_;
  std::vector<std::uint32_t> ids_;
};

std::string matmul_name(const MatmulShape& shape) {
  return "matmul/" + std::string(weight_format_name(shape.format)) + "/M" +
         std::to_string(shape.num_rows) + "/N" + std::to_string(shape.num_outputs) + "/P" +
         std::to_string(shape.depth);
}

void add_matmul(std::vector<CaseRow>& rows, const MatmulShape& shape, Use use,
                Extras extras = Extras::kNone) {
  rows.push_back({matmul_name(shape) + (extras == Extras::kNone ? "" : "/bias+add"), use,
                  [shape, extras] { return std::make_unique<MatmulCase>(shape, extras); }});
}

}  // namespace

void add_matmul_cases(std::vector<CaseRow>& rows) {
  for (std::size_t f = 0; f < kNumWeightFormats; ++f) {
    const auto format = static_cast<WeightFormat>(f);
    // Rows around every tile height and block, outputs around a panel and a vector.
    for (const std::size_t m : {0u, 1u, 2u, 3u, 4u, 5u, 6u, 7u, 12u, 13u, 95u, 97u}) {
      add_matmul(rows, {format, m, 35, 96}, Use::kTest);
    }
    for (const std::size_t n : {1u, 7u, 8u, 9u, 15u, 16u, 17u, 64u, 81u}) {
      add_matmul(rows, {format, 1, n, 64}, Use::kTest);
      add_matmul(rows, {format, 9, n, 64}, Use::kTest, Extras::kBiasAndAdd);
    }
    // Depths around the blocks of 256 k and of 16 groups; floats take any depth.
    for (const std::size_t p : {32u, 224u, 256u, 288u, 512u, 544u, 1056u}) {
      add_matmul(rows, {format, 1, 20, p}, Use::kTest);
      add_matmul(rows, {format, 11, 20, p}, Use::kTest, Extras::kBiasAndAdd);
    }
    if (weight_depth_multiple(format) == 1) {
      for (const std::size_t p : {1u, 2u, 17u, 255u, 257u}) {
        add_matmul(rows, {format, 1, 18, p}, Use::kTest);
        add_matmul(rows, {format, 8, 18, p}, Use::kTest);
      }
    }
    // Qwen2.5-0.5B's feed-forward; its vocabulary projection, which no cache holds.
    for (const std::size_t m : {1u, 8u, 32u, 512u}) {
      add_matmul(rows, {format, m, 4864, 896}, Use::kBenchmark);
      add_matmul(rows, {format, m, 896, 4864}, Use::kBenchmark);
    }
    add_matmul(rows, {format, 1, 151936, 896}, Use::kBenchmark);
    rows.push_back({"embed/" + std::string(weight_format_name(format)), Use::kTestAndBenchmark,
                    [format] { return std::make_unique<EmbedCase>(format, 21, 64); }});
  }
  for (const std::size_t m : {0u, 1u, 3u, 64u}) {
    for (const std::size_t p : {32u, 96u, 4864u}) {
      rows.push_back({"quantize_rows/M" + std::to_string(m) + "/P" + std::to_string(p),
                      p == 4864 ? Use::kTestAndBenchmark : Use::kTest,
                      [m, p] { return std::make_unique<QuantizeCase>(m, p); }});
    }
  }
}

}  // namespace millrace::kernel_cases
