// Building the trie in one pass over sorted texts.
#include "constrain/token_trie.h"

#include <algorithm>

namespace millrace {

// Entries in the order of their bytes come in that of a walk through the trie: so each node is
// finished when the first entry that does not lie below it arrives.
TokenTrie::TokenTrie(std::vector<Entry> entries) {
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return a.bytes != b.bytes ? a.bytes < b.bytes : a.id < b.id;
  });
  std::vector<std::uint32_t> path = {0};
  nodes_.push_back({});
  const auto close_below = [&](std::size_t depth) {
    while (path.size() > depth + 1) {
      nodes_[path.back()].subtree_end = static_cast<std::uint32_t>(nodes_.size());
      path.pop_back();
    }
  };
  std::string_view previous;
  for (const Entry& entry : entries) {
    const std::string_view bytes = entry.bytes;
    const auto [end, unused] =
        std::mismatch(previous.begin(), previous.end(), bytes.begin(), bytes.end());
    close_below(static_cast<std::size_t>(end - previous.begin()));
    for (std::size_t depth = path.size(); depth <= bytes.size(); ++depth) {
      const auto byte = static_cast<std::uint8_t>(bytes[depth - 1]);
      if (depth == 1) first_[byte] = static_cast<std::uint32_t>(nodes_.size());
      path.push_back(static_cast<std::uint32_t>(nodes_.size()));
      nodes_.push_back({.byte = byte,
                        .depth = static_cast<std::uint16_t>(depth),
                        .subtree_end = 0,
                        .tokens_begin = static_cast<std::uint32_t>(tokens_.size())});
    }
    tokens_.push_back(entry.id);
    previous = bytes;
  }
  close_below(0);
  nodes_[0].subtree_end = static_cast<std::uint32_t>(nodes_.size());
}

std::uint32_t TokenTrie::child(std::uint32_t node, std::uint8_t byte) const {
  if (node == 0) return first_[byte];
  const std::uint32_t end = nodes_[node].subtree_end;
  for (std::uint32_t at = node + 1; at < end; at = nodes_[at].subtree_end) {
    if (nodes_[at].byte == byte) return at;
    if (nodes_[at].byte > byte) return 0;  // Siblings are in the order of their bytes.
  }
  return 0;
}

}  // namespace millrace
