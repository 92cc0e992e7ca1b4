// Reference of the matrix product, the quantisation of rows and the embedding.
#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/pack.h"
#include "kernels/ref/ref.h"

namespace millrace::ref {
namespace {

double input_value(const MatmulInput& input, const PackedMatrix& weight, std::size_t m,
                   std::size_t p) {
  if (!needs_quantized_rows(weight.format)) return double{input.x.row<float>(m)[p]};
  const QuantizedRows& q = *input.quantized;
  const double scale = q.scales[m * (q.num_cols / kWeightGroup) + p / kWeightGroup];
  return scale * q.values[m * q.num_cols + p];
}

// The largest |w| of each group: at least the minimum's where that is the value of some q, or lies
// between two. Formats with minima add up s q x and m x, whose magnitudes together are at most
// |w x| + 2 |m x|.
void find_minima(const std::vector<float>& row, std::size_t group_size,
                 std::vector<float>& minima) {
  minima.assign(row.size() / group_size, 0.0f);
  for (std::size_t p = 0; p < row.size(); ++p) {
    float& largest = minima[p / group_size];
    largest = std::max(largest, std::abs(row[p]));
  }
}

}  // namespace

void embed(const PackedMatrix& table, std::span<const std::uint32_t> ids, float scale,
           TensorView y) {
  for (std::size_t t = 0; t < ids.size(); ++t) {
    unpack_row(table, ids[t], y.row<float>(t));
    for (std::size_t e = 0; e < table.num_cols; ++e) y.row<float>(t)[e] *= scale;
  }
}

void quantize_rows(ConstTensorView x, const QuantizedRows& q) {
  const std::size_t num_groups = q.num_cols / kWeightGroup;
  for (std::size_t i = 0; i < q.num_rows * num_groups; ++i) {
    const float* values = x.row<float>(i / num_groups) + i % num_groups * kWeightGroup;
    double highest = 0;
    for (std::size_t p = 0; p < kWeightGroup; ++p) {
      highest = std::max(highest, std::abs(double{values[p]}));
    }
    q.scales[i] = static_cast<float>(highest / 127);
    q.sums[2 * i] = q.sums[2 * i + 1] = 0;
    for (std::size_t p = 0; p < kWeightGroup; ++p) {
      const double scaled = highest == 0 ? 0 : double{values[p]} * 127 / highest;
      q.values[i * kWeightGroup + p] = static_cast<std::int8_t>(std::nearbyint(scaled));
      q.sums[2 * i + p / kSumGroup] += q.values[i * kWeightGroup + p];
    }
  }
}

void matmul(const MatmulInput& input, const PackedMatrix& weight, const MatmulOptions& options,
            TensorView y, TensorView* magnitudes) {
  const bool has_minimum =
      needs_quantized_rows(weight.format) && int_format(weight.format).has_minimum;
  const std::size_t group_size = int_format(weight.format).group_size;
  std::vector<float> row(weight.num_cols);
  std::vector<float> minima;
  for (std::size_t n = 0; n < weight.num_rows; ++n) {
    unpack_row(weight, n, row.data());
    if (has_minimum) find_minima(row, group_size, minima);
    for (std::size_t m = 0; m < input.x.num_rows(); ++m) {
      double total = 0;
      double magnitude = 0;
      const auto add = [&](double term) {
        total += term;
        magnitude += std::abs(term);
      };
      for (std::size_t p = 0; p < weight.num_cols; ++p) {
        const double x = input_value(input, weight, m, p);
        add(x * double{row[p]});
        if (has_minimum) magnitude += 2 * std::abs(x) * double{minima[p / group_size]};
      }
      if (options.bias != nullptr) add(double{options.bias[n]});
      float& out = y.row<float>(m)[n];
      if (options.accumulate == Accumulate::kAdd) add(double{out});
      out = static_cast<float>(total);
      if (magnitudes != nullptr) magnitudes->row<float>(m)[n] = static_cast<float>(magnitude);
    }
  }
}

}  // namespace millrace::ref
