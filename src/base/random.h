// The only source of chance: a keyed draw that depends on nothing but its key, and a seeded stream.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>

namespace millrace {

// SplitMix64 finaliser: Steele, Lea & Flood, OOPSLA 2014, fig. 15.
constexpr std::uint64_t mix64(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

// Uniform in [0, 1) with 53 bits.
constexpr double unit_double(std::uint64_t bits) {
  return static_cast<double>(bits >> 11) * 0x1.0p-53;
}

struct SampleKey {
  std::uint64_t seed = 0;
  std::uint64_t request = 0;
  std::uint64_t position = 0;
};

// Stateless, so a draw depends on the request and position only: not on batch order, preemption, or
// the number of ranks. Each part is mixed before the next is added, so keys that share digits do
// not collide.
constexpr double uniform01(SampleKey key) {
  std::uint64_t z = mix64(key.seed + 0x9E3779B97F4A7C15u);
  z = mix64(z + key.request + 0x9E3779B97F4A7C15u);
  z = mix64(z + key.position + 0x9E3779B97F4A7C15u);
  return unit_double(z);
}

// A seeded stream (SplitMix64) for tests, simulations and random weights. Not for secrets.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    state_ += 0x9E3779B97F4A7C15u;
    return mix64(state_);
  }
  double uniform() { return unit_double(next()); }

  __extension__ using Wide = unsigned __int128;
  // Uniform in [0, bound); bound > 0. Bias below 2^-32 for the bounds that we use.
  std::uint64_t below(std::uint64_t bound) {
    return static_cast<std::uint64_t>((static_cast<Wide>(next()) * bound) >> 64);
  }
  // Uniform in [low, high], both included.
  std::uint64_t between(std::uint64_t low, std::uint64_t high) {
    return low + below(high - low + 1);
  }
  bool chance(double probability) { return uniform() < probability; }

  // Standard normal by Box & Muller 1958; the second value of each pair is dropped, to stay
  // stateless.
  double normal() {
    const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
    return radius * std::cos(2.0 * std::numbers::pi * uniform());
  }

 private:
  std::uint64_t state_;
};

}  // namespace millrace
