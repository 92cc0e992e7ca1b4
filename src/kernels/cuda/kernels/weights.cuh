// Device code that reads weights: 16 bytes of a row at once, as floats.
#pragma once

#include <type_traits>

#include "kernels/cuda/device_code.h"
#include "kernels/cuda/device_matrix.h"
#include "kernels/pack.h"

namespace millrace::cuda {

constexpr unsigned weights_per_load(WeightFormat format) {
  if (needs_quantized_rows(format)) return static_cast<unsigned>(128 / int_format(format).num_bits);
  return static_cast<unsigned>(16 / weight_element_bytes(format));
}

// The values of kE2m1Values and kIq4Values, from registers: device code has no table to look into.
__device__ inline float e2m1_value(unsigned code) {
  const unsigned index = code & 7u;
  const unsigned magnitude =
      index < 4 ? index : (index == 4 ? 4u : (index == 5 ? 6u : (index == 6 ? 8u : 12u)));
  return (code & 8u) != 0 ? -static_cast<float>(magnitude) : static_cast<float>(magnitude);
}
__device__ inline float iq4_value(unsigned code) {
  // Four values in a word, the first in its lowest byte.
  const std::uint32_t words =
      code < 8 ? (code < 4 ? 0xBFAD9881u : 0xF6EADDCFu) : (code < 12 ? 0x26190D01u : 0x71594535u);
  return static_cast<float>(static_cast<std::int8_t>(words >> (8 * (code & 3u))));
}

template <WeightFormat kFormat>
__device__ inline float code_value(unsigned code) {
  constexpr IntFormat kInts = int_format(kFormat);
  if constexpr (kInts.num_bits == 8) return static_cast<float>(static_cast<std::int8_t>(code));
  if constexpr (kInts.values == QuantValues::kE2m1) return e2m1_value(code);
  if constexpr (kInts.values == QuantValues::kIq4) return iq4_value(code);
  return static_cast<float>(static_cast<int>(code) + (kInts.has_minimum ? 0 : -8));
}

template <WeightFormat kFormat>
__device__ inline float group_scale(const std::byte* scales, unsigned group) {
  if constexpr (kFormat == WeightFormat::kE4m3G32 || int_format(kFormat).has_wide_scales) {
    return reinterpret_cast<const float*>(scales)[group];
  } else {
    return f16_to_float(reinterpret_cast<const std::uint16_t*>(scales)[group]);
  }
}

// Where one row of a matrix lies.
struct WeightRow {
  const std::byte* values;
  const std::byte* scales;
  const std::byte* minima;
};
__device__ inline WeightRow weight_row(const MatrixView& matrix, unsigned row) {
  return {matrix.values + row * matrix.row_bytes, matrix.scales + row * matrix.scale_row_bytes,
          matrix.minima == nullptr ? nullptr : matrix.minima + row * matrix.scale_row_bytes};
}

template <WeightFormat kFormat>
__device__ inline Words4 load_weights(const WeightRow& row, unsigned load) {
  return reinterpret_cast<const Words4*>(row.values)[load];
}

// Weights [load * n, (load + 1) * n) of a row as f32, n = weights_per_load; each is its format's
// own value, rounded once.
template <WeightFormat kFormat>
__device__ inline void widen_weights(const WeightRow& row, const Words4& words, unsigned load,
                                     float (&w)[weights_per_load(kFormat)]) {
  constexpr unsigned kCount = weights_per_load(kFormat);
  if constexpr (kFormat == WeightFormat::kF32) {
#pragma unroll
    for (unsigned i = 0; i < kCount; ++i) w[i] = bits_as_float(words.word[i]);
  } else if constexpr (kFormat == WeightFormat::kF16 || kFormat == WeightFormat::kBF16) {
#pragma unroll
    for (unsigned i = 0; i < kCount; ++i) {
      const auto bits = static_cast<std::uint16_t>(words.word[i / 2] >> (16 * (i % 2)));
      w[i] = kFormat == WeightFormat::kF16 ? f16_to_float(bits) : bf16_to_float(bits);
    }
  } else if constexpr (kFormat == WeightFormat::kE4m3G32) {
    const float scale =
        group_scale<kFormat>(row.scales, load * kCount / static_cast<unsigned>(kWeightGroup));
#pragma unroll
    for (unsigned i = 0; i < kCount; ++i) {
      w[i] = scale * e4m3_to_float(static_cast<std::uint8_t>(words.word[i / 4] >> (8 * (i % 4))));
    }
  } else {
    constexpr IntFormat kInts = int_format(kFormat);
    constexpr unsigned kBits = static_cast<unsigned>(kInts.num_bits);
    constexpr unsigned kGroup = static_cast<unsigned>(kInts.group_size);
    constexpr unsigned kPart = kGroup < kCount ? kGroup : kCount;  // of one group
#pragma unroll
    for (unsigned begin = 0; begin < kCount; begin += kPart) {
      const unsigned group = (load * kCount + begin) / kGroup;
      const float scale = group_scale<kFormat>(row.scales, group);
      const float minimum = kInts.has_minimum ? group_scale<kFormat>(row.minima, group) : 0.0f;
#pragma unroll
      for (unsigned i = begin; i < begin + kPart; ++i) {
        constexpr unsigned kPerWord = 32 / kBits;
        const unsigned code =
            words.word[i / kPerWord] >> (kBits * (i % kPerWord)) & ((1u << kBits) - 1u);
        w[i] = scale * code_value<kFormat>(code) + minimum;
      }
    }
  }
}

template <WeightFormat kFormat>
inline constexpr std::integral_constant<WeightFormat, kFormat> kFormatConstant{};

// Calls work(kFormatConstant<f>) for the matrix's format f.
template <class Work>
inline void for_format(WeightFormat format, const Work& work) {
  switch (format) {
    case WeightFormat::kF32:
      return work(kFormatConstant<WeightFormat::kF32>);
    case WeightFormat::kF16:
      return work(kFormatConstant<WeightFormat::kF16>);
    case WeightFormat::kBF16:
      return work(kFormatConstant<WeightFormat::kBF16>);
    case WeightFormat::kE4m3G32:
      return work(kFormatConstant<WeightFormat::kE4m3G32>);
    case WeightFormat::kInt8:
      return work(kFormatConstant<WeightFormat::kInt8>);
    case WeightFormat::kInt4:
      return work(kFormatConstant<WeightFormat::kInt4>);
    case WeightFormat::kInt4Min:
      return work(kFormatConstant<WeightFormat::kInt4Min>);
    case WeightFormat::kInt8G32:
      return work(kFormatConstant<WeightFormat::kInt8G32>);
    case WeightFormat::kInt8G32Min:
      return work(kFormatConstant<WeightFormat::kInt8G32Min>);
    case WeightFormat::kInt8G16:
      return work(kFormatConstant<WeightFormat::kInt8G16>);
    case WeightFormat::kInt4G32:
      return work(kFormatConstant<WeightFormat::kInt4G32>);
    case WeightFormat::kInt4G32Min:
      return work(kFormatConstant<WeightFormat::kInt4G32Min>);
    case WeightFormat::kInt4G16:
      return work(kFormatConstant<WeightFormat::kInt4G16>);
    case WeightFormat::kInt4G16Min:
      return work(kFormatConstant<WeightFormat::kInt4G16Min>);
    case WeightFormat::kE2m1G32:
      return work(kFormatConstant<WeightFormat::kE2m1G32>);
    case WeightFormat::kIq4G32:
      return work(kFormatConstant<WeightFormat::kIq4G32>);
  }
}

}  // namespace millrace::cuda
