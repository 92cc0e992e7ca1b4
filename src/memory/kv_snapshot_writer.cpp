// Writing a snapshot: tables first, then the blocks' bytes as they lie in the cache.
#include <algorithm>
#include <cstring>
#include <unordered_map>
#include <utility>

#include "base/check.h"
#include "base/checked.h"
#include "memory/kv_snapshot.h"
#include "memory/private_folder.h"

namespace millrace {
namespace {

// A file's tables in the making.
struct Tables {
  std::vector<KvSnapshotLayer> layers;
  std::vector<KvSnapshotPrefixRecord> prefixes;
  std::vector<KvSnapshotBlockRecord> blocks;
  std::vector<BlockId> ids;     // by block
  std::vector<TokenId> tokens;  // [blocks, block_tokens]
};

template <class Record>
std::span<const std::byte> bytes_of(const Record& record) {
  return std::as_bytes(std::span(&record, 1));
}

std::uint64_t block_checksum(const KvCache& cache, BlockId block) {
  KvSnapshotChecksum sum;
  for (const KvLayerView& layer : cache.view().layers) {
    sum.add({layer.head(block.index, 0), layer.block_bytes()});
  }
  return sum.value();
}

Tables make_tables(const KvCache& cache, std::span<const KvSnapshotPrefix> prefixes) {
  Tables tables;
  const std::size_t block_tokens = cache.spec().block_tokens;
  for (const KvLayerSpec& layer : cache.spec().layers) {
    tables.layers.push_back(kv_snapshot_layer(layer));
  }
  std::unordered_map<std::uint32_t, std::uint32_t> numbers;
  for (const KvSnapshotPrefix& prefix : prefixes) {
    CHECK(!prefix.blocks.empty());
    CHECK(prefix.tokens.size() == prefix.blocks.size() * block_tokens);
    std::uint32_t parent = KvSnapshotBlockRecord::kNone;
    for (std::size_t i = 0; i < prefix.blocks.size(); ++i) {
      const BlockId id = prefix.blocks[i];
      CHECK(id.index < cache.num_blocks());
      const auto number = static_cast<std::uint32_t>(tables.blocks.size());
      const auto [found, is_new] = numbers.try_emplace(id.index, number);
      if (is_new) {
        tables.blocks.push_back({.parent = parent, .checksum = block_checksum(cache, id)});
        tables.ids.push_back(id);
        const auto begin = prefix.tokens.begin() + static_cast<std::ptrdiff_t>(i * block_tokens);
        tables.tokens.insert(tables.tokens.end(), begin,
                             begin + static_cast<std::ptrdiff_t>(block_tokens));
      }
      CHECK(tables.blocks[found->second].parent == parent);
      parent = found->second;
    }
    tables.prefixes.push_back({.kind = prefix.kind, .leaf = parent});
  }
  return tables;
}

// The tables as they lie in the file, zeros behind them.
std::vector<std::byte> pack_tables(const Tables& tables, std::size_t block_tokens) {
  std::vector<std::byte> packed;
  const auto append = [&](std::span<const std::byte> part) {
    packed.insert(packed.end(), part.begin(), part.end());
  };
  append(std::as_bytes(std::span(tables.layers)));
  append(std::as_bytes(std::span(tables.prefixes)));
  for (std::size_t i = 0; i < tables.blocks.size(); ++i) {
    append(bytes_of(tables.blocks[i]));
    append(std::as_bytes(std::span(tables.tokens).subspan(i * block_tokens, block_tokens)));
  }
  const std::uint64_t end =
      round_up(sizeof(KvSnapshotHeader) + packed.size(), kKvSnapshotAlignment);
  packed.resize(end - sizeof(KvSnapshotHeader));
  return packed;
}

KvSnapshotHeader make_header(const KvSnapshotKey& key, const KvCacheSpec& spec,
                             const Tables& tables, std::span<const std::byte> packed) {
  KvSnapshotHeader header;
  header.magic = kKvSnapshotMagic;
  header.version = kKvSnapshotVersion;
  header.header_bytes = sizeof(KvSnapshotHeader);
  header.model = key.model;
  header.context = key.context;
  std::copy(key.kernel_row.begin(), key.kernel_row.end(), header.kernel_row.begin());
  header.packing_version = key.packing_version;
  header.layout_version = kKvLayoutVersion;
  header.block_tokens = spec.block_tokens;
  header.num_layers = static_cast<std::uint32_t>(tables.layers.size());
  header.num_blocks = static_cast<std::uint32_t>(tables.blocks.size());
  header.num_prefixes = static_cast<std::uint32_t>(tables.prefixes.size());
  header.block_bytes = MUST(kv_bytes_per_block(spec));  // A cache was made from it.
  header.file_bytes =
      sizeof(KvSnapshotHeader) + packed.size() + tables.blocks.size() * header.block_bytes;
  KvSnapshotChecksum tables_sum;
  tables_sum.add(packed);
  header.tables_checksum = tables_sum.value();
  KvSnapshotChecksum header_sum;
  header_sum.add(bytes_of(header).first(sizeof(header) - sizeof(header.header_checksum)));
  header.header_checksum = header_sum.value();
  return header;
}

}  // namespace

Status write_kv_snapshot(const std::string& path, const KvSnapshotKey& key, const KvCache& cache,
                         std::span<const KvSnapshotPrefix> prefixes) {
  if (key.kernel_row.size() >= KvSnapshotHeader{}.kernel_row.size()) {
    return Error{ErrorCode::kInvalidArgument,
                 "KV snapshot: kernel row " + key.kernel_row + " has more than 15 bytes"};
  }
  static_cast<void>(TRY(open_private_folder(folder_of(path))));
  const Tables tables = make_tables(cache, prefixes);
  const std::vector<std::byte> packed = pack_tables(tables, cache.spec().block_tokens);
  const KvSnapshotHeader header = make_header(key, cache.spec(), tables, packed);
  FileWriter writer = TRY(FileWriter::create(path, FileReaders::kOwner));
  TRY(writer.append(bytes_of(header)));
  TRY(writer.append(packed));
  for (const BlockId block : tables.ids) {
    for (const KvLayerView& layer : cache.view().layers) {
      TRY(writer.append(
          std::span<const std::byte>(layer.head(block.index, 0), layer.block_bytes())));
    }
  }
  CHECK(writer.num_bytes() == header.file_bytes);
  return writer.finish();
}

}  // namespace millrace
