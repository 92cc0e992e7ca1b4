// Merges from scores, and scores from merges.
#include "formats/tokenizer_write_merges.h"

#include <algorithm>
#include <numeric>
#include <string_view>
#include <unordered_map>

namespace millrace {
namespace {

bool can_be_merged(const Piece& piece) {
  return piece.type == PieceType::kNormal && !piece.text.empty();
}

// Pieces that text can become, by their text.
class PieceIds {
 public:
  explicit PieceIds(const TokenizerSpec& spec) {
    ids_.reserve(spec.pieces.size());
    for (TokenId id = 0; id < spec.pieces.size(); ++id) {
      if (can_be_merged(spec.pieces[id])) ids_.emplace(spec.pieces[id].text, id);
    }
    // Matched whole before anything is merged.
    for (const AddedToken& token : spec.added_tokens) ids_.erase(token.content);
  }

  bool has(std::string_view text) const { return ids_.contains(text); }
  const TokenId* find(std::string_view text) const {
    const auto found = ids_.find(text);
    return found == ids_.end() ? nullptr : &found->second;
  }

 private:
  std::unordered_map<std::string_view, TokenId> ids_;  // Views of the spec's own strings.
};

bool is_character_start(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0u) != 0x80u;
}

// Calls `visit(left, right)` for every cut of `text` into two pieces.
template <class Visit>
void for_each_cut(std::string_view text, const PieceIds& ids, Visit visit) {
  for (std::size_t at = 1; at < text.size(); ++at) {
    if (!is_character_start(text[at])) continue;
    const std::string_view left = text.substr(0, at);
    const std::string_view right = text.substr(at);
    if (ids.has(left) && ids.has(right)) visit(left, right);
  }
}

std::vector<TokenId> ids_best_first(const TokenizerSpec& spec) {
  std::vector<TokenId> order(spec.pieces.size());
  std::iota(order.begin(), order.end(), TokenId{0});
  if (spec.merge_source != MergeSource::kPieceScore) return order;
  std::stable_sort(order.begin(), order.end(), [&spec](TokenId a, TokenId b) {
    return spec.pieces[a].score > spec.pieces[b].score;
  });
  return order;
}

// Where the merges that make one piece lie in the list, and how many there are.
struct MergeRange {
  TokenId made = 0;
  std::size_t first = 0;
  std::size_t last = 0;
  std::uint32_t num_merges = 0;
};

// In the order of the first merge of each.
std::vector<MergeRange> merge_ranges(const TokenizerSpec& spec, const PieceIds& ids) {
  std::vector<MergeRange> ranges;
  std::unordered_map<TokenId, std::size_t> range_of;
  std::string text;
  for (std::size_t i = 0; i < spec.merges.size(); ++i) {
    text.assign(spec.merges[i].first).append(spec.merges[i].second);
    const TokenId* made = ids.find(text);
    if (made == nullptr) continue;  // Makes an added token, which is matched whole before.
    const auto [found, is_new] = range_of.emplace(*made, ranges.size());
    if (is_new) ranges.push_back({.made = *made, .first = i});
    MergeRange& range = ranges[found->second];
    range.last = i;
    ++range.num_merges;
  }
  return ranges;
}

void note_inexact(const TokenizerSpec& spec, TokenId id, MergeScores& scores) {
  if (scores.num_inexact++ == 0) scores.example = spec.pieces[id].text;
}

// One score for each piece whose merges follow one another; one for all of those that interleave.
void score_ranges(const TokenizerSpec& spec, const std::vector<MergeRange>& ranges,
                  MergeScores& scores) {
  float score = 0;
  for (std::size_t begin = 0; begin < ranges.size();) {
    std::size_t end = begin + 1;
    std::size_t last = ranges[begin].last;
    for (; end < ranges.size() && ranges[end].first < last; ++end) {
      last = std::max(last, ranges[end].last);
    }
    for (std::size_t i = begin; i < end; ++i) {
      scores.values[ranges[i].made] = score;
      if (end > begin + 1) note_inexact(spec, ranges[i].made, scores);
    }
    score -= 1;
    begin = end;
  }
}

// Merging by score takes any two pieces that make a third; a list that lacks some does not. Texts
// with spaces never occur where spaces are written as another character.
void find_missing(const TokenizerSpec& spec, const PieceIds& ids,
                  const std::vector<MergeRange>& ranges, MergeScores& scores) {
  std::unordered_map<TokenId, std::uint32_t> num_merges;
  for (const MergeRange& range : ranges) num_merges[range.made] = range.num_merges;
  for (TokenId id = 0; id < spec.pieces.size(); ++id) {
    const std::string& text = spec.pieces[id].text;
    const TokenId* self = ids.find(text);
    if (self == nullptr || *self != id || text.find(' ') != std::string::npos) continue;
    std::uint32_t num_cuts = 0;
    for_each_cut(text, ids, [&](std::string_view, std::string_view) { ++num_cuts; });
    const auto listed = num_merges.find(id);
    if (num_cuts > (listed == num_merges.end() ? 0 : listed->second)) {
      note_inexact(spec, id, scores);
    }
  }
}

}  // namespace

MergeList merges_of(const TokenizerSpec& spec) {
  if (spec.merge_source == MergeSource::kMerges) return spec.merges;
  const PieceIds ids(spec);
  MergeList merges;
  for (const TokenId id : ids_best_first(spec)) {
    const Piece& piece = spec.pieces[id];
    if (!can_be_merged(piece)) continue;
    for_each_cut(piece.text, ids, [&merges](std::string_view left, std::string_view right) {
      merges.emplace_back(left, right);
    });
  }
  return merges;
}

MergeScores merge_scores_of(const TokenizerSpec& spec) {
  MergeScores scores;
  scores.values.resize(spec.pieces.size(), 0.0f);
  if (spec.merge_source == MergeSource::kMerges) {
    const PieceIds ids(spec);
    const std::vector<MergeRange> ranges = merge_ranges(spec, ids);
    score_ranges(spec, ranges, scores);
    find_missing(spec, ids, ranges, scores);
    return scores;
  }
  for (std::size_t id = 0; id < spec.pieces.size(); ++id) {
    const bool by_score = spec.merge_source == MergeSource::kPieceScore;
    scores.values[id] =
        by_score ? static_cast<float>(spec.pieces[id].score) : -static_cast<float>(id);
  }
  return scores;
}

}  // namespace millrace
