// Prefixes that stay in the cache whether anybody uses them or not: asked for, or found hot.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "base/clock.h"
#include "base/function_ref.h"
#include "base/result.h"
#include "engine/sequence.h"
#include "memory/prefix_index.h"
#include "memory/prefix_sketch.h"

namespace millrace {

struct HotPrefixOptions {
  // Blocks of the KV cache that may be pinned. No request may count on them, so the longest one
  // that is taken is so much shorter than the cache. 0: nothing is pinned.
  std::size_t pinned_blocks_max = 0;
  // Of these, for prefixes that are found by themselves; blocks that they share count in each.
  // 0: none are looked for.
  std::size_t found_blocks_max = 0;
  // Shorter prefixes are not worth a place: 64 tokens are computed in a tenth of a second or less.
  std::size_t found_tokens_min = 64;
  // A prefix is hot once so many requests began with it within about a half-life.
  std::uint32_t requests_min = 8;
  // What was requested longer ago counts half. A found prefix is let go when a quarter of
  // requests_min is left.
  Duration half_life = std::chrono::minutes(10);
};

// kInvalidArgument naming the option, what was found and what is expected.
Status check_hot_options(const HotPrefixOptions& options);

// A pinned prefix, for whoever saves it.
struct HotPrefix {
  HotSource source = HotSource::kAsked;
  std::vector<TokenId> tokens;  // whole blocks
  std::vector<BlockId> blocks;
};

// Part of the scheduler; its thread only, but for visit(). Salted requests, and those with an
// adapter, are never looked at. The same requests at the same times give the same pins. Allocates
// nothing after construction, but in visit().
class HotPrefixes {
 public:
  static constexpr std::size_t kAskedMax = 256;

  // `index` outlives it.
  HotPrefixes(const HotPrefixOptions& options, std::size_t block_tokens, PrefixIndex& index);

  // Ages what was counted, and lets go of what is no longer hot.
  void cool(TimePoint now);
  // A sequence runs for the first time: counts its prompt, and marks it when it begins with a hot
  // prefix that is not pinned.
  void note_start(Sequence& sequence);
  // Pins what the sequence is marked for once all of it is published; an error only when it was
  // asked for and there is no room.
  Status note_published(Sequence& sequence);
  // Whether the first blocks of the prompt can be pinned at all.
  Status check_asked(const PrefixKey& key, std::size_t num_blocks) const;
  // Pins a path of the index; an error only for what was asked for.
  Status pin(std::span<const BlockId> path, std::uint64_t hash, HotSource source);

  // Any thread, while the scheduler lives: calls `visit` with all pinned prefixes, whose blocks
  // stay pinned, and therefore as they are, until it returns.
  Status visit(FunctionRef<Status(std::span<const HotPrefix>)> visit) const;

  std::size_t num_asked() const { return pins_.size() - num_found_; }
  std::size_t num_found() const { return num_found_; }

 private:
  struct Pin {
    HotSource source = HotSource::kAsked;
    BlockId leaf;
    std::size_t num_blocks = 0;
    std::uint64_t hash = 0;  // of the whole prefix
  };

  bool fits(std::span<const BlockId> path) const;
  Status find_asked_place(std::span<const BlockId> path);
  bool try_find_place(std::span<const BlockId> path, std::uint64_t hash);
  void drop(std::size_t at);
  std::optional<std::size_t> coldest_found() const;
  HotPrefix prefix_of(const Pin& pin) const;

  const HotPrefixOptions options_;
  const std::size_t block_tokens_;
  PrefixIndex& index_;
  PrefixSketch sketch_;
  std::optional<TimePoint> halved_;  // last
  std::size_t num_found_blocks_ = 0;
  std::size_t num_found_ = 0;

  mutable std::mutex mutex_;  // Guards changes of pins_, which visit() reads, and num_visits_.
  mutable std::size_t num_visits_ = 0;  // in progress: nothing is unpinned
  std::vector<Pin> pins_;
};

}  // namespace millrace
