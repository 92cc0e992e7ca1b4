// Takes packed matrices to a device: rows in the device's layout, a few megabytes at a time.
#pragma once

#include <cstddef>

#include "base/result.h"
#include "kernels/cuda/device_matrix.h"
#include "kernels/packed_matrix.h"
#include "tensor/device_memory.h"

namespace millrace::cuda {

// Bytes that a matrix takes on the device, a multiple of kDeviceMatrixAlignment.
std::size_t device_matrix_bytes(const PackedMatrix& packed);

// Writes it to `to` (device_matrix_bytes of the device's memory, aligned to
// kDeviceMatrixAlignment) and gives its view there. `packed` may lie in a mapped file.
Result<PackedMatrix> upload_matrix(const PackedMatrix& packed, DeviceMemory& memory, std::byte* to);

}  // namespace millrace::cuda
