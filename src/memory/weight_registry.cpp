// The registry's folder checks, lock and lines.
#include "memory/weight_registry.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include "base/random.h"
#include "memory/private_folder.h"

namespace millrace {
namespace {

constexpr std::size_t kLineBytesMax = 64;
constexpr Duration kLockPoll = std::chrono::milliseconds(5);

Error system_error(const std::string& what) {
  return Error{ErrorCode::kUnavailable, "weight registry: " + what + ": " + std::strerror(errno)};
}

// Key and process namespace, hashed; the content's header holds the key itself.
std::string file_name(const std::string& key) {
  struct stat status = {};
  const bool known = ::stat("/proc/self/ns/pid", &status) == 0;
  std::uint64_t hash = mix64(known ? status.st_ino : 0);
  for (const char c : key) hash = mix64(hash + static_cast<unsigned char>(c) + 0x9E3779B97F4A7C15u);
  std::array<char, 40> name{};
  std::snprintf(name.data(), name.size(), "weights-%016llx", static_cast<unsigned long long>(hash));
  return name.data();
}

Result<Descriptor> open_file(const Descriptor& folder, const std::string& name) {
  constexpr mode_t kOwnerOnly = 0600;
  Descriptor file(::openat(folder.number(), name.c_str(),
                           O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, kOwnerOnly));
  if (!file.is_open()) return system_error("cannot open " + name);
  struct stat status = {};
  if (::fstat(file.number(), &status) != 0) return system_error("cannot look at " + name);
  if (!S_ISREG(status.st_mode) || status.st_uid != ::geteuid()) {
    return Error{ErrorCode::kPermissionDenied,
                 "weight registry: " + name + " is no regular file of this user"};
  }
  return file;
}

bool is_unlinked(const Descriptor& file) {
  struct stat status = {};
  return ::fstat(file.number(), &status) != 0 || status.st_nlink == 0;
}

std::optional<SealedHolder> parse_line(std::string_view line) {
  SealedHolder holder;
  const char* end = line.data() + line.size();
  auto at = std::from_chars(line.data(), end, holder.process);
  if (at.ec != std::errc() || at.ptr == end || *at.ptr != ' ') return std::nullopt;
  at = std::from_chars(at.ptr + 1, end, holder.start_time);
  if (at.ec != std::errc() || at.ptr == end || *at.ptr != ' ') return std::nullopt;
  at = std::from_chars(at.ptr + 1, end, holder.descriptor);
  if (at.ec != std::errc() || at.ptr != end) return std::nullopt;
  if (holder.process <= 0 || holder.descriptor < 0) return std::nullopt;
  return holder;
}

}  // namespace

Result<WeightRegistry> WeightRegistry::open(const std::string& folder, const std::string& key,
                                            Duration wait_max) {
  WeightRegistry registry;
  Result<Descriptor> opened = open_private_folder(folder);
  if (!opened.ok()) return with_context(std::move(opened).error(), "weight registry");
  registry.folder_ = std::move(opened).value();
  registry.name_ = file_name(key);
  for (Duration waited{0};;) {
    Descriptor file = TRY(open_file(registry.folder_, registry.name_));
    if (::flock(file.number(), LOCK_EX | LOCK_NB) == 0) {
      // The last holder removes the file: a lock on a removed one guards nothing.
      if (is_unlinked(file)) continue;
      registry.file_ = std::move(file);
      return registry;
    }
    if (errno != EWOULDBLOCK && errno != EINTR) return system_error("cannot lock");
    if (waited >= wait_max) {
      return Error{
          ErrorCode::kUnavailable,
          "weight registry: another process has been building these weights for more than " +
              std::to_string(seconds(wait_max)) + " seconds"};
    }
    std::this_thread::sleep_for(kLockPoll);
    waited += kLockPoll;
  }
}

std::vector<SealedHolder> WeightRegistry::read() const {
  std::vector<SealedHolder> holders;
  std::string text(kHoldersMax * kLineBytesMax, '\0');
  const ssize_t num_read = ::pread(file_.number(), text.data(), text.size(), 0);
  if (num_read <= 0) return holders;
  std::string_view rest(text.data(), static_cast<std::size_t>(num_read));
  while (!rest.empty() && holders.size() < kHoldersMax) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    if (const auto holder = parse_line(rest.substr(0, end))) holders.push_back(*holder);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return holders;
}

Status WeightRegistry::write(const std::vector<SealedHolder>& holders) {
  if (holders.empty()) {
    if (::unlinkat(folder_.number(), name_.c_str(), 0) != 0) return system_error("cannot remove");
    return Ok{};
  }
  std::string text;
  for (const SealedHolder& holder : holders) {
    text += std::to_string(holder.process) + " " + std::to_string(holder.start_time) + " " +
            std::to_string(holder.descriptor) + "\n";
  }
  // Written over the old text in one call, then cut: a process that is killed between the two
  // leaves old lines behind, which are checked like all others.
  const ssize_t num_written = ::pwrite(file_.number(), text.data(), text.size(), 0);
  if (num_written != static_cast<ssize_t>(text.size())) return system_error("cannot write");
  if (::ftruncate(file_.number(), static_cast<off_t>(text.size())) != 0) {
    return system_error("cannot cut");
  }
  return Ok{};
}

}  // namespace millrace
