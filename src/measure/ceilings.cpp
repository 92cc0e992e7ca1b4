// The loops behind the ceilings.
#include "measure/ceilings.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "base/clock.h"
#include "base/result.h"
#include "base/target.h"
#include "tensor/buffer.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace millrace {
namespace {

// Work that nobody uses would be optimised away; this is where it goes.
volatile std::uint64_t sink = 0;

constexpr std::size_t kLoops = 4'000'000;
constexpr std::size_t kChains = 12;  // Enough for two units with a latency of four cycles.

#if defined(__x86_64__)
BEGIN_TARGET("avx2,fma")
static inline void sum_bytes_avx2(const std::byte* from, std::size_t num_bytes) {
  __m256i sums[4] = {};
  for (std::size_t i = 0; i + 128 <= num_bytes; i += 128) {
    for (std::size_t j = 0; j < 4; ++j) {
      const auto* p = reinterpret_cast<const __m256i*>(from + i + j * 32);
      sums[j] = _mm256_xor_si256(sums[j], _mm256_loadu_si256(p));
    }
  }
  const __m256i all = sums[0] ^ sums[1] ^ sums[2] ^ sums[3];
  sink = sink + static_cast<std::uint64_t>(_mm256_extract_epi64(all, 0));
}

static inline void fma_avx2() {
  __m256 acc[kChains];
  for (std::size_t c = 0; c < kChains; ++c) acc[c] = _mm256_set1_ps(static_cast<float>(c));
  const __m256 a = _mm256_set1_ps(0.999f);
  const __m256 b = _mm256_set1_ps(0.001f);
  for (std::size_t i = 0; i < kLoops; ++i) {
    for (std::size_t c = 0; c < kChains; ++c) acc[c] = _mm256_fmadd_ps(acc[c], a, b);
  }
  for (std::size_t c = 1; c < kChains; ++c) acc[0] = _mm256_add_ps(acc[0], acc[c]);
  sink = sink + static_cast<std::uint64_t>(_mm256_cvtss_f32(acc[0]));
}

static inline void int8_avx2() {
  __m256i acc[kChains];
  __m256i x[kChains];
  for (std::size_t c = 0; c < kChains; ++c) {
    acc[c] = _mm256_setzero_si256();
    x[c] = _mm256_set1_epi8(static_cast<char>(c + 1));
  }
  const __m256i ones = _mm256_set1_epi16(1);
  for (std::size_t i = 0; i < kLoops; ++i) {
    for (std::size_t c = 0; c < kChains; ++c) {
      // The weights change every time: otherwise the product is computed once.
      const __m256i pairs = _mm256_maddubs_epi16(acc[c], x[c]);
      acc[c] = _mm256_add_epi32(x[c], _mm256_madd_epi16(pairs, ones));
    }
  }
  for (std::size_t c = 1; c < kChains; ++c) acc[0] = _mm256_add_epi32(acc[0], acc[c]);
  sink = sink + static_cast<std::uint64_t>(_mm256_extract_epi64(acc[0], 0));
}

static inline void int16_avx2() {
  __m256i acc[kChains];
  __m256i weights = _mm256_set1_epi8(3);
  for (std::size_t c = 0; c < kChains; ++c) acc[c] = _mm256_set1_epi8(static_cast<char>(c + 1));
  for (std::size_t i = 0; i < kLoops; ++i) {
    asm("" : "+x"(weights));  // Else the products are computed once.
    for (std::size_t c = 0; c < kChains; ++c) {
      acc[c] = _mm256_add_epi16(acc[c], _mm256_maddubs_epi16(weights, acc[c]));
    }
  }
  for (std::size_t c = 1; c < kChains; ++c) acc[0] = _mm256_add_epi16(acc[0], acc[c]);
  sink = sink + static_cast<std::uint64_t>(_mm256_extract_epi64(acc[0], 0));
}
END_TARGET

// clang 14 and g++ 12 know this much of AVX-512 under these names.
BEGIN_TARGET("avx512f,avx512bw,avx512vl,avx512vnni,avx512bf16")
static inline void sum_bytes_avx512(const std::byte* from, std::size_t num_bytes) {
  __m512i sums[4] = {};
  for (std::size_t i = 0; i + 256 <= num_bytes; i += 256) {
    for (std::size_t j = 0; j < 4; ++j) {
      sums[j] = _mm512_xor_si512(sums[j], _mm512_loadu_si512(from + i + j * 64));
    }
  }
  alignas(64) std::uint64_t all[8];
  _mm512_store_si512(all, sums[0] ^ sums[1] ^ sums[2] ^ sums[3]);
  sink = sink + all[0];
}

static inline void fma_avx512() {
  __m512 acc[kChains];
  for (std::size_t c = 0; c < kChains; ++c) acc[c] = _mm512_set1_ps(static_cast<float>(c));
  const __m512 a = _mm512_set1_ps(0.999f);
  const __m512 b = _mm512_set1_ps(0.001f);
  for (std::size_t i = 0; i < kLoops; ++i) {
    for (std::size_t c = 0; c < kChains; ++c) acc[c] = _mm512_fmadd_ps(acc[c], a, b);
  }
  for (std::size_t c = 1; c < kChains; ++c) acc[0] = _mm512_add_ps(acc[0], acc[c]);
  alignas(64) float all[16];
  _mm512_store_ps(all, acc[0]);
  sink = sink + static_cast<std::uint64_t>(all[0]);
}

static inline void int8_avx512() {
  __m512i acc[kChains];
  for (std::size_t c = 0; c < kChains; ++c) acc[c] = _mm512_setzero_si512();
  __m512i weights = _mm512_set1_epi8(3);
  for (std::size_t i = 0; i < kLoops; ++i) {
    asm("" : "+v"(weights));  // Else the products are computed once.
    for (std::size_t c = 0; c < kChains; ++c) {
      acc[c] = _mm512_dpbusd_epi32(acc[c], weights, weights);
    }
  }
  for (std::size_t c = 1; c < kChains; ++c) acc[0] = _mm512_add_epi32(acc[0], acc[c]);
  alignas(64) std::uint64_t all[8];
  _mm512_store_si512(all, acc[0]);
  sink = sink + all[0];
}

static inline void int16_avx512() {
  __m512i acc[kChains];
  __m512i weights = _mm512_set1_epi8(3);
  for (std::size_t c = 0; c < kChains; ++c) acc[c] = _mm512_set1_epi8(static_cast<char>(c + 1));
  for (std::size_t i = 0; i < kLoops; ++i) {
    asm("" : "+v"(weights));
    for (std::size_t c = 0; c < kChains; ++c) {
      acc[c] = _mm512_add_epi16(acc[c], _mm512_maddubs_epi16(weights, acc[c]));
    }
  }
  for (std::size_t c = 1; c < kChains; ++c) acc[0] = _mm512_add_epi16(acc[0], acc[c]);
  alignas(64) std::uint64_t all[8];
  _mm512_store_si512(all, acc[0]);
  sink = sink + all[0];
}

static inline void bf16_avx512() {
  __m512 acc[kChains];
  for (std::size_t c = 0; c < kChains; ++c) acc[c] = _mm512_set1_ps(static_cast<float>(c));
  __m512i bits = _mm512_set1_epi16(0x3C00);  // 2^-7 twice: sums stay finite.
  for (std::size_t i = 0; i < kLoops; ++i) {
    asm("" : "+v"(bits));
    __m512bh pairs;
    std::memcpy(&pairs, &bits, sizeof pairs);
    for (std::size_t c = 0; c < kChains; ++c) acc[c] = _mm512_dpbf16_ps(acc[c], pairs, pairs);
  }
  for (std::size_t c = 1; c < kChains; ++c) acc[0] = _mm512_add_ps(acc[0], acc[c]);
  alignas(64) float all[16];
  _mm512_store_ps(all, acc[0]);
  sink = sink + static_cast<std::uint64_t>(all[0]);
}
END_TARGET

BEGIN_TARGET("avx2,avxvnni")
static inline void int8_avxvnni() {
  __m256i acc[kChains];
  for (std::size_t c = 0; c < kChains; ++c) acc[c] = _mm256_setzero_si256();
  __m256i weights = _mm256_set1_epi8(3);
  for (std::size_t i = 0; i < kLoops; ++i) {
    asm("" : "+x"(weights));
    for (std::size_t c = 0; c < kChains; ++c) {
      acc[c] = _mm256_dpbusd_avx_epi32(acc[c], weights, weights);
    }
  }
  for (std::size_t c = 1; c < kChains; ++c) acc[0] = _mm256_add_epi32(acc[0], acc[c]);
  sink = sink + static_cast<std::uint64_t>(_mm256_extract_epi64(acc[0], 0));
}
END_TARGET

// A chain of multiplications, each waiting for the one before.
void multiply_chain(std::size_t count) {
  std::uint64_t product = 3;
  for (std::size_t i = 0; i < count; i += 8) {
    asm volatile(
        "imul %0, %0\n imul %0, %0\n imul %0, %0\n imul %0, %0\n"
        "imul %0, %0\n imul %0, %0\n imul %0, %0\n imul %0, %0"
        : "+r"(product));
  }
  sink = sink + product;
}

// The loops for the widest instructions that a row uses.
struct CeilingLoops {
  void (*sum_bytes)(const std::byte* from, std::size_t num_bytes) = sum_bytes_avx2;
  void (*fma)() = fma_avx2;
  double fma_lanes = 8;
  void (*int8)() = int8_avx2;
  void (*int16)() = int16_avx2;
  double int8_lanes = 32;
  void (*bf16)() = nullptr;
};

CeilingLoops loops_for(std::string_view isa) {
  CeilingLoops loops;
  if (isa == "avxvnni") loops.int8 = int8_avxvnni;
  if (isa != "avx512") return loops;
  return {.sum_bytes = sum_bytes_avx512,
          .fma = fma_avx512,
          .fma_lanes = 16,
          .int8 = int8_avx512,
          .int16 = int16_avx512,
          .int8_lanes = 64,
          .bf16 = __builtin_cpu_supports("avx512bf16") ? bf16_avx512 : nullptr};
}

bool has_loops() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#endif

constexpr std::size_t kTries = 8;

// The best rate of `work`, which does `amount` per rank.
double best_rate(ThreadTeam& team, double amount, FunctionRef<void(std::size_t)> work) {
  const SystemClock clock;
  double best = 0;
  for (std::size_t i = 0; i < kTries; ++i) {
    const TimePoint begin = clock.now();
    team.run(work);
    const double elapsed = seconds(clock.now() - begin);
    best = std::max(best, amount * static_cast<double>(team.num_threads()) / elapsed);
  }
  return best;
}

// Of each rank: far beyond caches.
constexpr std::size_t kBytesPerRank = std::size_t{256} << 20;

// Touched memory for all ranks; empty when there is none to be had.
Buffer touched_memory(ThreadTeam& team) {
  Result<Buffer> buffer = Buffer::allocate(kBytesPerRank * team.num_threads());
  if (!buffer.ok()) return {};
  std::byte* data = buffer.value().bytes().data();
  team.run(
      [data](std::size_t rank) { std::memset(data + rank * kBytesPerRank, 1, kBytesPerRank); });
  return std::move(buffer).value();
}

#if defined(__x86_64__)
double read_rate(const CeilingLoops& loops, Buffer& buffer, ThreadTeam& team) {
  if (buffer.bytes().empty()) return 0;
  const std::byte* data = buffer.bytes().data();
  return best_rate(team, kBytesPerRank, [data, &loops](std::size_t rank) {
    loops.sum_bytes(data + rank * kBytesPerRank, kBytesPerRank);
  });
}
#endif

double copy_rate(Buffer& buffer, ThreadTeam& team) {
  if (buffer.bytes().empty()) return 0;
  std::byte* data = buffer.bytes().data();
  return best_rate(team, kBytesPerRank, [data](std::size_t rank) {
    constexpr std::size_t kHalf = kBytesPerRank / 2;  // Read and written: all of it is counted.
    std::memcpy(data + rank * kBytesPerRank, data + rank * kBytesPerRank + kHalf, kHalf);
  });
}

}  // namespace

