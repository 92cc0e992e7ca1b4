// Shuffling and best-fit packing of documents.
#include "train/packing.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/check.h"
#include "base/random.h"

namespace millrace {
namespace {

// Rows that are being filled at once: more leave less padding, and cost a look at each per
// document.
constexpr std::size_t kOpenRows = 64;

template <class T>
void shuffle(std::vector<T>& items, Random& random) {
  for (std::size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[random.below(i)]);
}

}  // namespace

RowStream::RowStream(std::vector<CorpusPart> parts, const PackingOptions& options)
    : parts_(std::move(parts)), options_(options) {
  CHECK(options_.context > 0);
  pack_epoch();
}

// A piece's last token is a target only, so that a document of n tokens takes n - 1 places, and the
// pieces of a long one share no target.
void RowStream::add_pieces(std::uint32_t part, const TokenData::Document& document,
                           std::vector<Piece>& pieces) const {
  for (std::uint64_t begin = document.begin; begin + 1 < document.end; begin += options_.context) {
    const std::uint64_t count = std::min<std::uint64_t>(options_.context, document.end - 1 - begin);
    pieces.push_back({part, static_cast<std::uint32_t>(count), begin});
    if (document.when_long == LongDocument::kKeepBeginning) return;
  }
}

std::vector<RowStream::Piece> RowStream::shuffled_pieces() const {
  Random random(mix64(options_.seed + mix64(epoch_ + 1)));
  std::vector<Piece> pieces;
  for (std::uint32_t part = 0; part < parts_.size(); ++part) {
    const double whole = std::floor(parts_[part].weight);
    for (const TokenData::Document& document : parts_[part].data->documents()) {
      auto times = static_cast<std::uint64_t>(whole);
      if (random.chance(parts_[part].weight - whole)) ++times;
      for (std::uint64_t i = 0; i < times; ++i) add_pieces(part, document, pieces);
    }
  }
  shuffle(pieces, random);
  return pieces;
}

void RowStream::close_row(const OpenRow& row) {
  pieces_.insert(pieces_.end(), row.begin(), row.end());
  row_begins_.push_back(pieces_.size());
}

// Into the fullest of the open rows that has room for it: best fit.
void RowStream::pack_epoch() {
  pieces_.clear();
  row_begins_ = {0};
  next_row_ = 0;
  std::vector<std::pair<std::size_t, OpenRow>> open;  // places taken, pieces
  for (const Piece& piece : shuffled_pieces()) {
    auto best = open.end();
    for (auto row = open.begin(); row != open.end(); ++row) {
      if (row->first + piece.count > options_.context) continue;
      if (best == open.end() || row->first > best->first) best = row;
    }
    if (best == open.end()) {
      if (open.size() == kOpenRows) {
        const auto fullest =
            std::max_element(open.begin(), open.end(),
                             [](const auto& a, const auto& b) { return a.first < b.first; });
        close_row(fullest->second);
        open.erase(fullest);
      }
      best = open.insert(open.end(), {0, {}});
    }
    best->first += piece.count;
    best->second.push_back(piece);
    if (best->first < options_.context) continue;
    close_row(best->second);
    open.erase(best);
  }
  for (const auto& row : open) close_row(row.second);
  CHECK(row_begins_.size() > 1);
}

void RowStream::skip(std::uint64_t num_rows) {
  while (num_rows >= epoch_rows() - next_row_) {
    num_rows -= epoch_rows() - next_row_;
    ++epoch_;
    pack_epoch();
  }
  next_row_ += num_rows;
}

RowBatch RowStream::next(std::size_t num_rows) {
  RowBatch batch;
  for (std::size_t i = 0; i < num_rows; ++i) {
    const std::span<const Piece> all(pieces_);
    fill_row(
        all.subspan(row_begins_[next_row_], row_begins_[next_row_ + 1] - row_begins_[next_row_]),
        batch);
    skip(1);
  }
  return batch;
}

void RowStream::fill_row(std::span<const Piece> pieces, RowBatch& batch) const {
  const std::size_t end = (batch.num_rows + 1) * options_.context;
  std::int64_t document = 0;
  for (const Piece& piece : pieces) {
    const TokenData& data = *parts_[piece.part].data;
    for (std::uint32_t i = 0; i < piece.count; ++i) {
      const std::uint64_t at = piece.begin + i;
      const bool learned = data.is_learned(at + 1);
      batch.token_ids.push_back(data.id(at));
      batch.targets.push_back(learned ? std::int64_t{data.id(at + 1)} : kNoTarget);
      batch.positions.push_back(i);
      batch.documents.push_back(document);
      batch.num_targets += learned ? 1 : 0;
    }
    batch.num_used += piece.count;
    ++document;
  }
  for (std::int64_t position = 0; batch.token_ids.size() < end; ++position) {
    batch.token_ids.push_back(0);
    batch.targets.push_back(kNoTarget);
    batch.positions.push_back(position);
    batch.documents.push_back(document);
  }
  ++batch.num_rows;
}

}  // namespace millrace
