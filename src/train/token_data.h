// Documents as token ids, each token with whether it is one to learn.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/token_id.h"

namespace millrace {

// A document longer than the context is cut, or only its beginning is kept.
enum class LongDocument : std::uint8_t { kCut, kKeepBeginning };

// Plain data, appended to while a corpus is read and constant from then on.
class TokenData {
 public:
  struct Document {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    LongDocument when_long = LongDocument::kCut;
    std::uint64_t num_tokens() const { return end - begin; }
  };

  void begin_document(LongDocument when_long) {
    documents_.push_back({ids_.size(), ids_.size(), when_long});
  }
  // To the document that was begun last. `learned` is whether a model should come to predict them.
  void append(std::span<const TokenId> ids, bool learned) {
    ids_.insert(ids_.end(), ids.begin(), ids.end());
    learned_.insert(learned_.end(), ids.size(), learned ? 1 : 0);
    documents_.back().end = ids_.size();
    if (learned) num_learned_ += ids.size();
  }
  // Takes the last document back.
  void drop_document() {
    for (std::uint64_t i = documents_.back().begin; i < ids_.size(); ++i)
      num_learned_ -= learned_[i];
    ids_.resize(documents_.back().begin);
    learned_.resize(ids_.size());
    documents_.pop_back();
  }

  std::span<const Document> documents() const { return documents_; }
  TokenId id(std::uint64_t index) const { return ids_[index]; }
  bool is_learned(std::uint64_t index) const { return learned_[index] != 0; }
  std::uint64_t num_tokens() const { return ids_.size(); }
  std::uint64_t num_learned() const { return num_learned_; }

 private:
  std::vector<TokenId> ids_;
  std::vector<std::uint8_t> learned_;
  std::vector<Document> documents_;
  std::uint64_t num_learned_ = 0;
};

}  // namespace millrace
