// What a file of saved KV blocks looks like, byte by byte.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/checksum.h"

namespace millrace {

//   | header | layers | prefixes | blocks: record and tokens each | zeros to a multiple of 64 |
//   | bytes of block 0, layer after layer | of block 1 | … |
//
// A block's predecessor comes before it. Every byte is covered by a checksum: the header's own, the
// one of all tables and the zeros (in the header), or that of a block (in its record). All numbers
// are little-endian.
static_assert(std::endian::native == std::endian::little);

struct KvSnapshotHeader {
  std::array<char, 8> magic{};
  std::uint32_t version = 0;
  std::uint32_t header_bytes = 0;
  std::uint64_t file_bytes = 0;
  // The key: what the blocks' content depends on beside their tokens.
  std::array<std::uint64_t, 2> model{};
  std::uint64_t context = 0;
  std::array<char, 16> kernel_row{};
  std::uint32_t packing_version = 0;
  std::uint32_t block_tokens = 0;

  std::uint32_t num_layers = 0;
  std::uint32_t num_blocks = 0;
  std::uint32_t num_prefixes = 0;
  std::uint32_t layout_version = 0;  // kKvLayoutVersion
  std::uint64_t block_bytes = 0;
  std::uint64_t tables_checksum = 0;
  std::uint64_t header_checksum = 0;  // of all before it
};
static_assert(sizeof(KvSnapshotHeader) == 112);

struct KvSnapshotLayer {
  std::uint32_t dtype = 0;  // bits of an element and 0x100 for floats, 0x300 for bf16
  std::uint32_t num_kv_heads = 0;
  std::uint32_t head_dim = 0;
  std::uint32_t value_head_dim = 0;
  bool operator==(const KvSnapshotLayer&) const = default;
};
static_assert(sizeof(KvSnapshotLayer) == 16);

struct KvSnapshotPrefixRecord {
  std::uint32_t kind = 0;
  std::uint32_t leaf = 0;  // its last block
};
static_assert(sizeof(KvSnapshotPrefixRecord) == 8);

struct KvSnapshotBlockRecord {
  static constexpr std::uint32_t kNone = UINT32_MAX;
  std::uint32_t parent = kNone;  // the block before it in its prefixes; a smaller number
  std::uint32_t zero = 0;
  std::uint64_t checksum = 0;
};
static_assert(sizeof(KvSnapshotBlockRecord) == 16);

inline constexpr std::array<char, 8> kKvSnapshotMagic{'M', 'R', 'K', 'V', 'S', 'N', 'A', 'P'};
inline constexpr std::uint32_t kKvSnapshotVersion = 1;
// Of a block's bytes; raised whenever the layout that tensor/kv_view.h draws changes.
inline constexpr std::uint32_t kKvLayoutVersion = 2;
inline constexpr std::size_t kKvSnapshotAlignment = 64;

using KvSnapshotChecksum = Checksum;

}  // namespace millrace
