// Along the shortest text of each state, the cut into tokens that leaves the least behind.
#include "constrain/machine_rest.h"

#include <algorithm>

namespace millrace {
namespace {

// Longer tokens exist, of white space and dashes; no shortest text needs one.
constexpr std::size_t kPathBytesMax = 32;

class RestCounter {
 public:
  RestCounter(std::span<const RestMove> moves, const TokenTrie& trie, CompileBudget& budget)
      : moves_(moves), trie_(trie), budget_(budget), rest_(moves.size(), 0) {}

  Result<std::vector<std::uint32_t>> run(std::span<const std::uint32_t> order) {
    for (const std::uint32_t state : order) {
      rest_[state] = rest_from(state);
      TRY(budget_.count_work(1));
    }
    return std::move(rest_);
  }

 private:
  std::uint32_t rest_from(std::uint32_t state) const {
    const RestMove& move = moves_[state];
    switch (move.kind) {
      case RestMove::Kind::kNone:
      case RestMove::Kind::kEnd:
        return 0;
      case RestMove::Kind::kStep:
        return rest_[move.target];
      case RestMove::Kind::kCall: {
        const std::uint64_t turns = std::uint64_t{move.num_turns} * rest_[move.turn];
        return saturated_sum(saturated_sum(rest_[move.callee], turns), rest_[move.target]);
      }
      case RestMove::Kind::kByte:
        return rest_by_tokens(state);
    }
    return 0;
  }

  // A token that goes on behind the rule's end, or into another rule, is not counted on.
  std::uint32_t rest_by_tokens(std::uint32_t state) const {
    std::uint32_t least = saturated_sum(1, rest_[moves_[state].target]);
    std::uint32_t node = 0;
    std::uint32_t at = state;
    for (std::size_t i = 0; i < kPathBytesMax; ++i) {
      while (moves_[at].kind == RestMove::Kind::kStep) at = moves_[at].target;
      if (moves_[at].kind != RestMove::Kind::kByte) break;
      node = trie_.child(node, moves_[at].byte);
      if (node == 0) break;
      at = moves_[at].target;
      if (!trie_.tokens_of(node).empty()) least = std::min(least, saturated_sum(1, rest_[at]));
    }
    return least;
  }

  std::span<const RestMove> moves_;
  const TokenTrie& trie_;
  CompileBudget& budget_;
  std::vector<std::uint32_t> rest_;
};

}  // namespace

Result<std::vector<std::uint32_t>> rest_tokens(std::span<const RestMove> moves,
                                               std::span<const std::uint32_t> order,
                                               const TokenTrie& trie, CompileBudget& budget) {
  return RestCounter(moves, trie, budget).run(order);
}

}  // namespace millrace
