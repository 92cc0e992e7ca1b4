// Snapshots of KV blocks: what was written comes back, and nothing that was touched does.
#include "memory/kv_snapshot.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

#include "base/random.h"

namespace millrace {
namespace {

constexpr std::uint32_t kBlockTokens = 4;

KvCacheSpec spec_of(DType dtype, std::uint32_t num_layers = 3) {
  KvCacheSpec spec;
  spec.layers.assign(num_layers,
                     {.dtype = dtype, .num_kv_heads = 2, .head_dim = 8, .value_head_dim = 4});
  spec.block_tokens = kBlockTokens;
  return spec;
}

KvCache random_cache(const KvCacheSpec& spec, std::uint32_t num_blocks, std::uint64_t seed) {
  KvCache cache = MUST(KvCache::create(spec, num_blocks));
  Random random(seed);
  for (const KvLayerView& layer : cache.view().layers) {
    for (std::size_t i = 0; i < layer.block_bytes() * num_blocks; ++i) {
      layer.data[i] = static_cast<std::byte>(random.next());
    }
  }
  return cache;
}

bool equal_blocks(const KvCache& a, BlockId of_a, const KvCache& b, BlockId of_b) {
  for (std::size_t i = 0; i < a.view().layers.size(); ++i) {
    const KvLayerView& layer = a.view().layers[i];
    if (std::memcmp(layer.head(of_a.index, 0), b.view().layers[i].head(of_b.index, 0),
                    layer.block_bytes()) != 0) {
      return false;
    }
  }
  return true;
}

KvSnapshotPrefix prefix_of(std::vector<std::uint32_t> blocks, TokenId first, std::uint32_t kind) {
  KvSnapshotPrefix prefix{.kind = kind, .tokens = {}, .blocks = {}};
  for (const std::uint32_t block : blocks) {
    prefix.blocks.push_back(BlockId{block});
    for (std::uint32_t i = 0; i < kBlockTokens; ++i) {
      prefix.tokens.push_back(first + block * kBlockTokens + i);
    }
  }
  return prefix;
}

class KvSnapshotTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "kv-snapshot-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    path_ = folder_ + "/hot.kv";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  static KvSnapshotKey key() {
    return {.model = {1, 2}, .packing_version = 3, .kernel_row = "avx2", .context = 4};
  }
  // Two prefixes that share two blocks, and one of its own.
  static std::vector<KvSnapshotPrefix> prefixes() {
    return {prefix_of({5, 2, 7}, 100, 0), prefix_of({5, 2, 0}, 100, 1), prefix_of({3}, 100, 0)};
  }
  void write(const KvCache& cache) {
    const Status written = write_kv_snapshot(path_, key(), cache, prefixes());
    ASSERT_TRUE(written.ok()) << written.error().message;
  }
  std::vector<std::byte> read() const {
    std::ifstream file(path_, std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    const auto bytes = std::as_bytes(std::span(text));
    return {bytes.begin(), bytes.end()};
  }
  void put(std::span<const std::byte> bytes) const {
    std::ofstream file(path_, std::ios::binary | std::ios::trunc);
    file.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
  }
  void put_byte(std::size_t at, std::byte byte) const {
    std::fstream file(path_, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(at));
    file.put(static_cast<char>(byte));
  }
  // Whether everything in the file can be had.
  bool is_whole(const KvCache& scratch) const {
    const auto opened = KvSnapshot::open(path_, key(), scratch.spec());
    if (!opened.ok()) return false;
    for (std::size_t i = 0; i < opened.value().tables().num_blocks(); ++i) {
      if (!opened.value().copy_block(i, scratch, BlockId{0}).ok()) return false;
    }
    return true;
  }

  std::string folder_;
  std::string path_;
};

TEST_F(KvSnapshotTest, EveryTypeOfCacheComesBackByteForByte) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kI8}) {
    const KvCache cache = random_cache(spec_of(dtype), 8, 1);
    write(cache);
    const KvCache other = random_cache(spec_of(dtype), 20, 2);
    const KvSnapshot snapshot = MUST(KvSnapshot::open(path_, key(), other.spec()));
    const KvSnapshotTables& tables = snapshot.tables();
    ASSERT_EQ(tables.num_prefixes(), 3u);
    EXPECT_EQ(tables.num_blocks(), 5u);  // the shared ones once
    for (std::size_t i = 0; i < 3; ++i) {
      const KvSnapshotPrefix want = prefixes()[i];
      EXPECT_EQ(tables.kind(i), want.kind);
      EXPECT_EQ(tables.tokens(i), want.tokens);
      const std::vector<std::uint32_t> path = tables.path(i);
      ASSERT_EQ(path.size(), want.blocks.size());
      for (std::size_t j = 0; j < path.size(); ++j) {
        const BlockId to{static_cast<std::uint32_t>(10 + j)};
        ASSERT_TRUE(snapshot.copy_block(path[j], other, to).ok());
        EXPECT_TRUE(equal_blocks(cache, want.blocks[j], other, to));
      }
    }
  }
}

