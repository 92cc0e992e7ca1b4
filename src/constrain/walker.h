// Reading bytes: all ways in which a text can be read so far, followed at once.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "constrain/machine.h"

namespace millrace {

// What a rule returns to: one frame of a stack. Stacks share their lower frames; frame 0 is the
// bottom, where an answer ends.
struct StackFrame {
  std::uint32_t below = 0;
  std::uint32_t state = 0;
  std::uint32_t turns_min = 0;  // of the caller's loop
  std::uint32_t turns_max = 0;
  std::uint32_t depth = 0;
  std::uint32_t rest_tokens = 0;  // from the return on, all frames below included
};

// One way to read the text: where in which rule, called from where, with turns left of its loop.
struct Configuration {
  std::uint32_t state = 0;
  std::uint32_t stack = 0;
  std::uint32_t turns_min = 0;
  std::uint32_t turns_max = 0;
  bool operator==(const Configuration&) const = default;
};

// Some of the configurations of a WalkScratch.
struct ConfigurationSet {
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
  std::uint32_t num_frames = 0;  // of the scratch, when the set was complete
  bool can_end = false;          // the text read is an answer

  bool is_empty() const { return begin == end && !can_end; }
};

// Where a walk through a trie is at one depth. Inside a string, a number or a key there is one way
// only: then `state` is where it is, and the rest is as in the only configuration of `set`.
struct WalkLevel {
  ConfigurationSet set;
  std::uint32_t state = Machine::kDead;
  std::uint32_t rest_below = 0;  // with `state`: tokens that what lies below its rule needs
};

// Memory of walks, as much as any of them takes; one user at a time.
struct WalkScratch {
  // How many ways of reading are followed at once: JSON of a schema has tens. Further ones are
  // dropped, which forbids tokens that a hostile grammar would allow, and allows none that it
  // forbids: each way that is left can be finished.
  static constexpr std::size_t kConfigurationsMax = 2048;
  static constexpr std::size_t kArenaMax = 8 * kConfigurationsMax;
  static constexpr std::size_t kSlots = 4 * kConfigurationsMax;  // a power of two

  explicit WalkScratch(std::size_t token_bytes_max);

  std::vector<Configuration> configurations;  // [kArenaMax] sets, one behind the other
  std::vector<StackFrame> frames;             // [kArenaMax]
  std::vector<Configuration> reached;         // without reading, in one closure
  std::vector<std::uint32_t> open;            // of those, what is still to be followed
  // A hash table of `reached`: the closure that wrote the slot in the upper half, the index in the
  // lower.
  std::vector<std::uint64_t> slots;
  std::uint32_t num_closures = 0;
  std::vector<WalkLevel> levels;       // by bytes of a token that were read
  std::vector<ConfigurationSet> runs;  // by plain characters that were read
  std::vector<std::uint32_t> names;    // of frames that are kept
};

// Reads on from configurations whose frames lie in `base`; new frames are numbered behind those.
// Allocates nothing.
class Walker {
 public:
  Walker(const Machine& machine, std::span<const StackFrame> base, WalkScratch& scratch)
      : machine_(machine), base_(base), scratch_(scratch) {}

  // The set before anything is read.
  ConfigurationSet start();
  // Copies a set of a sequence into the scratch.
  ConfigurationSet load(std::span<const Configuration> configurations, bool can_end);
  // What follows `set`, the last one that was made, by one byte.
  ConfigurationSet read(const ConfigurationSet& set, std::uint8_t byte);
  // Moves `set`, the last one that was made, to the front, and forgets the others; not their
  // frames.
  void keep_only(ConfigurationSet& set);
  // Forgets all sets behind `set`.
  void drop_behind(const ConfigurationSet& set) {
    num_configurations_ = set.end;
    num_frames_ = set.num_frames;
  }

  // The only configuration of `origin`, but in another state, as a set behind it.
  ConfigurationSet moved(const ConfigurationSet& origin, std::uint32_t state);
  // Whether both stand for the same ways to read on.
  bool is_same(const ConfigurationSet& a, const ConfigurationSet& b) const;
  // Tokens that the text needs from here at least, as Machine::rest_tokens counts them.
  std::uint32_t rest_tokens(const ConfigurationSet& set) const;
  std::uint32_t rest_below(const Configuration& configuration) const;

  // How far down the frames of `base` were looked at: the least depth, kNoMax for not at all.
  std::uint32_t least_depth() const { return least_depth_; }
  const StackFrame& frame(std::uint32_t id) const {
    return id < base_.size() ? base_[id] : scratch_.frames[id - base_.size()];
  }
  // Ways of reading that were dropped for want of memory.
  bool has_dropped() const { return has_dropped_; }
  // Steps taken so far: one for each configuration that was reached.
  std::uint64_t num_steps() const { return num_steps_; }
  const Machine& machine() const { return machine_; }
  std::span<const Configuration> configurations(const ConfigurationSet& set) const {
    return std::span(scratch_.configurations).subspan(set.begin, set.end - set.begin);
  }

 private:
  void open();
  void close(ConfigurationSet& set);
  void follow(const Configuration& from, ConfigurationSet& set);
  void call(const Configuration& from, const Machine::Step& step);
  void add(const Configuration& configuration);
  bool is_same(const Configuration& a, const Configuration& b) const;
  void keep(const Configuration& configuration, ConfigurationSet& set);

  const Machine& machine_;
  std::span<const StackFrame> base_;
  WalkScratch& scratch_;
  std::uint32_t num_configurations_ = 0;
  std::uint32_t num_frames_ = 0;
  std::uint32_t least_depth_ = kNoMax;
  std::uint64_t num_steps_ = 0;
  bool has_dropped_ = false;
};

}  // namespace millrace
