// What the fuzz targets of formats share: use of everything that a parser promised.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "formats/decode.h"
#include "formats/weight_source.h"

namespace millrace {

inline std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Reads the first row of every tensor that can be read, and the ends of the others. The sanitizers
// watch that nothing outside the image is touched.
inline void use_tensors(std::span<const TensorInfo> tensors) {
  constexpr std::size_t kRowElementsMax = 1 << 16;
  for (const TensorInfo& info : tensors) {
    if (!info.bytes.empty()) {
      volatile std::byte last = info.bytes.back();
      static_cast<void>(last);
    }
    if (!info.refusal.empty()) continue;
    CHECK(info.dtype.has_value());
    CHECK(storage_bytes(*info.dtype, info.shape.num_elements()) == info.bytes.size());
    const std::size_t row_elements = info.shape.row_elements();
    if (info.bytes.empty() || row_elements > kRowElementsMax) continue;
    std::vector<float> row(row_elements);
    const SourceTensor tensor{info.name, *info.dtype, info.shape, info.bytes};
    const bool parts_a_group = row_elements % quant_format(*info.dtype).group_size != 0;
    CHECK(decode_rows(tensor, 0, 1, row).ok() == (can_decode(*info.dtype) && !parts_a_group));
  }
}

}  // namespace millrace
