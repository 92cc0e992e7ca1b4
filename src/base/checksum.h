// A sum that tells whether bytes have changed by accident.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace millrace {

// A sum over parts, in their order. A change of one 8-byte word always changes it, because every
// step is a bijection of word and state; other damage goes unseen once in 2^64. Not for forgery:
// whoever can write the bytes can write a sum for them.
class Checksum {
 public:
  void add(std::span<const std::byte> part);
  std::uint64_t value() const;

 private:
  // Four chains, so that the processor multiplies while it waits for the product before.
  std::array<std::uint64_t, 4> lanes_{1, 2, 3, 4};
};

}  // namespace millrace
