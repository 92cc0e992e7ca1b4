// The names of kernels/cuda/device_code.h on the CPU: device code compiled as plain C++ and run
// block by block, every thread a fiber. Forced in front of each .cu file by the build.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/function_ref.h"
#include "tensor/half.h"

// CUDA's own words.
#define __global__
#define __device__
#define __host__
#define __launch_bounds__(...)
#define threadIdx (::millrace::emulated::thread_index())
#define blockIdx (::millrace::emulated::block_index())
#define blockDim (::millrace::emulated::block_extent())
#define gridDim (::millrace::emulated::grid_extent())

namespace millrace::emulated {

struct Index3 {
  unsigned x = 1;
  unsigned y = 1;
  unsigned z = 1;
};

// Of the thread that runs.
const Index3& thread_index();
const Index3& block_index();
const Index3& block_extent();
const Index3& grid_extent();

// Which thread of a block goes first. A kernel without races gives the same bits in both.
enum class Order : std::uint8_t { kRising, kFalling };
void set_order(Order order);

// Runs every block of a grid, one after the other. Shared memory is exactly as large as asked for
// and begins as garbage. Threads that wait for each other in vain are a failed CHECK.
void run_grid(const Index3& grid, unsigned num_threads, std::size_t shared_bytes,
              FunctionRef<void()> thread);

std::byte* shared_memory();
void wait_block();
void wait_warp();
// What lane `lane` of the warp gave. All lanes of the warp call it.
std::uint64_t exchange(std::uint64_t value, unsigned lane);
// Eight words of every lane of the warp, to be read until the lane's next call.
struct WarpWords {
  const std::uint64_t (*words)[8] = nullptr;  // [32][8]
};
WarpWords share_words(const std::uint64_t (&words)[8]);

}  // namespace millrace::emulated

namespace millrace::cuda {

inline std::byte* shared_bytes() {
  return emulated::shared_memory();
}
inline void sync_block() {
  emulated::wait_block();
}
inline void sync_warp() {
  emulated::wait_warp();
}
template <class T>
inline T shuffle_from(T value, unsigned lane) {
  static_assert(sizeof(T) <= sizeof(std::uint64_t));
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = emulated::exchange(bits, lane % 32);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
template <class T>
inline T shuffle_xor(T value, unsigned mask) {
  return shuffle_from(value, (threadIdx.x % 32) ^ mask);
}
inline void add_atomically(std::uint32_t* at, std::uint32_t value) {
  *at += value;
}
inline void add_atomically(std::uint64_t* at, std::uint64_t value) {
  *at += value;
}

inline float bits_as_float(std::uint32_t bits) {
  return std::bit_cast<float>(bits);
}
inline std::uint32_t float_as_bits(float value) {
  return std::bit_cast<std::uint32_t>(value);
}
inline std::uint16_t to_bf16(float value) {
  return to_bfloat16(value).bits;
}
inline std::uint16_t to_f16(float value) {
  return to_float16(value).bits;
}
inline float f16_to_float(std::uint16_t bits) {
  return to_float(Float16{bits});
}
inline float e4m3_to_float(std::uint8_t bits) {
  return to_float(Float8{bits});
}

void mma_bf16(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]);
void mma_f16(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]);
void load_tiles(std::uint32_t (&r)[4], const std::byte* row);
void load_transposed_tiles(std::uint32_t (&r)[4], const std::byte* row);

// Done at once: what waits too little is not found here.
inline void copy_async(std::byte* shared, const std::byte* global) {
  std::memcpy(shared, global, 16);
}
inline void commit_copies() {}
template <int kPending>
inline void wait_copies() {}

}  // namespace millrace::cuda
