// A file that comes in pieces, over several runs of the program if need be.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"

namespace millrace {

// Appends to what is there. Closed by the destructor; what was written stays.
class PartFile {
 public:
  static Result<PartFile> open(const std::string& path);
  PartFile(PartFile&& other) noexcept;
  PartFile& operator=(PartFile&&) = delete;
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;
  ~PartFile();

  std::uint64_t num_bytes() const { return num_bytes_; }
  Status append(std::span<const std::byte> bytes);
  // From the beginning again.
  Status clear();
  // Until it is on the disk.
  Status sync();

 private:
  PartFile(std::string path, int descriptor, std::uint64_t num_bytes)
      : path_(std::move(path)), descriptor_(descriptor), num_bytes_(num_bytes) {}

  std::string path_;
  int descriptor_;
  std::uint64_t num_bytes_;
};

// Whether the file's content has this digest: "sha256:" or "git:" and hexadecimal digits.
// kInvalidArgument for other digests.
Result<bool> has_digest(const std::string& path, const std::string& digest);

}  // namespace millrace
