// The three ways in which files say what BPE merges first, turned into each other.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "text/tokenizer_spec.h"

namespace millrace {

using MergeList = std::vector<std::pair<std::string, std::string>>;

// The list of merges, best first: the spec's own, or every cut of a piece into two pieces, ordered
// by the score or the rank of the piece that it makes. Among equal scores the lower id comes first.
// O(bytes of all pieces) look-ups.
MergeList merges_of(const TokenizerSpec& spec);

// Scores, by id, under which merging by score does what the spec's merges do.
struct MergeScores {
  std::vector<float> values;
  // Tokens whose merges have priorities that one score for each token cannot say, and one of them.
  // Runs of spaces in Llama's vocabulary are such: all their merges have one priority.
  std::size_t num_inexact = 0;
  std::string example;
};
MergeScores merge_scores_of(const TokenizerSpec& spec);

}  // namespace millrace