TEST_F(KvSnapshotTest, OnlyTheOwnerCanReadTheFile) {
  ::umask(0);
  write(random_cache(spec_of(DType::kF16), 8, 1));
  struct stat status = {};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777u, 0600u);
  path_ = folder_ + "/new/hot.kv";
  write(random_cache(spec_of(DType::kF16), 8, 1));
  ASSERT_EQ(::stat((folder_ + "/new").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777u, 0700u);
}

TEST_F(KvSnapshotTest, WhatOthersCouldHaveWrittenIsRefused) {
  const KvCache cache = random_cache(spec_of(DType::kF16), 8, 1);
  write(cache);
  const auto refusal = [&] {
    const auto opened = KvSnapshot::open(path_, key(), cache.spec());
    return opened.ok() ? std::string() : opened.error().message;
  };
  EXPECT_EQ(refusal(), "");
  ASSERT_EQ(::chmod(path_.c_str(), 0620), 0);
  EXPECT_EQ(refusal(), "others may write to " + path_);
  ASSERT_EQ(::chmod(path_.c_str(), 0600), 0);
  ASSERT_EQ(::chmod(folder_.c_str(), 0750), 0);
  EXPECT_EQ(refusal(), "others may enter " + folder_ + ", expected mode 0700");
  EXPECT_EQ(write_kv_snapshot(path_, key(), cache, prefixes()).error().code,
            ErrorCode::kPermissionDenied);
  ASSERT_EQ(::chmod(folder_.c_str(), 0700), 0);
  std::filesystem::rename(path_, path_ + "-there");
  std::filesystem::create_symlink(path_ + "-there", path_);
  EXPECT_EQ(refusal(), path_ + " is no regular file");
  std::filesystem::remove(path_);
  EXPECT_EQ(KvSnapshot::open(path_, key(), cache.spec()).error().code, ErrorCode::kNotFound);
  if (::geteuid() != 0) return;
  std::filesystem::rename(path_ + "-there", path_);
  ASSERT_EQ(::chown(path_.c_str(), 12345, 12345), 0);
  EXPECT_EQ(refusal(), path_ + " belongs to user 12345, expected 0");
}

TEST_F(KvSnapshotTest, WhatWasMadeForSomethingElseIsRefusedByName) {
  const KvCacheSpec spec = spec_of(DType::kF16);
  write(random_cache(spec, 8, 1));
  const auto refusal = [&](const KvSnapshotKey& other, const KvCacheSpec& cache) {
    const auto opened = KvSnapshot::open(path_, other, cache);
    return opened.ok() ? std::string() : opened.error().message;
  };
  KvSnapshotKey other = key();
  EXPECT_EQ(refusal(other, spec), "");
  other.model[1] = 9;
  EXPECT_EQ(refusal(other, spec), "KV snapshot: it was made for another model");
  other = key();
  other.packing_version = 4;
  EXPECT_EQ(refusal(other, spec), "KV snapshot: packing_version is 3, expected 4");
  other = key();
  other.kernel_row = "avx512";
  EXPECT_EQ(refusal(other, spec), "KV snapshot: kernel row is avx2, expected avx512");
  other = key();
  other.context = 5;
  EXPECT_EQ(refusal(other, spec),
            "KV snapshot: it was made for another setting of context or ropes");
  KvCacheSpec cache = spec;
  cache.block_tokens = 8;
  EXPECT_EQ(refusal(key(), cache), "KV snapshot: block_tokens is 4, expected 8");
  EXPECT_EQ(refusal(key(), spec_of(DType::kF16, 4)),
            "KV snapshot: number of layers is 3, expected 4");
  // Of the same size: only the record of the layer tells.
  EXPECT_EQ(refusal(key(), spec_of(DType::kBF16)),
            "KV snapshot: layer 0 has another dtype or shape than the cache");
  EXPECT_NE(refusal(key(), spec_of(DType::kI8)), "");
}

TEST_F(KvSnapshotTest, AnyByteThatChangesIsNoticed) {
  const KvCache cache = random_cache(spec_of(DType::kI8, 1), 8, 1);
  write(cache);
  const KvCache scratch = MUST(KvCache::create(cache.spec(), 1));
  ASSERT_TRUE(is_whole(scratch));
  const std::vector<std::byte> good = read();
  Random random(3);
  for (std::size_t i = 0; i < good.size(); ++i) {
    const std::byte bad = good[i] ^ static_cast<std::byte>(random.between(1, 255));
    put_byte(i, bad);
    ASSERT_FALSE(is_whole(scratch)) << "byte " << i << " of " << good.size();
    put_byte(i, good[i]);
  }
}

