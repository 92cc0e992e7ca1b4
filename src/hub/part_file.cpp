// Appending, and digests by OpenSSL.
#include "hub/part_file.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

namespace millrace {
namespace {

Error cannot(const char* verb, const std::string& path) {
  return Error{ErrorCode::kUnavailable,
               std::string("cannot ") + verb + " " + path + ": " + std::strerror(errno)};
}

std::string hex_of(std::span<const unsigned char> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace

Result<PartFile> PartFile::open(const std::string& path) {
  constexpr mode_t kReadableByAll = 0644;
  const int descriptor =
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, kReadableByAll);
  if (descriptor < 0) return cannot("open", path);
  struct stat status = {};
  if (::fstat(descriptor, &status) != 0) {
    ::close(descriptor);
    return cannot("look at", path);
  }
  return PartFile(path, descriptor, static_cast<std::uint64_t>(status.st_size));
}

PartFile::PartFile(PartFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      num_bytes_(other.num_bytes_) {}

PartFile::~PartFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Status PartFile::append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t num_written = ::write(descriptor_, bytes.data(), bytes.size());
    if (num_written < 0 && errno == EINTR) continue;
    if (num_written < 0) return cannot("write", path_);
    bytes = bytes.subspan(static_cast<std::size_t>(num_written));
    num_bytes_ += static_cast<std::uint64_t>(num_written);
  }
  return Ok{};
}

Status PartFile::clear() {
  if (::ftruncate(descriptor_, 0) != 0) return cannot("empty", path_);
  num_bytes_ = 0;
  return Ok{};
}

Status PartFile::sync() {
  if (::fsync(descriptor_) != 0) return cannot("write", path_);
  return Ok{};
}

Result<bool> has_digest(const std::string& path, const std::string& digest) {
  const bool is_git = digest.starts_with("git:");
  if (!is_git && !digest.starts_with("sha256:")) {
    return Error{ErrorCode::kInvalidArgument, digest + " is no digest"};
  }
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return cannot("open", path);
  const std::unique_ptr<EVP_MD_CTX, decltype(&::EVP_MD_CTX_free)> context(::EVP_MD_CTX_new(),
                                                                          &::EVP_MD_CTX_free);
  CHECK(context != nullptr);
  bool is_done =
      ::EVP_DigestInit_ex(context.get(), is_git ? ::EVP_sha1() : ::EVP_sha256(), nullptr) == 1;
  if (is_git) {  // A blob's name is the digest of this header and the content.
    struct stat status = {};
    is_done = is_done && ::fstat(descriptor, &status) == 0;
    const std::string header = "blob " + std::to_string(status.st_size) + '\0';
    is_done = is_done && ::EVP_DigestUpdate(context.get(), header.data(), header.size()) == 1;
  }
  std::vector<char> chunk(1 << 20);
  ssize_t num_read = 0;
  while (is_done && (num_read = ::read(descriptor, chunk.data(), chunk.size())) > 0) {
    is_done =
        ::EVP_DigestUpdate(context.get(), chunk.data(), static_cast<std::size_t>(num_read)) == 1;
  }
  ::close(descriptor);
  std::array<unsigned char, EVP_MAX_MD_SIZE> value{};
  unsigned num_bytes = 0;
  if (!is_done || num_read < 0 ||
      ::EVP_DigestFinal_ex(context.get(), value.data(), &num_bytes) != 1) {
    return Error{ErrorCode::kUnavailable, "cannot read " + path};
  }
  return digest.substr(digest.find(':') + 1) == hex_of({value.data(), num_bytes});
}

}  // namespace millrace