Ceilings measure_ceilings([[maybe_unused]] std::string_view isa, ThreadTeam& team) {
  Ceilings ceilings;
  Buffer buffer = touched_memory(team);
  ceilings.copy_bytes = copy_rate(buffer, team);
#if defined(__x86_64__)
  if (!has_loops()) return ceilings;
  const CeilingLoops loops = loops_for(isa);
  ceilings.read_bytes = read_rate(loops, buffer, team);
  const auto rate = [&team](double lanes, void (*loop)()) {
    if (loop == nullptr) return 0.0;
    return best_rate(team, 2.0 * lanes * kChains * kLoops, [loop](std::size_t) { loop(); });
  };
  ceilings.fma_operations = rate(loops.fma_lanes, loops.fma);
  ceilings.int8_operations = rate(loops.int8_lanes, loops.int8);
  ceilings.int16_operations = rate(loops.int8_lanes, loops.int16);
  ceilings.bf16_operations = rate(2 * loops.fma_lanes, loops.bf16);
#endif
  return ceilings;
}

double measure_read_bandwidth([[maybe_unused]] std::string_view isa,
                              [[maybe_unused]] ThreadTeam& team) {
#if defined(__x86_64__)
  if (!has_loops()) return 0;
  Buffer buffer = touched_memory(team);
  return read_rate(loops_for(isa), buffer, team);
#else
  return 0;
#endif
}

std::vector<double> measure_core_clocks([[maybe_unused]] ThreadTeam& team) {
  std::vector<double> clocks;
#if defined(__x86_64__)
  constexpr std::size_t kMultiplications = 30'000'000;
  constexpr double kLatency = 3.0;  // cycles, on every x86-64 core since 2008
  clocks.resize(team.num_threads());
  const SystemClock clock;
  for (std::size_t i = 0; i < kTries; ++i) {
    team.run([&](std::size_t rank) {
      const TimePoint begin = clock.now();
      multiply_chain(kMultiplications);
      const double elapsed = seconds(clock.now() - begin);
      clocks[rank] = std::max(clocks[rank], kLatency * kMultiplications / elapsed);
    });
  }
#endif
  return clocks;
}

}  // namespace millrace