TEST_F(KvSnapshotTest, AnyOtherLengthIsRefused) {
  const KvCache cache = random_cache(spec_of(DType::kF16, 1), 8, 1);
  write(cache);
  const std::vector<std::byte> good = read();
  for (std::size_t size = good.size() - 1; size > 0; --size) {
    ASSERT_EQ(::truncate(path_.c_str(), static_cast<off_t>(size)), 0);
    ASSERT_FALSE(KvSnapshot::open(path_, key(), cache.spec()).ok()) << size;
  }
  std::vector<std::byte> longer = good;
  longer.push_back(std::byte{0});
  put(longer);
  EXPECT_FALSE(KvSnapshot::open(path_, key(), cache.spec()).ok());
}

TEST_F(KvSnapshotTest, AFileThatIsCutWhileItIsMappedEndsNothing) {
  const KvCache cache = random_cache(spec_of(DType::kF32, 16), 8, 1);
  write(cache);
  const KvSnapshot snapshot = MUST(KvSnapshot::open(path_, key(), cache.spec()));
  ASSERT_EQ(::truncate(path_.c_str(), 0), 0);
  std::size_t num_copied = 0;
  for (std::size_t i = 0; i < 5; ++i) {
    if (snapshot.copy_block(i, cache, BlockId{0}).ok()) ++num_copied;
  }
  EXPECT_EQ(num_copied, 0u);
  for (std::size_t i = 0; i < 3; ++i) static_cast<void>(snapshot.tables().tokens(i));
}

// Sums that fit again after a change, as whoever means harm would make them.
void fix_sums(std::vector<std::byte>& bytes, std::size_t tables_end) {
  KvSnapshotHeader header;
  std::memcpy(&header, bytes.data(), sizeof(header));
  KvSnapshotChecksum tables;
  tables.add(std::span(bytes).subspan(sizeof(header), tables_end - sizeof(header)));
  header.tables_checksum = tables.value();
  std::memcpy(bytes.data(), &header, sizeof(header));
  KvSnapshotChecksum sum;
  sum.add(std::span(bytes).first(sizeof(header) - sizeof(header.header_checksum)));
  header.header_checksum = sum.value();
  std::memcpy(bytes.data(), &header, sizeof(header));
}

TEST_F(KvSnapshotTest, HostileTablesWithRightSumsAreRefusedOrHarmless) {
  const KvCache cache = random_cache(spec_of(DType::kF16), 8, 1);
  write(cache);
  const std::vector<std::byte> good = read();
  const std::size_t tables_end = good.size() - 5 * MUST(kv_bytes_per_block(cache.spec()));
  Random random(5);
  std::size_t num_parsed = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::vector<std::byte> bad = good;
    const std::size_t num_changes = random.between(1, 3);
    for (std::size_t j = 0; j < num_changes; ++j) {
      // Words, so that counts and numbers become large or small ones.
      const std::size_t at = random.below(tables_end / 4) * 4;
      const std::uint32_t word = random.chance(0.5) ? static_cast<std::uint32_t>(random.next())
                                                    : static_cast<std::uint32_t>(random.below(8));
      std::memcpy(bad.data() + at, &word, sizeof(word));
    }
    fix_sums(bad, tables_end);
    const auto parsed = KvSnapshotTables::parse(bad, key(), cache.spec());
    if (!parsed.ok()) continue;
    ++num_parsed;
    for (std::size_t p = 0; p < parsed.value().num_prefixes(); ++p) {
      EXPECT_EQ(parsed.value().tokens(p).size(), parsed.value().path(p).size() * kBlockTokens);
      EXPECT_FALSE(parsed.value().path(p).empty());
    }
  }
  EXPECT_GT(num_parsed, 100u);  // tokens and kinds may be anything
}

TEST_F(KvSnapshotTest, AnotherLayoutOfBlocksIsRefused) {
  const KvCache cache = random_cache(spec_of(DType::kF16), 8, 1);
  write(cache);
  std::vector<std::byte> other = read();
  KvSnapshotHeader header;
  std::memcpy(&header, other.data(), sizeof(header));
  ++header.layout_version;
  std::memcpy(other.data(), &header, sizeof(header));
  fix_sums(other, other.size() - 5 * MUST(kv_bytes_per_block(cache.spec())));
  put(other);
  EXPECT_EQ(KvSnapshot::open(path_, key(), cache.spec()).error().message,
            "KV snapshot: layout_version is " + std::to_string(kKvLayoutVersion + 1) +
                ", expected " + std::to_string(kKvLayoutVersion));
}

TEST_F(KvSnapshotTest, ALongNameOfAKernelRowIsRefused) {
  KvSnapshotKey other = key();
  other.kernel_row = "a-row-of-16-byte";
  EXPECT_EQ(write_kv_snapshot(path_, other, random_cache(spec_of(DType::kF16), 8, 1), prefixes())
                .error()
                .message,
            "KV snapshot: kernel row a-row-of-16-byte has more than 15 bytes");
}

}  // namespace
}  // namespace millrace
