// Following every way of reading at once, byte by byte.
#include "constrain/walker.h"

#include <algorithm>

#include "base/check.h"
#include "base/random.h"

namespace millrace {
namespace {

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
      runs(TextTokens::kCharsMax + 1),
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
  if (num_configurations_ == scratch_.configurations.size()) {
    has_dropped_ = true;
    return;
  }
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
    const StackFrame made{
        .below = from.stack,
        .state = step.target,
        .turns_min = from.turns_min,
        .turns_max = from.turns_max,
        .depth = frame(from.stack).depth + 1,
        .rest_tokens = saturated_sum(machine_.rest_tokens(step.target, from.turns_min),
                                     frame(from.stack).rest_tokens)};
    if (num_frames_ == scratch_.frames.size()) {
      has_dropped_ = true;
      return;
    }
    stack = static_cast<std::uint32_t>(base_.size() + num_frames_);
    scratch_.frames[num_frames_++] = made;
  }
  add({step.callee, stack, step.turns_min, step.turns_max});
}

void Walker::add(const Configuration& configuration) {
  std::vector<Configuration>& reached = scratch_.reached;
  if (reached.size() == WalkScratch::kConfigurationsMax) {
    has_dropped_ = true;
    return;
  }
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

ConfigurationSet Walker::moved(const ConfigurationSet& origin, std::uint32_t state) {
  CHECK(origin.end == origin.begin + 1);
  drop_behind(origin);
  ConfigurationSet set{
      .begin = num_configurations_, .end = num_configurations_, .num_frames = num_frames_};
  Configuration configuration = scratch_.configurations[origin.begin];
  configuration.state = state;
  keep(configuration, set);
  return set;
}

bool Walker::is_same(const ConfigurationSet& a, const ConfigurationSet& b) const {
  const std::span<const Configuration> left = configurations(a);
  const std::span<const Configuration> right = configurations(b);
  return a.can_end == b.can_end &&
         std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [this](const auto& x, const auto& y) { return is_same(x, y); });
}

std::uint32_t Walker::rest_below(const Configuration& configuration) const {
  const std::uint32_t own = machine_.rest_tokens(configuration.state, configuration.turns_min) -
                            machine_.rest_tokens(configuration.state, 0);
  return saturated_sum(own, frame(configuration.stack).rest_tokens);
}

std::uint32_t Walker::rest_tokens(const ConfigurationSet& set) const {
  if (set.can_end) return 0;
  std::uint32_t least = kNoMax;
  for (const Configuration& configuration : configurations(set)) {
    least = std::min(least, saturated_sum(machine_.rest_tokens(configuration.state, 0),
                                          rest_below(configuration)));
  }
  return least;
}

void Walker::keep_only(ConfigurationSet& set) {
  const auto begin = scratch_.configurations.begin();
  std::copy(begin + set.begin, begin + set.end, begin);
  set = {
      .begin = 0, .end = set.end - set.begin, .num_frames = set.num_frames, .can_end = set.can_end};
  num_configurations_ = set.end;
}

}  // namespace millrace
