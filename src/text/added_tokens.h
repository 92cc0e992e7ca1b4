// Finds the tokens that are matched in a text as a whole, before the model sees it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/encode_options.h"
#include "text/flat_table.h"
#include "text/tokenizer_spec.h"

namespace millrace {

// Part of a text: an added token, or what lies between two of them (never empty).
struct TextSection {
  std::string_view text;
  std::optional<TokenId> token;
};

// Immutable. Leftmost match first, the longest of those that begin there: a trie over bytes, so
// O(text x longest token), and the longest token is bounded.
class AddedTokenFinder {
 public:
  static constexpr std::size_t kContentBytesMax = 512;

  // Empty: finds nothing.
  AddedTokenFinder() = default;

  // `content` is what to look for, for instance the token's content after normalisation.
  Status add(const AddedToken& token, std::string_view content);

  bool empty() const { return tokens_.empty(); }

  // Cuts `text` up and appends the sections in order. Special tokens are passed over (and their
  // text stays text) unless special tokens are to be parsed; those behind a `plain_mark`, which
  // stays in the text, are passed over even then.
  void cut(std::string_view text, ParseSpecial parse_special, std::vector<TextSection>& sections,
           std::string_view plain_mark = {}) const;

  // Whether the text begins with that of a special token.
  bool begins_special(std::string_view text) const;

 private:
  struct Token {
    TokenId id = 0;
    bool special = false;
    bool single_word = false;
    bool lstrip = false;
    bool rstrip = false;
  };
  struct Match {
    std::size_t num_bytes = 0;  // 0: none.
    std::uint32_t token = 0;
  };
  Match longest_match(std::string_view text) const;

  std::array<bool, 256> starts_{};  // First bytes of any token.
  FlatTable<std::uint32_t> edges_;  // Node and byte to node.
  std::vector<std::uint32_t> token_of_node_{kNone};
  std::vector<Token> tokens_;

  static constexpr std::uint32_t kNone = 0xFFFFFFFF;
};

}  // namespace millrace
