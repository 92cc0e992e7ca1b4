// Files from outside: memory-mapped reads that survive a file cut short, and writes that appear
// whole or not at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace millrace {

// A whole file mapped read-only. Opening reads nothing; pages come in when they are touched.
//
// When the file is cut short under the mapping, the kernel raises SIGBUS on the first touch of a
// page that is gone. A process-wide handler then maps zero pages over the rest of that mapping and
// marks it damaged; readers ask check_intact() after they have used the bytes and get an error, not
// a dead process. Thread-safe once open. At most kMappingsMax files are mapped at a time.
class MappedFile {
 public:
  static constexpr std::size_t kMappingsMax = 1024;

  static Result<MappedFile> open(const std::string& path);

  MappedFile(MappedFile&&) noexcept;
  MappedFile& operator=(MappedFile&&) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  const std::string& path() const { return path_; }
  // Valid as long as this object lives, wherever it is moved.
  std::span<const std::byte> bytes() const { return {data_, num_bytes_}; }

  // An error when part of the file vanished while it was mapped; bytes read since then were zeros.
  Status check_intact() const;

  // Lets the pages that lie wholly inside `range` leave memory; they are read again if touched.
  void release_pages(std::span<const std::byte> range) const;

 private:
  MappedFile() = default;
  void unmap();

  std::string path_;
  const std::byte* data_ = nullptr;
  std::size_t num_bytes_ = 0;
  std::size_t registry_slot_ = 0;
};

// What tells one version of a file from another without reading it.
struct FileIdentity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t num_bytes = 0;
  std::int64_t modified_ns = 0;
  auto operator<=>(const FileIdentity&) const = default;
};
Result<FileIdentity> file_identity(const std::string& path);

// The whole of a small file; kTooLarge when it holds more than `bytes_max`.
Result<std::string> read_file(const std::string& path, std::uint64_t bytes_max);

bool file_exists(const std::string& path);
bool is_directory(const std::string& path);

enum class FileReaders : std::uint8_t { kEverybody, kOwner };

// Writes beside the target and renames, so that readers see the old file or the new one, never a
// part. finish() syncs and renames; without it the destructor removes the part that was written.
class FileWriter {
 public:
  static Result<FileWriter> create(const std::string& path,
                                   FileReaders readers = FileReaders::kEverybody);

  FileWriter(FileWriter&&) noexcept;
  FileWriter& operator=(FileWriter&&) = delete;
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;
  ~FileWriter();

  Status append(std::span<const std::byte> bytes);
  Status append(std::string_view text);
  Status append_zeros(std::uint64_t num_bytes);
  std::uint64_t num_bytes() const { return num_bytes_; }
  Status finish();

 private:
  FileWriter() = default;

  std::string path_;
  std::string part_path_;
  int descriptor_ = -1;
  std::uint64_t num_bytes_ = 0;
};

Status write_file(const std::string& path, std::string_view text);

}  // namespace millrace
