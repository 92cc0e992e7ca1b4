// Pieces of whole rows, through one buffer of the host.
#include "kernels/cuda/weight_upload.h"

#include <algorithm>
#include <span>
#include <vector>

#include "base/checked.h"

namespace millrace::cuda {
namespace {

// Large enough for the bus, small enough to stay in the host's cache while it is written.
constexpr std::size_t kPieceBytes = 4u << 20;

Status put(DeviceMemory& memory, std::span<const std::byte> image, std::byte* to) {
  if (image.empty()) return Ok{};
  return memory.upload(image, to);
}

}  // namespace

std::size_t device_matrix_bytes(const PackedMatrix& packed) {
  const DeviceMatrixLayout layout =
      device_matrix_layout(packed.format, packed.num_rows, packed.num_cols);
  return round_up(layout.num_bytes, kDeviceMatrixAlignment);
}

Result<PackedMatrix> upload_matrix(const PackedMatrix& packed, DeviceMemory& memory,
                                   std::byte* to) {
  const DeviceMatrixLayout layout =
      device_matrix_layout(packed.format, packed.num_rows, packed.num_cols);
  const std::size_t piece_rows =
      std::max<std::size_t>(1, kPieceBytes / std::max<std::size_t>(1, layout.row_bytes));
  std::vector<std::byte> values;
  std::vector<std::byte> scales;
  std::vector<std::byte> minima;
  for (std::size_t begin = 0; begin < packed.num_rows; begin += piece_rows) {
    const std::size_t end = std::min(begin + piece_rows, packed.num_rows);
    values.resize((end - begin) * layout.row_bytes);
    scales.resize((end - begin) * layout.scale_row_bytes);
    minima.resize(layout.has_minimum ? scales.size() : 0);
    write_device_rows(packed, begin, end, {values.data(), scales.data(), minima.data()});
    TRY(put(memory, values, to + begin * layout.row_bytes));
    TRY(put(memory, scales, to + layout.scale_offset + begin * layout.scale_row_bytes));
    TRY(put(memory, minima, to + layout.minimum_offset + begin * layout.scale_row_bytes));
  }
  PackedMatrix uploaded = packed;
  uploaded.data = to;
  uploaded.device = memory.device();
  return uploaded;
}

}  // namespace millrace::cuda
