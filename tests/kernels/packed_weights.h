// Packed matrices of random weights, with the memory that they lie in, for cases and tests.
#pragma once

#include <cstddef>
#include <vector>

#include "base/random.h"
#include "kernels/packed_matrix.h"
#include "tensor/buffer.h"

namespace millrace::kernel_cases {

class PackedWeights {
 public:
  // Normal values of standard deviation 0.05, as trained weights have about. Big matrices repeat a
  // prime number of them, so that drawing takes no longer than packing.
  PackedWeights(WeightFormat format, std::size_t num_rows, std::size_t num_cols,
                std::uint64_t seed = 1)
      : PackedWeights(format, num_rows, num_cols, normal_values(num_rows * num_cols, seed)) {}

  PackedWeights(WeightFormat format, std::size_t num_rows, std::size_t num_cols,
                const std::vector<float>& values)
      : buffer_(MUST(Buffer::allocate(  // Test sizes: fits.
            MUST(packed_bytes(format, num_rows, num_cols))))) {
    matrix_ = {.format = format,
               .num_rows = num_rows,
               .num_cols = num_cols,
               .data = buffer_.bytes().data()};
    pack_rows(view_of(values.data(), {num_rows, num_cols}), 0, matrix_);
  }

  const PackedMatrix& matrix() const { return matrix_; }
  PackedMatrix& matrix() { return matrix_; }
  std::size_t num_bytes() const { return buffer_.bytes().size(); }

 private:
  static std::vector<float> normal_values(std::size_t count, std::uint64_t seed) {
    Random random(seed);
    constexpr std::size_t kDrawn = 65537;
    std::vector<float> values(count);
    for (std::size_t i = 0; i < count; ++i) {
      values[i] = i < kDrawn ? static_cast<float>(random.normal() * 0.05) : values[i - kDrawn];
    }
    return values;
  }

  Buffer buffer_;
  PackedMatrix matrix_;
};

// QuantizedRows with their memory.
class QuantizedBuffer {
 public:
  QuantizedBuffer(std::size_t num_rows, std::size_t num_cols)
      : buffer_(MUST(Buffer::allocate(quantized_rows_bytes(num_rows, num_cols)))),  // Test sizes.
        rows_(quantized_rows_in(buffer_.bytes().data(), num_rows, num_cols)) {}

  const QuantizedRows& rows() const { return rows_; }
  std::vector<std::byte> bytes() const { return {buffer_.bytes().begin(), buffer_.bytes().end()}; }

 private:
  Buffer buffer_;
  QuantizedRows rows_;
};

}  // namespace millrace::kernel_cases
