// Texts sorted into a trie, each with the tokens that it stands for.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/token_id.h"

namespace millrace {

// Immutable once built; any thread.
//
//   nodes, in depth-first order          tokens of "a", "ab", "b"
//   ┌──────┬──────┬────────────┬──────────────┐
//   │ byte │ depth│ subtree_end│ tokens_begin │    0 root · 1 'a' {a} · 2 'b' {ab} · 3 'b' {b}
//   └──────┴──────┴────────────┴──────────────┘
class TokenTrie {
 public:
  struct Node {
    std::uint8_t byte = 0;
    std::uint16_t depth = 0;        // the root's is 0
    std::uint32_t subtree_end = 0;  // one past its last descendant
    std::uint32_t tokens_begin = 0;
  };
  struct Entry {
    std::string_view bytes;  // not empty; of up to 65,535
    TokenId id = 0;
  };

  TokenTrie() : nodes_(1, Node{.subtree_end = 1}) {}
  explicit TokenTrie(std::vector<Entry> entries);

  std::span<const Node> nodes() const { return nodes_; }
  std::span<const TokenId> tokens_of(std::uint32_t node) const {
    const std::uint32_t begin = nodes_[node].tokens_begin;
    const std::size_t end =
        node + 1 < nodes_.size() ? nodes_[node + 1].tokens_begin : tokens_.size();
    return std::span(tokens_).subspan(begin, end - begin);
  }
  // The node behind `node` by this byte; 0 where there is none.
  std::uint32_t child(std::uint32_t node, std::uint8_t byte) const;
  std::uint64_t memory_bytes() const {
    return nodes_.capacity() * sizeof(Node) + tokens_.capacity() * sizeof(TokenId);
  }

 private:
  std::vector<Node> nodes_;
  std::vector<TokenId> tokens_;
  std::array<std::uint32_t, 256> first_{};  // the root's children by their bytes
};

}  // namespace millrace
