// Small whole-file reads, and writes that appear whole or not at all.
#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

namespace millrace {
namespace {

Error cannot(const char* verb, const std::string& path, int code) {
  const ErrorCode kind = code == ENOENT   ? ErrorCode::kNotFound
                         : code == EACCES ? ErrorCode::kPermissionDenied
                                          : ErrorCode::kUnavailable;
  return Error{kind, std::string("cannot ") + verb + " " + path + ": " + std::strerror(code)};
}

}  // namespace

Result<FileIdentity> file_identity(const std::string& path) {
  struct stat status = {};
  if (::stat(path.c_str(), &status) != 0) return cannot("look at", path, errno);
  constexpr std::int64_t kNanosecondsPerSecond = 1'000'000'000;
  return FileIdentity{
      .device = status.st_dev,
      .inode = status.st_ino,
      .num_bytes = static_cast<std::uint64_t>(status.st_size),
      .modified_ns = status.st_mtim.tv_sec * kNanosecondsPerSecond + status.st_mtim.tv_nsec,
  };
}

Result<std::string> read_file(const std::string& path, std::uint64_t bytes_max) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return cannot("open", path, errno);
  std::string text;
  std::array<char, 1 << 16> chunk;
  for (;;) {
    const ssize_t num_read = ::read(descriptor, chunk.data(), chunk.size());
    if (num_read < 0 && errno == EINTR) continue;
    if (num_read < 0) {
      const int code = errno;
      ::close(descriptor);
      return cannot("read", path, code);
    }
    if (num_read == 0) break;
    if (text.size() + static_cast<std::size_t>(num_read) > bytes_max) {
      ::close(descriptor);
      return Error{ErrorCode::kTooLarge, path + " holds more than the " +
                                             std::to_string(bytes_max) + " bytes that are allowed"};
    }
    text.append(chunk.data(), static_cast<std::size_t>(num_read));
  }
  ::close(descriptor);
  return text;
}

bool file_exists(const std::string& path) {
  struct stat status = {};
  return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode);
}

bool is_directory(const std::string& path) {
  struct stat status = {};
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

Result<FileWriter> FileWriter::create(const std::string& path, FileReaders readers) {
  FileWriter writer;
  writer.path_ = path;
  writer.part_path_ = path + ".part-" + std::to_string(::getpid());
  constexpr mode_t kReadableByAll = 0644;
  constexpr mode_t kOwnerOnly = 0600;
  const mode_t mode = readers == FileReaders::kOwner ? kOwnerOnly : kReadableByAll;
  writer.descriptor_ =
      ::open(writer.part_path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
  if (writer.descriptor_ < 0) return cannot("create", path, errno);
  // What a process of the same number left behind may have another mode.
  if (readers == FileReaders::kOwner && ::fchmod(writer.descriptor_, kOwnerOnly) != 0) {
    return cannot("protect", path, errno);
  }
  return writer;
}

FileWriter::FileWriter(FileWriter&& other) noexcept
    : path_(std::move(other.path_)),
      part_path_(std::move(other.part_path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      num_bytes_(other.num_bytes_) {}

FileWriter::~FileWriter() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(part_path_.c_str());
}

Status FileWriter::append(std::span<const std::byte> bytes) {
  CHECK(descriptor_ >= 0);
  while (!bytes.empty()) {
    const ssize_t num_written = ::write(descriptor_, bytes.data(), bytes.size());
    if (num_written < 0 && errno == EINTR) continue;
    if (num_written < 0) return cannot("write", path_, errno);
    bytes = bytes.subspan(static_cast<std::size_t>(num_written));
    num_bytes_ += static_cast<std::uint64_t>(num_written);
  }
  return Ok{};
}

Status FileWriter::append(std::string_view text) {
  return append(std::as_bytes(std::span<const char>(text.data(), text.size())));
}

Status FileWriter::append_zeros(std::uint64_t num_bytes) {
  static constexpr std::array<std::byte, 4096> kZeros{};
  while (num_bytes > 0) {
    const std::uint64_t now = std::min<std::uint64_t>(num_bytes, kZeros.size());
    TRY(append(std::span(kZeros).first(now)));
    num_bytes -= now;
  }
  return Ok{};
}

Status FileWriter::finish() {
  CHECK(descriptor_ >= 0);
  const int descriptor = std::exchange(descriptor_, -1);
  const bool synced = ::fsync(descriptor) == 0;
  const int code = errno;
  const bool closed = ::close(descriptor) == 0;
  if (!synced || !closed || std::rename(part_path_.c_str(), path_.c_str()) != 0) {
    const int last_code = synced && closed ? errno : code;
    ::unlink(part_path_.c_str());
    return cannot("write", path_, last_code);
  }
  return Ok{};
}

Status write_file(const std::string& path, std::string_view text) {
  FileWriter writer = TRY(FileWriter::create(path));
  TRY(writer.append(text));
  return writer.finish();
}

}  // namespace millrace
