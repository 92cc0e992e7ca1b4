// Tokens of plain characters all at once where they can be, the others through tries.
#include "constrain/mask_walk.h"

#include <algorithm>

namespace millrace {
namespace {

// Steps of one walk. Plain JSON takes one for each node that it reaches; a grammar that follows
// very many ways at once is cut off here, some tens of milliseconds on.
constexpr std::uint64_t kStepsMax = 2'000'000;
constexpr std::uint32_t kMaskBits = 32;
constexpr std::uint8_t kPlainByte = 'a';  // stands for all where they do the same

}  // namespace

MaskFindings MaskWalk::run(const ConfigurationSet& set, std::uint32_t rest_limit,
                           std::span<std::uint32_t> allowed) {
  std::fill(allowed.begin(), allowed.end(), 0);
  allowed_ = allowed;
  rest_limit_ = rest_limit;
  findings_ = {};
  const Runs runs = run_text(set);
  const bool is_known =
      runs.end == Runs::End::kLoops || (runs.num_chars > 0 && runs.end != Runs::End::kMixed);
  if (is_known) {
    allow_runs(runs);
  } else {
    walk_all(set);
  }
  return findings_;
}

MaskWalk::Runs MaskWalk::run_text(const ConfigurationSet& set) {
  const auto vocabulary_has = vocabulary_.has_byte(kPlainByte);
  scratch_.runs[0] = set;
  for (std::size_t i = 0;; ++i) {
    bool is_inert = true;
    for (const Configuration& from : walker_.configurations(scratch_.runs[i])) {
      const Machine::TextKind kind = machine_.state(from.state).text;
      if (kind == Machine::TextKind::kMixed) return {Runs::End::kMixed, i};
      is_inert = is_inert && kind == Machine::TextKind::kInert;
    }
    if (is_inert) return {Runs::End::kInert, i};
    const std::size_t num_used = scratch_.runs[i].end;
    if (!vocabulary_has || num_used > scratch_.configurations.size() / 2) {
      return {Runs::End::kMixed, i};
    }
    if (i == TextTokens::kCharsMax) return {Runs::End::kMany, i};
    const ConfigurationSet next = walker_.read(scratch_.runs[i], kPlainByte);
    if (walker_.is_same(next, scratch_.runs[i])) return {Runs::End::kLoops, i};
    scratch_.runs[i + 1] = next;
  }
}

// From the last run to the first, for walks write over what lies behind the set that they begin
// with.
void MaskWalk::allow_runs(const Runs& runs) {
  const TextTokens& texts = vocabulary_.text_tokens();
  const bool loops = runs.end == Runs::End::kLoops;
  const std::size_t num_chars = loops ? TextTokens::kCharsMax : runs.num_chars;
  for (std::size_t i = num_chars; i > 0; --i) {
    const ConfigurationSet& behind = scratch_.runs[std::min(i, runs.num_chars)];
    const std::uint32_t rest = walker_.rest_tokens(behind);
    findings_.rest_min = std::min(findings_.rest_min, rest);
    findings_.rest_max = std::max(findings_.rest_max, rest);
    if (rest > rest_limit_) continue;
    const std::span<const std::uint32_t> most = texts.whole(i);
    // Where the last set stays as it is, all of more characters lead to it.
    if (loops && i > runs.num_chars) i = std::max<std::size_t>(runs.num_chars, 1);
    const std::span<const std::uint32_t> less = texts.whole(i - 1);
    for (std::size_t word = 0; word < allowed_.size(); ++word) {
      allowed_[word] |= most[word] & ~less[word];
    }
  }
  if (loops && runs.num_chars == 0) {
    walk_from(scratch_.runs[0], texts.any_rest());
    return;
  }
  for (std::size_t i = num_chars + 1; i-- > 0;) {
    walk_from(scratch_.runs[std::min(i, runs.num_chars)], texts.rest(i));
  }
}

// Tokens of one byte first: one of them is allowed wherever anything is, so even a walk that is
// cut off leaves a way on.
void MaskWalk::walk_all(const ConfigurationSet& set) {
  const TokenTrie& trie = vocabulary_.trie();
  const std::span<const TokenTrie::Node> nodes = trie.nodes();
  scratch_.levels[0] = {.set = set};
  settle(scratch_.levels[0]);
  for (std::uint32_t node = 1; node < nodes.size(); node = nodes[node].subtree_end) {
    walk(trie, node, node + 1);
  }
  walk(trie, 1, static_cast<std::uint32_t>(nodes.size()));
}

void MaskWalk::walk_from(const ConfigurationSet& set, const TokenTrie& trie) {
  scratch_.levels[0] = {.set = set};
  settle(scratch_.levels[0]);
  walk(trie, 1, static_cast<std::uint32_t>(trie.nodes().size()));
}

// Walks the nodes in depth-first order and leaves out what lies below a byte that does not fit.
void MaskWalk::walk(const TokenTrie& trie, std::uint32_t first, std::uint32_t end) {
  const std::span<const TokenTrie::Node> nodes = trie.nodes();
  for (std::uint32_t node = first; node < end;) {
    const TokenTrie::Node& at = nodes[node];
    if (!read(at)) {
      node = at.subtree_end;
      continue;
    }
    const std::span<const TokenId> tokens = trie.tokens_of(node);
    if (!tokens.empty()) {
      const WalkLevel& here = scratch_.levels[at.depth];
      allow(tokens, rest_of(here));
    }
    if (walker_.num_steps() > kStepsMax) return;
    ++node;
  }
}

// From the level above the node to the node's; whether it can be read.
bool MaskWalk::read(const TokenTrie::Node& node) {
  const WalkLevel& above = scratch_.levels[node.depth - 1u];
  WalkLevel& here = scratch_.levels[node.depth];
  if (above.state != Machine::kDead) {
    const std::uint32_t target = machine_.only_next(machine_.state(above.state), node.byte);
    if (target == Machine::kDead) return false;
    if (machine_.state(target).is_plain && machine_.state(target).is_deterministic) {
      here = {.set = above.set, .state = target, .rest_below = above.rest_below};
      here.set.can_end = false;
      return true;
    }
    here = {.set = walker_.read(walker_.moved(above.set, above.state), node.byte)};
  } else {
    walker_.drop_behind(above.set);
    here = {.set = walker_.read(above.set, node.byte)};
  }
  if (here.set.is_empty()) return false;
  settle(here);
  return true;
}

void MaskWalk::settle(WalkLevel& level) const {
  level.state = Machine::kDead;
  if (level.set.end - level.set.begin != 1) return;
  const Configuration& only = walker_.configurations(level.set)[0];
  if (!machine_.state(only.state).is_deterministic) return;
  level.state = only.state;
  level.rest_below = walker_.rest_below(only);
}

std::uint32_t MaskWalk::rest_of(const WalkLevel& level) const {
  if (level.set.can_end) return 0;
  if (level.state == Machine::kDead) return walker_.rest_tokens(level.set);
  return saturated_sum(machine_.rest_tokens(level.state, 0), level.rest_below);
}

void MaskWalk::allow(std::span<const TokenId> tokens, std::uint32_t rest) {
  findings_.rest_min = std::min(findings_.rest_min, rest);
  findings_.rest_max = std::max(findings_.rest_max, rest);
  if (rest > rest_limit_) return;
  for (const TokenId token : tokens) {
    allowed_[token / kMaskBits] |= 1u << (token % kMaskBits);
  }
}

}  // namespace millrace
