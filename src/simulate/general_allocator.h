// General allocators over one arena, as models of what servers without a block pool use. Offsets
// only, no bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace millrace {

// One replayed arena of `capacity` bytes.
class GeneralAllocator {
 public:
  virtual ~GeneralAllocator() = default;
  // Where `num_bytes` (above 0) lie from now on, or nothing when no room is found.
  virtual std::optional<std::uint64_t> try_allocate(std::uint64_t num_bytes) = 0;
  // What try_allocate gave.
  virtual void release(std::uint64_t offset) = 0;
  // Bytes that callers hold, with what the allocator rounded up.
  virtual std::uint64_t held_bytes() const = 0;
  virtual void check_invariants() const = 0;
};

// Best fit: the smallest free range that is large enough, the lowest of equals; neighbours that are
// free become one at once (boundary tags: Knuth, The Art of Computer Programming 1, section 2.5).
class BestFitAllocator final : public GeneralAllocator {
 public:
  BestFitAllocator(std::uint64_t capacity, std::uint64_t alignment);

  std::optional<std::uint64_t> try_allocate(std::uint64_t num_bytes) override;
  void release(std::uint64_t offset) override;
  std::uint64_t held_bytes() const override { return held_bytes_; }
  void check_invariants() const override;

  // The highest end that was ever held: the arena that this history needs.
  std::uint64_t peak_bytes() const { return peak_bytes_; }

 private:
  void add_free(std::uint64_t offset, std::uint64_t num_bytes);
  void remove_free(std::map<std::uint64_t, std::uint64_t>::iterator range);

  const std::uint64_t capacity_;
  const std::uint64_t alignment_;
  std::map<std::uint64_t, std::uint64_t> free_;                   // offset → bytes
  std::set<std::pair<std::uint64_t, std::uint64_t>> free_sizes_;  // bytes, offset
  std::map<std::uint64_t, std::uint64_t> held_;                   // offset → bytes
  std::uint64_t held_bytes_ = 0;
  std::uint64_t peak_bytes_ = 0;
};

// A caching allocator over a device, as PyTorch documents its own ("CUDA semantics: memory
// management" and the comments on its block sizes): sizes are rounded up to 512 bytes; up to 1 MiB
// comes from segments of 2 MiB, up to 10 MiB from segments of 20 MiB, more from a segment of its
// own, rounded up to 2 MiB. A segment's best free range is split when what is left is worth it (512
// bytes in the small ones, more than 1 MiB in the large); free neighbours become one inside their
// segment and never across. Only when the device is full are segments that are free as a whole
// given back to it. The device itself is a sum: it maps pages anywhere, so it never fragments.
class CachingAllocator final : public GeneralAllocator {
 public:
  explicit CachingAllocator(std::uint64_t capacity) : capacity_(capacity) {}

  std::optional<std::uint64_t> try_allocate(std::uint64_t num_bytes) override;
  void release(std::uint64_t offset) override;
  std::uint64_t held_bytes() const override { return held_bytes_; }
  void check_invariants() const override;

  std::uint64_t reserved_bytes() const { return reserved_bytes_; }

 private:
  struct Range {
    std::uint64_t num_bytes = 0;
    std::uint64_t segment = 0;  // offset of its segment
    bool is_small = false;
    bool is_free = true;
  };
  using Ranges = std::map<std::uint64_t, Range>;

  std::optional<Ranges::iterator> find_free(std::uint64_t num_bytes, bool is_small);
  bool try_add_segment(std::uint64_t num_bytes, bool is_small);
  bool give_back_free_segments();
  void merge(Ranges::iterator range, Ranges::iterator next);
  std::set<std::pair<std::uint64_t, std::uint64_t>>& free_set(bool is_small) {
    return is_small ? free_small_ : free_large_;
  }

  const std::uint64_t capacity_;
  Ranges ranges_;                                                 // by offset, all segments
  std::map<std::uint64_t, std::uint64_t> segments_;               // offset → bytes
  std::set<std::pair<std::uint64_t, std::uint64_t>> free_small_;  // bytes, offset
  std::set<std::pair<std::uint64_t, std::uint64_t>> free_large_;
  std::uint64_t next_offset_ = 0;  // of a new segment; never used twice
  std::uint64_t reserved_bytes_ = 0;
  std::uint64_t held_bytes_ = 0;
};

}  // namespace millrace
