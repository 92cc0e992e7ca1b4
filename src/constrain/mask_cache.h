// Masks that were worked out before, of all grammars of a vocabulary, and the memory of walks.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "constrain/walker.h"

namespace millrace {

// Names what a mask depends on: 128 bits of hash, and the grammar exactly, so one client's grammar
// can never answer for another's.
struct MaskKey {
  std::uint64_t grammar = 0;
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  bool operator==(const MaskKey&) const = default;
};

// Any thread. Sized once: nothing here allocates later. Shared by a compiler and all constraints
// that it made.
class MaskCache {
 public:
  // Walks at once; others wait for one to end.
  static constexpr std::size_t kWalksMax = 8;

  MaskCache(std::size_t mask_words, std::size_t token_bytes_max, std::uint64_t bytes);

  // Copies the mask into `allowed`, if it is there, and gives what was kept beside it.
  std::optional<std::uint32_t> find(const MaskKey& key, std::span<std::uint32_t> allowed);
  // Keeps a mask, in place of one that was not asked for in a while, and a number beside it.
  void keep(const MaskKey& key, std::span<const std::uint32_t> allowed, std::uint32_t beside);

  // How many frames of each stack name a set of configurations that looks like this (`low` of a
  // key without frames). A guess: an unknown set has none.
  std::uint32_t num_frames(const MaskKey& shape);
  void set_num_frames(const MaskKey& shape, std::uint32_t num_frames);

  // A number that no other grammar of this cache has.
  std::uint64_t next_grammar();

  // Memory to walk with, for as long as this lives.
  class Scratch {
   public:
    explicit Scratch(MaskCache& cache) : cache_(cache), scratch_(cache.take_scratch()) {}
    ~Scratch() { cache_.return_scratch(scratch_); }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    WalkScratch& operator*() { return *scratch_; }

   private:
    MaskCache& cache_;
    WalkScratch* scratch_;
  };

  struct Counters {
    std::uint64_t num_hits = 0;
    std::uint64_t num_misses = 0;
  };
  Counters counters() const;

 private:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  struct Slot {
    MaskKey key;
    std::uint32_t next = kNone;  // in its bucket
    std::uint32_t beside = 0;
    bool was_used = false;  // since the hand last passed
    bool is_taken = false;
  };
  struct Shape {
    MaskKey key;
    std::uint32_t num_frames = 0;
  };

  std::uint32_t& bucket_of(const MaskKey& key);
  std::uint32_t find_slot(const MaskKey& key);
  std::uint32_t free_slot();
  WalkScratch* take_scratch();
  void return_scratch(WalkScratch* scratch);

  std::size_t mask_words_;

  mutable std::mutex mutex_;  // guards what follows
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> buckets_;
  std::unique_ptr<std::uint32_t[]> words_;  // a mask for each slot; pages come as they are used
  std::vector<Shape> shapes_;
  std::uint32_t hand_ = 0;
  std::uint64_t num_grammars_ = 0;
  Counters counters_;
  std::vector<std::unique_ptr<WalkScratch>> scratches_;
  std::vector<WalkScratch*> free_scratches_;
  std::condition_variable has_scratch_;  // of mutex_: free_scratches_ is not empty
};

}  // namespace millrace
