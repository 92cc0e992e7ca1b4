// Reading a snapshot: every size and number is checked before it is used.
#include "memory/kv_snapshot.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/checked.h"
#include "memory/private_folder.h"

namespace millrace {
namespace {

// Above this the cache of any machine would be smaller.
constexpr std::uint32_t kBlocksMax = 1u << 26;
constexpr std::uint32_t kPrefixesMax = 4096;

Error damaged(const std::string& what) {
  return Error{ErrorCode::kCorruptData, "KV snapshot: " + what};
}

template <class Value>
std::string text_of(const Value& value) {
  if constexpr (std::is_integral_v<Value>) {
    return std::to_string(value);
  } else {
    return std::string(value);
  }
}

template <class Value>
Status check_equal(const char* name, const Value& found, const Value& expected) {
  if (found == expected) return Ok{};
  return Error{ErrorCode::kInvalidArgument, std::string("KV snapshot: ") + name + " is " +
                                                text_of(found) + ", expected " + text_of(expected)};
}

template <class Record>
Record record_at(std::span<const std::byte> bytes, std::size_t at) {
  Record record;
  CHECK(at <= bytes.size());
  CHECK(sizeof(record) <= bytes.size() - at);
  std::memcpy(&record, bytes.data() + at, sizeof(record));
  return record;
}

Result<KvSnapshotHeader> read_header(std::span<const std::byte> bytes) {
  if (bytes.size() < sizeof(KvSnapshotHeader)) {
    return damaged("the file has " + std::to_string(bytes.size()) + " bytes, its header needs " +
                   std::to_string(sizeof(KvSnapshotHeader)));
  }
  const auto header = record_at<KvSnapshotHeader>(bytes, 0);
  if (header.magic != kKvSnapshotMagic) return damaged("the file does not begin with MRKVSNAP");
  if (header.version != kKvSnapshotVersion) {
    return Error{ErrorCode::kUnsupported, "KV snapshot: version is " +
                                              std::to_string(header.version) + ", expected " +
                                              std::to_string(kKvSnapshotVersion)};
  }
  KvSnapshotChecksum sum;
  sum.add(bytes.first(sizeof(KvSnapshotHeader) - sizeof(header.header_checksum)));
  if (sum.value() != header.header_checksum) return damaged("the header's checksum differs");
  if (header.header_bytes != sizeof(KvSnapshotHeader)) {
    return damaged("the header has another layout");
  }
  if (header.file_bytes != bytes.size()) {
    return damaged("the file has " + std::to_string(bytes.size()) + " bytes, its header says " +
                   std::to_string(header.file_bytes));
  }
  return header;
}

Status check_key(const KvSnapshotHeader& header, const KvSnapshotKey& key) {
  if (header.model != key.model) {
    return Error{ErrorCode::kInvalidArgument, "KV snapshot: it was made for another model"};
  }
  TRY(check_equal("packing_version", header.packing_version, key.packing_version));
  const auto* end = std::find(header.kernel_row.begin(), header.kernel_row.end(), '\0');
  TRY(check_equal("kernel row", std::string(header.kernel_row.begin(), end), key.kernel_row));
  if (header.context != key.context) {
    return Error{ErrorCode::kInvalidArgument,
                 "KV snapshot: it was made for another setting of context or ropes"};
  }
  return Ok{};
}

}  // namespace

KvSnapshotLayer kv_snapshot_layer(const KvLayerSpec& layer) {
  constexpr std::uint32_t kFloat = 0x100;
  constexpr std::uint32_t kBrainFloat = 0x300;
  const std::uint32_t kind = layer.dtype == DType::kI8     ? 0
                             : layer.dtype == DType::kBF16 ? kBrainFloat
                                                           : kFloat;
  return {.dtype = kind + static_cast<std::uint32_t>(8 * element_bytes(layer.dtype)),
          .num_kv_heads = layer.num_kv_heads,
          .head_dim = layer.head_dim,
          .value_head_dim = layer.value_head_dim};
}

Result<KvSnapshotTables> KvSnapshotTables::parse(std::span<const std::byte> bytes,
                                                 const KvSnapshotKey& key,
                                                 const KvCacheSpec& spec) {
  const KvSnapshotHeader header = TRY(read_header(bytes));
  TRY(check_key(header, key));
  TRY(check_equal("layout_version", header.layout_version, kKvLayoutVersion));
  TRY(check_equal("block_tokens", header.block_tokens, spec.block_tokens));
  TRY(check_equal("number of layers", std::size_t{header.num_layers}, spec.layers.size()));
  const std::uint64_t block_bytes = TRY(kv_bytes_per_block(spec));
  TRY(check_equal("block_bytes", header.block_bytes, block_bytes));
  KvSnapshotTables tables(bytes, header);
  TRY(tables.check_sizes());
  TRY(tables.check_tables(spec));
  TRY(tables.check_records());
  return tables;
}

// The sum of all parts is the file's size, exactly.
Status KvSnapshotTables::check_sizes() {
  if (header_.num_blocks > kBlocksMax || header_.num_prefixes > kPrefixesMax) {
    return damaged("it has " + std::to_string(header_.num_prefixes) + " prefixes of " +
                   std::to_string(header_.num_blocks) + " blocks, at most " +
                   std::to_string(kPrefixesMax) + " of " + std::to_string(kBlocksMax) +
                   " are allowed");
  }
  // At most 2^7 + 2^12 * 2^4 + 2^12 * 2^3 + 2^26 * 2^13 bytes: no overflow.
  prefixes_begin_ = sizeof(KvSnapshotHeader) + header_.num_layers * sizeof(KvSnapshotLayer);
  blocks_begin_ = prefixes_begin_ + header_.num_prefixes * sizeof(KvSnapshotPrefixRecord);
  data_begin_ = round_up(blocks_begin_ + header_.num_blocks * record_bytes(), kKvSnapshotAlignment);
  const auto data = checked_mul(header_.num_blocks, header_.block_bytes);
  const auto sum = data ? checked_add(*data, data_begin_) : std::nullopt;
  if (sum == bytes_.size()) return Ok{};
  return damaged("its parts do not add up to the " + std::to_string(bytes_.size()) +
                 " bytes of the file");
}

Status KvSnapshotTables::check_tables(const KvCacheSpec& spec) const {
  KvSnapshotChecksum sum;
  sum.add(bytes_.subspan(sizeof(KvSnapshotHeader), data_begin_ - sizeof(KvSnapshotHeader)));
  if (sum.value() != header_.tables_checksum) return damaged("the tables' checksum differs");
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    const auto found =
        record_at<KvSnapshotLayer>(bytes_, sizeof(KvSnapshotHeader) + i * sizeof(KvSnapshotLayer));
    if (found == kv_snapshot_layer(spec.layers[i])) continue;
    return Error{ErrorCode::kInvalidArgument, "KV snapshot: layer " + std::to_string(i) +
                                                  " has another dtype or shape than the cache"};
  }
  return Ok{};
}

