// How many tokens it takes at least from each state to the end of its rule.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "constrain/compile_budget.h"
#include "constrain/token_trie.h"

namespace millrace {

// How the shortest text from a state begins.
struct RestMove {
  enum class Kind : std::uint8_t {
    kNone,  // there is none
    kEnd,   // it is empty
    kByte,  // `byte`, then `target`
    kStep,  // nothing, then `target`
    kCall,  // a text of the rule that begins in `callee`, its loop's turns, then `target`
  };
  Kind kind = Kind::kNone;
  std::uint8_t byte = 0;
  std::uint32_t target = 0;
  std::uint32_t callee = 0;
  std::uint32_t num_turns = 0;
  std::uint32_t turn = 0;  // the state in which a turn begins
};

inline std::uint32_t saturated_sum(std::uint64_t a, std::uint64_t b) {
  constexpr std::uint64_t kMax = ~std::uint32_t{0};
  return static_cast<std::uint32_t>(a + b < kMax ? a + b : kMax);
}

// By state: tokens of the vocabulary that some text from there to the rule's end takes; another
// text, or another cut of it, may take fewer. `order` has every state behind those that its move
// leads to. From wherever n > 0 are needed some token leads to where n - 1 at most are.
Result<std::vector<std::uint32_t>> rest_tokens(std::span<const RestMove> moves,
                                               std::span<const std::uint32_t> order,
                                               const TokenTrie& trie, CompileBudget& budget);

}  // namespace millrace
