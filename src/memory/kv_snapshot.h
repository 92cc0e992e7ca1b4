// KV blocks of token prefixes in a file, to be found again at the next start.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/id.h"
#include "base/result.h"
#include "base/token_id.h"
#include "memory/kv_cache.h"
#include "memory/kv_snapshot_format.h"

namespace millrace {

// What cached keys and values depend on beside their tokens and the layout of the cache. Blocks of
// another key are of no use, and are refused.
struct KvSnapshotKey {
  std::array<std::uint64_t, 2> model{};  // weights and spec
  std::uint32_t packing_version = 0;     // of the weights
  std::string kernel_row;                // instruction set, 15 bytes at most
  std::uint64_t context = 0;             // the setting of context and ropes
};

// A prefix that is to be written: whole blocks, the first token first.
struct KvSnapshotPrefix {
  std::uint32_t kind = 0;  // the writer's own word for it
  std::vector<TokenId> tokens;
  std::vector<BlockId> blocks;  // of the cache
};

// Writes the file whole or not at all, with mode 0600, into a folder that only its owner may enter
// (made when absent). Blocks that prefixes share are written once. They must not change meanwhile.
Status write_kv_snapshot(const std::string& path, const KvSnapshotKey& key, const KvCache& cache,
                         std::span<const KvSnapshotPrefix> prefixes);

// The tables of a file, checked whole; the bytes that it was made from must outlive it.
class KvSnapshotTables {
 public:
  // kCorruptData when the bytes are no such file or damaged; kInvalidArgument, naming what differs
  // with both values, when they were made for something else.
  static Result<KvSnapshotTables> parse(std::span<const std::byte> bytes, const KvSnapshotKey& key,
                                        const KvCacheSpec& spec);

  std::size_t num_prefixes() const { return header_.num_prefixes; }
  std::size_t num_blocks() const { return header_.num_blocks; }
  std::uint32_t kind(std::size_t prefix) const { return prefix_record(prefix).kind; }
  // Numbers of its blocks in the file, the first one first.
  std::vector<std::uint32_t> path(std::size_t prefix) const;
  // All of its tokens.
  std::vector<TokenId> tokens(std::size_t prefix) const;
  std::uint64_t checksum(std::size_t block) const { return block_record(block).checksum; }
  std::span<const std::byte> block_bytes(std::size_t block) const;

 private:
  KvSnapshotTables(std::span<const std::byte> bytes, const KvSnapshotHeader& header)
      : bytes_(bytes), header_(header) {}

  Status check_sizes();
  Status check_tables(const KvCacheSpec& spec) const;
  Status check_records() const;
  KvSnapshotPrefixRecord prefix_record(std::size_t prefix) const;
  KvSnapshotBlockRecord block_record(std::size_t block) const;
  std::size_t record_bytes() const {
    return sizeof(KvSnapshotBlockRecord) + std::size_t{header_.block_tokens} * sizeof(TokenId);
  }

  std::span<const std::byte> bytes_;
  KvSnapshotHeader header_;
  std::size_t prefixes_begin_ = 0;
  std::size_t blocks_begin_ = 0;
  std::size_t data_begin_ = 0;
};

// A file that is there: mapped, its owner and its tables checked. Blocks are copied out, each
// against its checksum: the cache's blocks lie layer after layer and not on pages, so there is no
// place where a mapping of them could go.
class KvSnapshot {
 public:
  // kNotFound when there is none, kPermissionDenied when somebody else could have written it, else
  // as KvSnapshotTables::parse.
  static Result<KvSnapshot> open(const std::string& path, const KvSnapshotKey& key,
                                 const KvCacheSpec& spec);

  const KvSnapshotTables& tables() const { return tables_; }
  // Puts the bytes of a block into one of the cache, which has the spec that the file was opened
  // with; kCorruptData, with anything in the cache's block, when they are damaged.
  Status copy_block(std::size_t number, const KvCache& cache, BlockId block) const;

 private:
  KvSnapshot(MappedFile file, const KvSnapshotTables& tables)
      : file_(std::move(file)), tables_(tables) {}

  MappedFile file_;
  KvSnapshotTables tables_;  // of the file's bytes
};

// How the file says what a layer is.
KvSnapshotLayer kv_snapshot_layer(const KvLayerSpec& layer);

}  // namespace millrace
