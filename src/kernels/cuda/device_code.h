// The vocabulary of device code: what a kernel needs of CUDA, in one place.
//
// Kernels use CUDA's own words for threads and blocks, and this header's for everything else. So
// their source can be compiled for the CPU too: tests/device_emulation provides the same names and
// runs every thread of a block in turn, which is how kernels are tested where there is no device.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__CUDACC__)
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>
#include <cuda_runtime.h>

namespace millrace::cuda {

// The block's dynamic shared memory, aligned to 128; its size is the launch's.
__device__ inline std::byte* shared_bytes() {
  extern __shared__ __align__(128) unsigned char block_memory[];
  return reinterpret_cast<std::byte*>(block_memory);
}

__device__ inline void sync_block() {
  __syncthreads();
}
__device__ inline void sync_warp() {
  __syncwarp();
}
// The value of lane (own lane ^ mask). All 32 lanes take part.
template <class T>
__device__ inline T shuffle_xor(T value, unsigned mask) {
  return __shfl_xor_sync(0xFFFFFFFFu, value, static_cast<int>(mask));
}
template <class T>
__device__ inline T shuffle_from(T value, unsigned lane) {
  return __shfl_sync(0xFFFFFFFFu, value, static_cast<int>(lane));
}
__device__ inline void add_atomically(std::uint32_t* at, std::uint32_t value) {
  atomicAdd(at, value);
}
__device__ inline void add_atomically(std::uint64_t* at, std::uint64_t value) {
  atomicAdd(reinterpret_cast<unsigned long long*>(at), value);
}

__device__ inline float bits_as_float(std::uint32_t bits) {
  return __uint_as_float(bits);
}
__device__ inline std::uint32_t float_as_bits(float value) {
  return __float_as_uint(value);
}
// Floats of 16 and 8 bits as the integers that hold them. To nearest, ties to even.
__device__ inline std::uint16_t to_bf16(float value) {
  return __bfloat16_as_ushort(__float2bfloat16_rn(value));
}
__device__ inline std::uint16_t to_f16(float value) {
  return __half_as_ushort(__float2half_rn(value));
}
__device__ inline float f16_to_float(std::uint16_t bits) {
  return __half2float(__ushort_as_half(bits));
}
__device__ inline float e4m3_to_float(std::uint8_t bits) {
  return __half2float(__half(__nv_cvt_fp8_to_halfraw(bits, __NV_E4M3)));
}

// c += a b for tiles [16, 16] of a (row by row), [16, 8] of b (column by column) and [16, 8] of c.
// Lane l = 4 g + t holds a at rows g, g + 8 (registers 0, 1; 2, 3 eight columns on), columns 2t and
// 2t + 1; b at rows 2t, 2t + 1 (register 1: eight on) of column g; c at row g (c[0], c[1]) and
// g + 8, columns 2t and 2t + 1. Source: PTX ISA 8, "Matrix fragments for mma.m16n8k16".
__device__ inline void mma_bf16(float (&c)[4], const std::uint32_t (&a)[4],
                                const std::uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};\n"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
__device__ inline void mma_f16(float (&c)[4], const std::uint32_t (&a)[4],
                               const std::uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};\n"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Four 8 x 8 tiles of 16-bit elements from shared memory; lane l gives the address of row l % 8 of
// tile l / 8, 16 bytes. Register i of lane l is row l / 4, columns 2 (l % 4) and the next of tile
// i, or of its transpose. PTX ISA 8, "ldmatrix".
__device__ inline void load_tiles(std::uint32_t (&r)[4], const std::byte* row) {
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\n"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}
__device__ inline void load_transposed_tiles(std::uint32_t (&r)[4], const std::byte* row) {
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];\n"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}

// 16 bytes from device to shared memory, on their way until waited for. Both aligned to 16.
__device__ inline void copy_async(std::byte* shared, const std::byte* global) {
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;\n" ::"r"(address), "l"(global)
               : "memory");
}
__device__ inline void commit_copies() {
  asm volatile("cp.async.commit_group;\n" ::: "memory");
}
// Until at most kPending of this thread's committed groups are on their way.
template <int kPending>
__device__ inline void wait_copies() {
  asm volatile("cp.async.wait_group %0;\n" ::"n"(kPending) : "memory");
}

}  // namespace millrace::cuda
#endif

namespace millrace::cuda {

inline constexpr unsigned kWarpLanes = 32;

// 16 bytes, in one access.
struct alignas(16) Words4 {
  std::uint32_t word[4];
};

// Warp sums in one fixed order, the same in all lanes.
__device__ inline float warp_sum(float value) {
  for (unsigned mask = kWarpLanes / 2; mask > 0; mask /= 2) value += shuffle_xor(value, mask);
  return value;
}
__device__ inline float warp_max(float value) {
  for (unsigned mask = kWarpLanes / 2; mask > 0; mask /= 2) {
    const float other = shuffle_xor(value, mask);
    value = other > value ? other : value;
  }
  return value;
}
// The sum over a block of whole warps, the same in all its threads. `room` is shared, one float per
// warp, and may be used again after the block's next barrier.
__device__ inline float block_sum(float value, float* room) {
  value = warp_sum(value);
  const unsigned num_warps = blockDim.x / kWarpLanes;
  if (threadIdx.x % kWarpLanes == 0) room[threadIdx.x / kWarpLanes] = value;
  sync_block();
  float sum = 0;
  for (unsigned w = 0; w < num_warps; ++w) sum += room[w];
  return sum;
}

__device__ inline float bf16_to_float(std::uint16_t bits) {
  return bits_as_float(static_cast<std::uint32_t>(bits) << 16);
}
__device__ inline std::uint32_t pack_pair(std::uint16_t low, std::uint16_t high) {
  return static_cast<std::uint32_t>(low) | static_cast<std::uint32_t>(high) << 16;
}

}  // namespace millrace::cuda
