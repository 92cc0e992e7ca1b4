// Multiply, rotate, four words at a time.
#include "base/checksum.h"

#include <bit>
#include <cstring>

#include "base/random.h"

namespace millrace {
namespace {

std::uint64_t extend(std::uint64_t state, std::uint64_t word) {
  return std::rotl((state ^ word) * 0x9E3779B97F4A7C15u, 29);
}

}  // namespace

void Checksum::add(std::span<const std::byte> part) {
  constexpr std::size_t kStripe = sizeof(lanes_);
  const std::size_t num_bytes = part.size();
  std::array<std::uint64_t, 4> words{};
  for (; part.size() >= kStripe; part = part.subspan(kStripe)) {
    std::memcpy(words.data(), part.data(), kStripe);
    for (std::size_t i = 0; i < words.size(); ++i) lanes_[i] = extend(lanes_[i], words[i]);
  }
  if (!part.empty()) {
    words = {};
    std::memcpy(words.data(), part.data(), part.size());
    for (std::size_t i = 0; i < words.size(); ++i) lanes_[i] = extend(lanes_[i], words[i]);
  }
  lanes_[0] = extend(lanes_[0], num_bytes);
}

std::uint64_t Checksum::value() const {
  std::uint64_t sum = 0;
  for (const std::uint64_t lane : lanes_) sum = mix64(sum + lane + 0x9E3779B97F4A7C15u);
  return sum;
}

}  // namespace millrace
