// The walk through a vocabulary: which of its tokens can be read.
#pragma once

#include <cstdint>
#include <span>

#include "constrain/walker.h"

namespace millrace {

// What is found of the tokens that can be read: how many tokens the text needs behind each.
struct MaskFindings {
  std::uint32_t rest_min = kNoMax;
  std::uint32_t rest_max = 0;
};

// One set of configurations; allocates nothing.
class MaskWalk {
 public:
  // `walker` reads with `scratch`, and `set` is its last one.
  MaskWalk(Walker& walker, WalkScratch& scratch, const TokenVocabulary& vocabulary)
      : walker_(walker), machine_(walker.machine()), scratch_(scratch), vocabulary_(vocabulary) {}

  // Sets the bit of each token that can be read from `set` and leaves no more than `rest_limit`
  // tokens to be written, of all others none.
  MaskFindings run(const ConfigurationSet& set, std::uint32_t rest_limit,
                   std::span<std::uint32_t> allowed);

 private:
  // What plain characters do to the sets of scratch_.runs, one after the other.
  struct Runs {
    enum class End : std::uint8_t {
      kMixed,  // not all characters do the same to the last
      kInert,  // the last reads none
      kLoops,  // the last stays as it is
      kMany,   // there are as many as fit
    };
    End end = End::kMixed;
    std::size_t num_chars = 0;  // read for the last one
  };

  Runs run_text(const ConfigurationSet& set);
  void allow_runs(const Runs& runs);
  void walk_all(const ConfigurationSet& set);
  void walk(const TokenTrie& trie, std::uint32_t first, std::uint32_t end);
  void walk_from(const ConfigurationSet& set, const TokenTrie& trie);
  bool read(const TokenTrie::Node& node);
  void settle(WalkLevel& level) const;
  std::uint32_t rest_of(const WalkLevel& level) const;
  void allow(std::span<const TokenId> tokens, std::uint32_t rest);

  Walker& walker_;
  const Machine& machine_;
  WalkScratch& scratch_;
  const TokenVocabulary& vocabulary_;
  std::span<std::uint32_t> allowed_;
  std::uint32_t rest_limit_ = kNoMax;
  MaskFindings findings_;
};

}  // namespace millrace
