// Documents packed into rows of equal length, in an order that a seed says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "train/token_data.h"

namespace millrace {

inline constexpr std::int64_t kNoTarget = -100;  // what libtorch's losses leave out

// Rows as flat arrays [B, T].
//
//   token_ids   a b c d | e f g | pad       of documents "a b c d x" and "e f g y"
//   targets     b c d x | f g y | none      none too for what is not learned
//   positions   0 1 2 3 | 0 1 2 | 0
//   documents   0 0 0 0 | 1 1 1 | 2
struct RowBatch {
  std::size_t num_rows = 0;
  std::vector<std::int64_t> token_ids;
  std::vector<std::int64_t> targets;
  std::vector<std::int64_t> positions;
  std::vector<std::int64_t> documents;
  std::size_t num_targets = 0;
  std::size_t num_used = 0;  // positions that are no padding
};

struct CorpusPart {
  const TokenData* data = nullptr;
  double weight = 1.0;
};

struct PackingOptions {
  std::size_t context = 512;  // T
  std::uint64_t seed = 0;
};

// An endless sequence of rows: epoch after epoch, each in another order. What comes n-th depends on
// the data and the options alone. The data must outlive it; one thread.
class RowStream {
 public:
  // There must be a document of two tokens.
  RowStream(std::vector<CorpusPart> parts, const PackingOptions& options);

  // The next rows.
  RowBatch next(std::size_t num_rows);
  // As if so many had been taken.
  void skip(std::uint64_t num_rows);
  std::uint64_t epoch() const { return epoch_; }
  std::size_t epoch_rows() const { return row_begins_.size() - 1; }

 private:
  // Inputs [begin, begin + count) of a part's tokens; each target is the token after.
  struct Piece {
    std::uint32_t part = 0;
    std::uint32_t count = 0;
    std::uint64_t begin = 0;
  };
  using OpenRow = std::vector<Piece>;

  void pack_epoch();
  std::vector<Piece> shuffled_pieces() const;
  void add_pieces(std::uint32_t part, const TokenData::Document& document,
                  std::vector<Piece>& pieces) const;
  void close_row(const OpenRow& row);
  void fill_row(std::span<const Piece> pieces, RowBatch& batch) const;

  std::vector<CorpusPart> parts_;
  PackingOptions options_;
  std::uint64_t epoch_ = 0;
  std::size_t next_row_ = 0;
  std::vector<Piece> pieces_;            // of this epoch, row after row
  std::vector<std::size_t> row_begins_;  // [rows + 1]
};

}  // namespace millrace
