// The state of a sequence: configurations after each token, frames of stacks, and its masks.
#include "constrain/grammar_constraint.h"

#include <algorithm>

#include "base/check.h"
#include "base/random.h"
#include "constrain/mask_walk.h"

namespace millrace {
namespace {

constexpr std::size_t kStatesKept = 2 * GrammarConstraint::kRollbackTokensMax;
constexpr std::size_t kFramesReserved = 256;
constexpr std::size_t kConfigurationsReserved = 512;
// Of keys: a set that needs more is worked out each time.
constexpr std::uint32_t kKeyFramesMax = 1024;
constexpr std::uint32_t kUnnamed = ~std::uint32_t{0};

}  // namespace

GrammarConstraint::GrammarConstraint(std::shared_ptr<const CompiledGrammar> grammar)
    : grammar_(std::move(grammar)) {
  reserve();
  frames_.push_back({});  // the bottom
  MaskCache::Scratch scratch(*grammar_->masks);
  Walker walker(grammar_->machine, frames_, *scratch);
  push_state(walker, walker.start(), *scratch);
}

void GrammarConstraint::reserve() {
  frames_.reserve(kFramesReserved);
  configurations_.reserve(kConfigurationsReserved);
  states_.reserve(kStatesKept + 1);
}

std::span<const Configuration> GrammarConstraint::current() const {
  const State& now = states_.back();
  return std::span(configurations_)
      .subspan(now.configurations_begin, now.configurations_end - now.configurations_begin);
}

// Moves a set of the walk to the sequence, with the frames that it stands on.
void GrammarConstraint::push_state(const Walker& walker, const ConfigurationSet& set,
                                   WalkScratch& scratch) {
  const std::size_t num_base = frames_.size();
  const std::span<const Configuration> found = walker.configurations(set);
  std::uint32_t names_end = 0;
  for (const Configuration& configuration : found) {
    if (configuration.stack < num_base) continue;
    const auto top = static_cast<std::uint32_t>(configuration.stack - num_base);
    for (; names_end <= top; ++names_end) scratch.names[names_end] = kUnnamed;
  }
  for (const Configuration& configuration : found) {
    for (std::uint32_t at = configuration.stack; at >= num_base; at = walker.frame(at).below) {
      scratch.names[at - num_base] = 0;
    }
  }
  // The walker's view of frames_ ends at num_base, so frames that move are read from the scratch.
  const auto name_of = [&](std::uint32_t id) {
    return id < num_base ? id : scratch.names[id - num_base];
  };
  for (std::uint32_t i = 0; i < names_end; ++i) {
    if (scratch.names[i] == kUnnamed) continue;
    StackFrame frame = scratch.frames[i];
    frame.below = name_of(frame.below);
    scratch.names[i] = static_cast<std::uint32_t>(frames_.size());
    frames_.push_back(frame);
  }
  const auto begin = static_cast<std::uint32_t>(configurations_.size());
  for (Configuration configuration : found) {
    configuration.stack = name_of(configuration.stack);
    configurations_.push_back(configuration);
  }
  states_.push_back({.configurations_begin = begin,
                     .configurations_end = static_cast<std::uint32_t>(configurations_.size()),
                     .frames_end = static_cast<std::uint32_t>(frames_.size()),
                     .can_end = set.can_end});
}

ConfigurationSet GrammarConstraint::read_token(Walker& walker, TokenId token) const {
  ConfigurationSet set = walker.load(current(), states_.back().can_end);
  const std::string_view bytes = grammar_->vocabulary->bytes(token);
  if (bytes.empty()) return {};
  for (const char byte : bytes) {
    set = walker.read(set, static_cast<std::uint8_t>(byte));
    if (set.is_empty()) break;
    walker.keep_only(set);
  }
  return set;
}

void GrammarConstraint::advance(TokenId token) {
  const std::span<const TokenId> stops = grammar_->vocabulary->stop_ids();
  if (std::find(stops.begin(), stops.end(), token) != stops.end()) {
    State ended = states_.back();
    CHECK(ended.can_end);  // A mask without stop tokens came before.
    ended.configurations_begin = ended.configurations_end;
    ended.has_ended = true;
    states_.push_back(ended);
  } else {
    CHECK(token < grammar_->vocabulary->num_tokens());
    MaskCache::Scratch scratch(*grammar_->masks);
    Walker walker(grammar_->machine, frames_, *scratch);
    const ConfigurationSet set = read_token(walker, token);
    // The mask that came before forbids tokens that cannot be read. Of a grammar so ambiguous that
    // ways to read it were dropped another one may be left with each: there the text ends.
    CHECK(!set.is_empty() || walker.has_dropped());
    push_state(walker, set, *scratch);
    if (set.is_empty()) states_.back().can_end = true;
  }
  ++num_tokens_;
  if (states_.size() > kStatesKept) forget_old_states();
}

bool GrammarConstraint::allows(TokenId token) const {
  const std::span<const TokenId> stops = grammar_->vocabulary->stop_ids();
  if (std::find(stops.begin(), stops.end(), token) != stops.end()) return can_end();
  if (token >= grammar_->vocabulary->num_tokens()) return false;
  MaskCache::Scratch scratch(*grammar_->masks);
  Walker walker(grammar_->machine, frames_, *scratch);
  return !read_token(walker, token).is_empty();
}

void GrammarConstraint::rollback(std::size_t num_tokens) {
  CHECK(num_tokens <= kRollbackTokensMax);
  CHECK(num_tokens < states_.size());
  num_tokens_ -= num_tokens;
  states_.resize(states_.size() - num_tokens);
  configurations_.resize(states_.back().configurations_end);
  frames_.resize(states_.back().frames_end);
}

// Keeps what a rollback may come back to, and the frames below it.
void GrammarConstraint::forget_old_states() {
  const std::size_t num_forgotten = states_.size() - (kRollbackTokensMax + 1);
  const std::uint32_t first = states_[num_forgotten].configurations_begin;
  states_.erase(states_.begin(), states_.begin() + static_cast<std::ptrdiff_t>(num_forgotten));
  configurations_.erase(configurations_.begin(), configurations_.begin() + first);

  // A frame's `below` is less than its own number: marks go down in one pass, new numbers up.
  constexpr std::uint32_t kMark = 1u << 31;
  for (Configuration& configuration : configurations_) frames_[configuration.stack].depth |= kMark;
  for (std::size_t i = frames_.size(); i-- > 1;) {
    if ((frames_[i].depth & kMark) != 0) frames_[frames_[i].below].depth |= kMark;
  }
  frames_[0].depth |= kMark;
  MaskCache::Scratch scratch(*grammar_->masks);
  std::vector<std::uint32_t>& names = (*scratch).names;
  if (names.size() < frames_.size()) names.resize(frames_.size());
  names[0] = 0;  // the bottom lies on itself
  std::uint32_t num_kept = 0;
  std::size_t state = 0;
  for (std::uint32_t i = 0; i < frames_.size(); ++i) {
    while (state < states_.size() && states_[state].frames_end == i) {
      states_[state++].frames_end = num_kept;
    }
    if ((frames_[i].depth & kMark) == 0) continue;
    StackFrame frame = frames_[i];
    frame.depth &= ~kMark;
    frame.below = names[frame.below];
    names[i] = num_kept;
    frames_[num_kept++] = frame;
  }
  for (; state < states_.size(); ++state) states_[state].frames_end = num_kept;
  frames_.resize(num_kept);
  for (Configuration& configuration : configurations_) {
    configuration.stack = names[configuration.stack];
  }
  for (State& kept : states_) {
    kept.configurations_begin -= first;
    kept.configurations_end -= first;
  }
}

std::unique_ptr<LogitConstraint> GrammarConstraint::fork() const {
  std::unique_ptr<GrammarConstraint> copy(new GrammarConstraint(*this));
  copy->reserve();
  return copy;
}

// What the mask depends on: states, turns that are left (many are as good as unlimited ones, for
// no token has so many bytes) and the top frames of each stack.
MaskKey GrammarConstraint::key_of(std::uint32_t num_frames) const {
  const auto turns_max = static_cast<std::uint32_t>(grammar_->vocabulary->token_bytes_max()) + 1;
  MaskKey key{.grammar = grammar_->number, .high = num_frames, .low = ~std::uint64_t{num_frames}};
  const auto mix = [&key](std::uint64_t value) {
    key.high = mix64(key.high ^ value) + 0x9E3779B97F4A7C15u;
    key.low = mix64(key.low + value * 0xD6E8FEB86659FD93u) ^ (key.low >> 32);
  };
  const auto mix_turns = [&](std::uint32_t least, std::uint32_t most) {
    mix((std::uint64_t{std::min(least, turns_max)} << 32) | std::min(most, turns_max));
  };
  for (const Configuration& configuration : current()) {
    mix(configuration.state);
    mix_turns(configuration.turns_min, configuration.turns_max);
    std::uint32_t at = configuration.stack;
    for (std::uint32_t i = 0; i < num_frames; ++i, at = frames_[at].below) {
      mix(at == 0 ? kUnnamed : frames_[at].state);
      if (at == 0) break;
      mix_turns(frames_[at].turns_min, frames_[at].turns_max);
    }
  }
  return key;
}

// The bottom counts as a frame: to know that nothing lies below is to have looked.
std::uint32_t GrammarConstraint::frames_looked_at(std::uint32_t least_depth) const {
  std::uint32_t num_frames = 0;
  for (const Configuration& configuration : current()) {
    const std::uint32_t depth = frames_[configuration.stack].depth;
    if (depth >= least_depth) num_frames = std::max(num_frames, depth - least_depth + 1);
  }
  return num_frames;
}

// Tokens that the text needs below so many frames of the stack, and for turns of loops that the
// key does not tell apart.
std::uint32_t GrammarConstraint::rest_below(const Configuration& configuration,
                                            std::uint32_t num_frames) const {
  const Machine& machine = grammar_->machine;
  const auto rest_of_turns = [&machine](std::uint32_t state, std::uint32_t turns_min) {
    return machine.rest_tokens(state, turns_min) - machine.rest_tokens(state, 0);
  };
  std::uint32_t turns = rest_of_turns(configuration.state, configuration.turns_min);
  std::uint32_t at = configuration.stack;
  for (std::uint32_t i = 0; i < num_frames && at != 0; ++i, at = frames_[at].below) {
    turns = saturated_sum(turns, rest_of_turns(frames_[at].state, frames_[at].turns_min));
  }
  return saturated_sum(turns, frames_[at].rest_tokens);
}

// The mask without a limit of tokens. Gives a bound of the tokens that the text needs behind any
// that it allows: beside each mask lies that bound without what all ways of reading need below the
// frames that are the mask's key.
std::uint32_t GrammarConstraint::fill_mask(std::span<std::uint32_t> allowed) const {
  MaskCache& masks = *grammar_->masks;
  const MaskKey shape = key_of(0);
  std::uint32_t num_frames = masks.num_frames(shape);
  const auto most_below = [&] {
    std::uint32_t most = 0;
    for (const Configuration& one : current()) most = std::max(most, rest_below(one, num_frames));
    return most;
  };
  const auto found = masks.find(num_frames == 0 ? shape : key_of(num_frames), allowed);
  if (found) return saturated_sum(*found, most_below());

  MaskCache::Scratch scratch(masks);
  Walker walker(grammar_->machine, frames_, *scratch);
  const ConfigurationSet set = walker.load(current(), states_.back().can_end);
  const MaskFindings findings =
      MaskWalk(walker, *scratch, *grammar_->vocabulary).run(set, kNoMax, allowed);
  const std::uint32_t num_needed = frames_looked_at(walker.least_depth());
  if (num_needed > kKeyFramesMax) return findings.rest_max;
  if (num_needed > num_frames) {
    num_frames = num_needed;
    masks.set_num_frames(shape, num_frames);
  }
  std::uint32_t least = kNoMax;
  for (const Configuration& one : current()) {
    std::uint32_t at = one.stack;
    for (std::uint32_t i = 0; i < num_frames && at != 0; ++i) at = frames_[at].below;
    least = std::min(least, frames_[at].rest_tokens);
  }
  masks.keep(key_of(num_frames), allowed, findings.rest_max - std::min(findings.rest_max, least));
  return findings.rest_max;
}

// Behind this token come those that the text needs, and the stop token.
void GrammarConstraint::steer(std::uint32_t rest_max, std::span<std::uint32_t> allowed) const {
  constexpr std::size_t kThisAndStop = 2;
  const std::size_t num_left = *num_tokens_max_ - std::min(*num_tokens_max_, num_tokens_);
  if (saturated_sum(rest_max, kThisAndStop) <= num_left) return;
  if (num_left < kThisAndStop && can_end()) {
    std::fill(allowed.begin(), allowed.end(), 0);
    return;
  }
  MaskCache::Scratch scratch(*grammar_->masks);
  Walker walker(grammar_->machine, frames_, *scratch);
  const ConfigurationSet set = walker.load(current(), states_.back().can_end);
  MaskWalk walk(walker, *scratch, *grammar_->vocabulary);
  const std::size_t rest_limit = num_left - std::min(num_left, kThisAndStop);
  const MaskFindings findings = walk.run(set, static_cast<std::uint32_t>(rest_limit), allowed);
  if (findings.rest_min <= rest_limit || can_end()) return;
  // There is no way to an answer in so few tokens: the shortest one.
  walker.drop_behind(set);
  walk.run(set, findings.rest_min, allowed);
}

void GrammarConstraint::mask(std::span<std::uint32_t> allowed) const {
  constexpr std::size_t kMaskBits = 32;
  const TokenVocabulary& vocabulary = *grammar_->vocabulary;
  CHECK(allowed.size() >= vocabulary.mask_words());
  const std::span<std::uint32_t> words = allowed.first(vocabulary.mask_words());
  std::fill(allowed.begin() + static_cast<std::ptrdiff_t>(words.size()), allowed.end(), 0);
  if (current().empty()) {
    std::fill(words.begin(), words.end(), 0);
  } else {
    const std::uint32_t rest_max = fill_mask(words);
    const bool finishes = grammar_->at_limit == AtTokenLimit::kFinish;
    if (finishes && num_tokens_max_) steer(rest_max, words);
  }
  if (!can_end()) return;
  for (const TokenId stop : vocabulary.stop_ids()) {
    words[stop / kMaskBits] |= 1u << (stop % kMaskBits);
  }
}

}  // namespace millrace
