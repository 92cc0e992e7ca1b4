// One reservation for everything that a step touches, planned term by term before it is made.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "tensor/buffer.h"

namespace millrace {

// Where a term will lie in the arena; plain data.
struct ArenaSlice {
  std::uint64_t offset = 0;
  std::uint64_t num_bytes = 0;
};

struct ArenaTerm {
  std::string name;
  ArenaSlice slice;
};

// The sum, before any memory is asked for: what each part of a step needs, by name, so that a plan
// that does not fit can be refused with numbers. Offsets are multiples of kAlignment.
class ArenaPlan {
 public:
  static constexpr std::uint64_t kAlignment = 64;  // A cache line, and a full AVX-512 load.

  // Reserves `num_bytes` under `name`; kTooLarge when the sum leaves 64 bits. `alignment` is a
  // power of two up to a page.
  Result<ArenaSlice> take(std::string name, std::uint64_t num_bytes,
                          std::uint64_t alignment = kAlignment);

  std::uint64_t num_bytes() const { return num_bytes_; }
  std::span<const ArenaTerm> terms() const { return terms_; }
  // "activations 12.0 MiB, logits 3.5 MiB": for reports and refusals.
  std::string describe() const;

 private:
  std::uint64_t num_bytes_ = 0;
  std::vector<ArenaTerm> terms_;
};

// The memory of a plan. Never grows; slices stay valid as long as it lives, wherever it is moved.
class Arena {
 public:
  static Result<Arena> create(ArenaPlan plan);

  std::span<std::byte> bytes(const ArenaSlice& slice);
  // The slice as an array of a plain type; a remainder smaller than one element is left out.
  template <class T>
  std::span<T> array(const ArenaSlice& slice) {
    const std::span<std::byte> all = bytes(slice);
    return {reinterpret_cast<T*>(all.data()), all.size() / sizeof(T)};
  }
  const ArenaPlan& plan() const { return plan_; }
  std::uint64_t num_bytes() const { return plan_.num_bytes(); }

 private:
  Arena() = default;

  ArenaPlan plan_;
  Buffer buffer_;
};

}  // namespace millrace