Status KvSnapshotTables::check_records() const {
  for (std::size_t i = 0; i < num_blocks(); ++i) {
    const KvSnapshotBlockRecord record = block_record(i);
    const bool is_first = record.parent == KvSnapshotBlockRecord::kNone;
    if (record.zero == 0 && (is_first || record.parent < i)) continue;
    return damaged("block " + std::to_string(i) + " does not follow one before it");
  }
  for (std::size_t i = 0; i < num_prefixes(); ++i) {
    if (prefix_record(i).leaf < num_blocks()) continue;
    return damaged("prefix " + std::to_string(i) + " ends with block " +
                   std::to_string(prefix_record(i).leaf) + " of " + std::to_string(num_blocks()));
  }
  return Ok{};
}

KvSnapshotPrefixRecord KvSnapshotTables::prefix_record(std::size_t prefix) const {
  CHECK(prefix < num_prefixes());
  return record_at<KvSnapshotPrefixRecord>(
      bytes_, prefixes_begin_ + prefix * sizeof(KvSnapshotPrefixRecord));
}

KvSnapshotBlockRecord KvSnapshotTables::block_record(std::size_t block) const {
  CHECK(block < num_blocks());
  return record_at<KvSnapshotBlockRecord>(bytes_, blocks_begin_ + block * record_bytes());
}

std::vector<std::uint32_t> KvSnapshotTables::path(std::size_t prefix) const {
  std::vector<std::uint32_t> path;
  std::uint32_t block = prefix_record(prefix).leaf;
  for (; block != KvSnapshotBlockRecord::kNone; block = block_record(block).parent) {
    path.push_back(block);
    // A file that was cut since it was checked reads as zeros, and zero follows itself.
    if (path.size() > num_blocks() || block >= num_blocks()) return {};
    if (block_record(block).parent >= block &&
        block_record(block).parent != KvSnapshotBlockRecord::kNone) {
      return {};
    }
  }
  std::reverse(path.begin(), path.end());
  return path;
}

std::vector<TokenId> KvSnapshotTables::tokens(std::size_t prefix) const {
  std::vector<TokenId> tokens;
  const std::size_t num_bytes = header_.block_tokens * sizeof(TokenId);
  for (const std::uint32_t block : path(prefix)) {
    const std::size_t at = blocks_begin_ + block * record_bytes() + sizeof(KvSnapshotBlockRecord);
    tokens.resize(tokens.size() + header_.block_tokens);
    std::memcpy(tokens.data() + tokens.size() - header_.block_tokens, bytes_.data() + at,
                num_bytes);
  }
  return tokens;
}

std::span<const std::byte> KvSnapshotTables::block_bytes(std::size_t block) const {
  CHECK(block < num_blocks());
  return bytes_.subspan(data_begin_ + block * header_.block_bytes, header_.block_bytes);
}

Result<KvSnapshot> KvSnapshot::open(const std::string& path, const KvSnapshotKey& key,
                                    const KvCacheSpec& spec) {
  static_cast<void>(TRY(open_private_folder(folder_of(path))));
  TRY(check_private_file(path));
  MappedFile file = TRY(MappedFile::open(path));
  const KvSnapshotTables tables = TRY(KvSnapshotTables::parse(file.bytes(), key, spec));
  TRY(file.check_intact());
  return KvSnapshot(std::move(file), tables);
}

Status KvSnapshot::copy_block(std::size_t number, const KvCache& cache, BlockId block) const {
  std::span<const std::byte> rest = tables_.block_bytes(number);
  KvSnapshotChecksum sum;
  for (const KvLayerView& layer : cache.view().layers) {
    const std::size_t num_bytes = layer.block_bytes();
    CHECK(num_bytes <= rest.size());
    CHECK(block.index < layer.num_blocks);
    std::byte* to = layer.head(block.index, 0);
    std::memcpy(to, rest.data(), num_bytes);
    sum.add({to, num_bytes});
    rest = rest.subspan(num_bytes);
  }
  if (sum.value() == tables_.checksum(number)) return Ok{};
  return damaged("the checksum of block " + std::to_string(number) + " differs");
}

}  // namespace millrace
