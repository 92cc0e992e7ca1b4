// Following every way of reading at once, byte by byte, and the walk through the vocabulary.
#include "constrain/walker.h"

#include <algorithm>

#include "base/check.h"
#include "base/random.h"

namespace millrace {
namespace {

// Steps of one walk through the vocabulary. Plain JSON takes one for each node that it reaches; a
// grammar that follows very many ways at once is cut off here, some tens of milliseconds on.
constexpr std::uint64_t kStepsMax = 8'000'000;

std::uint32_t one_less(std::uint32_t turns) {
  return turns == 0 || turns == kNoMax ? turns : turns - 1;
}

std::size_t slot_of(const Configuration& configuration) {
  const std::uint64_t turns =
      (std::uint64_t{configuration.turns_min} << 32) | configuration.turns_max;
  return mix64(turns * 31 + configuration.state) & (WalkScratch::kSlots - 1);
}

}  // namespace

WalkScratch::WalkScratch(std::size_t token_bytes_max)
    : configurations(kArenaMax),
      frames(kArenaMax),
      slots(kSlots, 0),
      levels(token_bytes_max + 1),
      names(kArenaMax, 0) {
  reached.reserve(kConfigurationsMax);
  open.reserve(kConfigurationsMax);
}

ConfigurationSet Walker::start() {
  ConfigurationSet set{.begin = num_configurations_, .end = num_configurations_};
  open();
  add({.state = machine_.start(),
       .stack = 0,
       .turns_min = machine_.start_turns_min(),
       .turns_max = machine_.start_turns_max()});
  close(set);
  return set;
}

ConfigurationSet Walker::load(std::span<const Configuration> configurations, bool can_end) {
  CHECK(num_configurations_ + configurations.size() <= scratch_.configurations.size());
  ConfigurationSet set{.begin = num_configurations_,
                       .end = num_configurations_,
                       .num_frames = num_frames_,
                       .can_end = can_end};
  for (const Configuration& configuration : configurations) {
    scratch_.configurations[set.end++] = configuration;
  }
  num_configurations_ = set.end;
  return set;
}

ConfigurationSet Walker::read(const ConfigurationSet& set, std::uint8_t byte) {
  ConfigurationSet result{
      .begin = num_configurations_, .end = num_configurations_, .num_frames = num_frames_};
  num_steps_ += set.end - set.begin;
  if (set.end - set.begin == 1) {
    // Inside a string, a number or a key there is one way only, and it goes on without a step.
    const Configuration from = scratch_.configurations[set.begin];
    const Machine::State& state = machine_.state(from.state);
    if (state.num_ranges == Machine::kHasRow) {
      const std::uint32_t target = machine_.next(state, byte, [](std::uint32_t) {});
      if (target == Machine::kDead) return result;
      if (machine_.state(target).is_plain) {
        keep({target, from.stack, from.turns_min, from.turns_max}, result);
        return result;
      }
    }
  }
  open();
  for (std::uint32_t i = set.begin; i < set.end; ++i) {
    const Configuration from = scratch_.configurations[i];
    const auto go_to = [&](std::uint32_t target) {
      add({target, from.stack, from.turns_min, from.turns_max});
    };
    const std::uint32_t target = machine_.next(machine_.state(from.state), byte, go_to);
    if (target != Machine::kDead) go_to(target);
  }
  close(result);
  return result;
}

void Walker::keep(const Configuration& configuration, ConfigurationSet& set) {
  if (num_configurations_ == scratch_.configurations.size()) return;
  scratch_.configurations[num_configurations_++] = configuration;
  set.end = num_configurations_;
}

void Walker::open() {
  scratch_.reached.clear();
  scratch_.open.clear();
  if (++scratch_.num_closures == 0) {  // The numbers start again, so old slots must not count.
    std::fill(scratch_.slots.begin(), scratch_.slots.end(), 0);
    scratch_.num_closures = 1;
  }
}

// Takes all steps that read nothing, and keeps what reads on. The last thing reached is followed
// first: so even a closure that is cut off has come to something that reads.
void Walker::close(ConfigurationSet& set) {
  while (!scratch_.open.empty()) {
    const Configuration from = scratch_.reached[scratch_.open.back()];
    scratch_.open.pop_back();
    follow(from, set);
  }
  num_steps_ += scratch_.reached.size();
  set.num_frames = num_frames_;
}

void Walker::follow(const Configuration& from, ConfigurationSet& set) {
  const Machine::State& state = machine_.state(from.state);
  if (machine_.reads(state)) keep(from, set);
  if (state.accepts) {
    if (from.stack < base_.size()) {
      least_depth_ = std::min(least_depth_, base_[from.stack].depth);
    }
    if (from.stack == 0) {
      set.can_end = true;
    } else {
      const StackFrame& top = frame(from.stack);
      add({top.state, top.below, top.turns_min, top.turns_max});
    }
  }
  for (const Machine::Step& step : machine_.steps(state)) {
    switch (step.kind) {
      case StepKind::kGoto:
        add({step.target, from.stack, from.turns_min, from.turns_max});
        break;
      case StepKind::kCall:
        call(from, step);
        break;
      case StepKind::kCount:
        add({step.target, from.stack, one_less(from.turns_min), one_less(from.turns_max)});
        break;
      case StepKind::kMore:
        if (from.turns_max > 0) add({step.target, from.stack, from.turns_min, from.turns_max});
        break;
      case StepKind::kDone:
        if (from.turns_min == 0) add({step.target, from.stack, 0, 0});
        break;
    }
  }
}

void Walker::call(const Configuration& from, const Machine::Step& step) {
  std::uint32_t stack = from.stack;
  if (!step.is_tail) {
    const StackFrame made{.below = from.stack,
                          .state = step.target,
                          .turns_min = from.turns_min,
                          .turns_max = from.turns_max,
                          .depth = frame(from.stack).depth + 1};
    if (num_frames_ == scratch_.frames.size()) return;
    stack = static_cast<std::uint32_t>(base_.size() + num_frames_);
    scratch_.frames[num_frames_++] = made;
  }
  add({step.callee, stack, step.turns_min, step.turns_max});
}

void Walker::add(const Configuration& configuration) {
  std::vector<Configuration>& reached = scratch_.reached;
  if (reached.size() == WalkScratch::kConfigurationsMax) return;
  std::size_t slot = slot_of(configuration);
  for (;; slot = (slot + 1) & (WalkScratch::kSlots - 1)) {
    const std::uint64_t entry = scratch_.slots[slot];
    if ((entry >> 32) != scratch_.num_closures) break;
    if (is_same(reached[static_cast<std::uint32_t>(entry)], configuration)) return;
  }
  scratch_.slots[slot] = (std::uint64_t{scratch_.num_closures} << 32) | reached.size();
  scratch_.open.push_back(static_cast<std::uint32_t>(reached.size()));
  reached.push_back(configuration);
}

// Stacks made apart may be equal; they differ in their top frames only, so comparing is short.
bool Walker::is_same(const Configuration& a, const Configuration& b) const {
  if (a.state != b.state || a.turns_min != b.turns_min || a.turns_max != b.turns_max) return false;
  std::uint32_t left = a.stack;
  std::uint32_t right = b.stack;
  while (left != right) {
    if (left == 0 || right == 0) return false;
    const StackFrame& x = frame(left);
    const StackFrame& y = frame(right);
    if (x.state != y.state || x.depth != y.depth || x.turns_min != y.turns_min ||
        x.turns_max != y.turns_max) {
      return false;
    }
    left = x.below;
    right = y.below;
  }
  return true;
}

void Walker::mask(const ConfigurationSet& set, const TokenVocabulary& vocabulary,
                  std::span<std::uint32_t> allowed) {
  std::fill(allowed.begin(), allowed.end(), 0);
  const std::span<const TokenVocabulary::Node> nodes = vocabulary.nodes();
  scratch_.levels[0] = set;
  num_steps_ = 0;
  // Tokens of one byte first: one of them is allowed wherever anything is, so even a walk that is
  // cut off leaves a way on.
  for (std::uint32_t node = 1; node < nodes.size(); node = nodes[node].subtree_end) {
    mask_below(node, node + 1, vocabulary, allowed);
  }
  mask_below(1, static_cast<std::uint32_t>(nodes.size()), vocabulary, allowed);
}

// Walks the nodes in depth-first order and leaves out what lies below a byte that does not fit.
void Walker::mask_below(std::uint32_t first, std::uint32_t end, const TokenVocabulary& vocabulary,
                        std::span<std::uint32_t> allowed) {
  constexpr std::uint32_t kMaskBits = 32;
  const std::span<const TokenVocabulary::Node> nodes = vocabulary.nodes();
  for (std::uint32_t node = first; node < end;) {
    const TokenVocabulary::Node& at = nodes[node];
    const ConfigurationSet& above = scratch_.levels[at.depth - 1u];
    drop_behind(above);
    const ConfigurationSet set = read(above, at.byte);
    if (set.is_empty()) {
      node = at.subtree_end;
      continue;
    }
    scratch_.levels[at.depth] = set;
    for (const TokenId token : vocabulary.tokens_of(node)) {
      allowed[token / kMaskBits] |= 1u << (token % kMaskBits);
    }
    if (num_steps_ > kStepsMax) return;
    ++node;
  }
}

}  // namespace millrace
