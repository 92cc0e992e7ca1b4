// Fuzzes snapshots of KV blocks: raw images, and tables of any content below sums that fit.
#include <cstring>
#include <string>

#include "base/check.h"
#include "base/checked.h"
#include "fuzz_support.h"
#include "memory/kv_snapshot.h"

namespace millrace {
namespace {

KvCacheSpec spec() {
  KvCacheSpec spec;
  spec.layers = {{.dtype = DType::kF16, .num_kv_heads = 1, .head_dim = 2, .value_head_dim = 2}};
  spec.block_tokens = 2;
  return spec;
}

void use(std::span<const std::byte> image) {
  const auto parsed = KvSnapshotTables::parse(image, {}, spec());
  if (!parsed.ok()) return;
  const KvSnapshotTables& tables = parsed.value();
  for (std::size_t i = 0; i < tables.num_prefixes(); ++i) {
    static_cast<void>(tables.kind(i));
    const std::vector<std::uint32_t> path = tables.path(i);
    CHECK(!path.empty());
    CHECK(tables.tokens(i).size() == path.size() * spec().block_tokens);
  }
  for (std::size_t i = 0; i < tables.num_blocks(); ++i) {
    volatile std::byte last = tables.block_bytes(i).back();
    static_cast<void>(last);
  }
}

template <class Record>
std::span<const std::byte> bytes_of(const Record& record) {
  return std::as_bytes(std::span(&record, 1));
}

// The input's first two bytes are counts, the rest are records.
std::vector<std::byte> with_sums(std::span<const std::byte> input) {
  KvSnapshotHeader header;
  header.magic = kKvSnapshotMagic;
  header.version = kKvSnapshotVersion;
  header.header_bytes = sizeof(header);
  header.layout_version = kKvLayoutVersion;
  header.block_tokens = spec().block_tokens;
  header.num_layers = 1;
  header.num_prefixes = static_cast<std::uint32_t>(input[0]);
  header.num_blocks = static_cast<std::uint32_t>(input[1]);
  header.block_bytes = MUST(kv_bytes_per_block(spec()));
  const KvSnapshotLayer layer = kv_snapshot_layer(spec().layers[0]);
  std::vector<std::byte> tables(bytes_of(layer).begin(), bytes_of(layer).end());
  tables.insert(tables.end(), input.begin() + 2, input.end());
  const std::uint64_t end = round_up(sizeof(header) + tables.size(), kKvSnapshotAlignment);
  tables.resize(end - sizeof(header));
  header.file_bytes = end + header.num_blocks * header.block_bytes;
  KvSnapshotChecksum tables_sum;
  tables_sum.add(tables);
  header.tables_checksum = tables_sum.value();
  KvSnapshotChecksum sum;
  sum.add(bytes_of(header).first(sizeof(header) - sizeof(header.header_checksum)));
  header.header_checksum = sum.value();
  std::vector<std::byte> image(bytes_of(header).begin(), bytes_of(header).end());
  image.insert(image.end(), tables.begin(), tables.end());
  image.resize(header.file_bytes);
  return image;
}

void fuzz_one(std::span<const std::byte> input) {
  use(input);
  if (input.size() >= 2) use(with_sums(input));
}

}  // namespace
}  // namespace millrace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  millrace::fuzz_one(std::as_bytes(std::span(data, size)));
  return 0;
}
