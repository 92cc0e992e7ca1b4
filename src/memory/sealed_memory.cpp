// Making, sealing, finding and checking shared memory through /proc.
#include "memory/sealed_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/checked.h"
#include "base/file.h"

namespace millrace {
namespace {

constexpr std::array<char, 8> kMagic = {'M', 'I', 'L', 'L', 'W', 'G', 'T', '\0'};
constexpr std::uint32_t kVersion = 1;
constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
constexpr const char* kName = "millrace-weights";

struct Header {
  std::array<char, 8> magic;
  std::uint32_t version;
  std::uint32_t key_bytes;
  std::uint64_t num_bytes;
  std::array<char, SealedMemory::kKeyBytesMax> key;
};
static_assert(sizeof(Header) <= SealedMemory::kHeaderBytes);

Error system_error(const std::string& what) {
  return Error{ErrorCode::kUnavailable, "shared memory: " + what + ": " + std::strerror(errno)};
}
Error refused(const std::string& what) {
  return Error{ErrorCode::kUnavailable, "shared memory: " + what};
}

Result<std::uint64_t> file_bytes(std::uint64_t num_bytes) {
  const auto sum = checked_add(num_bytes, SealedMemory::kHeaderBytes);
  if (!sum || *sum > static_cast<std::uint64_t>(INT64_MAX)) {
    return refused(std::to_string(num_bytes) + " bytes are more than a file can hold");
  }
  return *sum;
}

Header make_header(const std::string& key, std::uint64_t num_bytes) {
  Header header = {};
  header.magic = kMagic;
  header.version = kVersion;
  header.key_bytes = static_cast<std::uint32_t>(key.size());
  header.num_bytes = num_bytes;
  std::memcpy(header.key.data(), key.data(), key.size());
  return header;
}

// Pages are taken now: a machine without memory says so here and not by a signal later.
Status reserve(int descriptor, std::uint64_t num_bytes) {
  while (::fallocate(descriptor, 0, 0, static_cast<off_t>(num_bytes)) != 0) {
    if (errno != EINTR)
      return system_error("cannot reserve " + std::to_string(num_bytes) + " bytes");
  }
  return Ok{};
}

// Takes the pages through a mapping that asks for huge ones: fallocate takes small ones wherever
// the system shares huge pages only on advice, and then a core's reads are slowed down by page
// walks (4 bits, 1 row, 1 thread, Zen 5: 19 instead of 12 ms a token). What this cannot take,
// reserve does or reports.
void populate([[maybe_unused]] void* data, [[maybe_unused]] std::size_t num_bytes) {
  ::madvise(data, num_bytes, MADV_HUGEPAGE);
#if defined(MADV_POPULATE_WRITE)
  ::madvise(data, num_bytes, MADV_POPULATE_WRITE);
#endif
}

// Fills through a writable mapping that is gone afterwards, as F_SEAL_WRITE demands.
Status fill(int descriptor, const Header& header, FunctionRef<Status(std::span<std::byte>)> build) {
  const std::size_t num_bytes = SealedMemory::kHeaderBytes + header.num_bytes;
  void* data = ::mmap(nullptr, num_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (data == MAP_FAILED) return system_error("cannot map for writing");
  populate(data, num_bytes);
  Status built = reserve(descriptor, num_bytes);
  auto* bytes = static_cast<std::byte*>(data);
  if (built.ok()) built = build({bytes + SealedMemory::kHeaderBytes, header.num_bytes});
  if (built.ok()) std::memcpy(bytes, &header, sizeof(header));
  ::munmap(data, num_bytes);
  return built;
}

Status check_file(int descriptor, std::uint64_t num_bytes) {
  struct stat status = {};
  if (::fstat(descriptor, &status) != 0) return system_error("cannot look at the descriptor");
  if (!S_ISREG(status.st_mode)) return refused("the descriptor is no memory");
  if (status.st_uid != ::geteuid()) return refused("it belongs to another user");
  if (static_cast<std::uint64_t>(status.st_size) != num_bytes) {
    return refused("it has " + std::to_string(status.st_size) + " bytes, expected " +
                   std::to_string(num_bytes));
  }
  const int seals = ::fcntl(descriptor, F_GET_SEALS);
  if (seals < 0 || (seals & kSeals) != kSeals) return refused("it is not sealed");
  return Ok{};
}

// Opens a descriptor of another process only when its name says that it is ours: opening a device
// or pipe that took its number could block or have effects.
Result<Descriptor> open_foreign(const SealedHolder& holder) {
  const std::string path =
      "/proc/" + std::to_string(holder.process) + "/fd/" + std::to_string(holder.descriptor);
  std::array<char, 64> target{};
  if (::readlink(path.c_str(), target.data(), target.size() - 1) < 0) {
    return system_error("cannot read " + path);
  }
  if (std::string(target.data()).rfind(std::string("/memfd:") + kName, 0) != 0) {
    return refused(path + " is something else");
  }
  Descriptor descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!descriptor.is_open()) return system_error("cannot open " + path);
  return descriptor;
}

}  // namespace

Result<std::uint64_t> process_start_time(std::int64_t process) {
  constexpr std::uint64_t kStatBytesMax = 8192;
  constexpr int kFieldsAfterName = 19;  // "starttime" is field 22; the name in brackets is field 2.
  const std::string text =
      TRY(read_file("/proc/" + std::to_string(process) + "/stat", kStatBytesMax));
  std::size_t at = text.rfind(')');
  for (int field = 0; field <= kFieldsAfterName && at != std::string::npos; ++field) {
    at = text.find(' ', at + 1);
  }
  std::uint64_t start_time = 0;
  if (at == std::string::npos) return refused("cannot read the start time of a process");
  const auto parsed = std::from_chars(text.data() + at + 1, text.data() + text.size(), start_time);
  if (parsed.ec != std::errc()) return refused("cannot read the start time of a process");
  return start_time;
}

Result<SealedMemory> SealedMemory::create(const std::string& key, std::uint64_t num_bytes,
                                          FunctionRef<Status(std::span<std::byte>)> build) {
  if (key.empty() || key.size() > kKeyBytesMax) {
    return refused("key of " + std::to_string(key.size()) + " bytes, expected 1 to " +
                   std::to_string(kKeyBytesMax));
  }
  const std::uint64_t total_bytes = TRY(file_bytes(num_bytes));
  Descriptor writable(::memfd_create(kName, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!writable.is_open()) return system_error("cannot create it");
  if (::ftruncate(writable.number(), static_cast<off_t>(total_bytes)) != 0) {
    return system_error("cannot reserve " + std::to_string(total_bytes) + " bytes");
  }
  TRY(fill(writable.number(), make_header(key, num_bytes), build));
  if (::fcntl(writable.number(), F_ADD_SEALS, kSeals) != 0) return system_error("cannot seal it");
  // A second, read-only opening: older kernels refuse to map a sealed file that is open for
  // writing.
  const std::string path = "/proc/self/fd/" + std::to_string(writable.number());
  Descriptor read_only(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!read_only.is_open()) return system_error("cannot open it again");
  return map(std::move(read_only), key, num_bytes);
}

Result<SealedMemory> SealedMemory::open(const SealedHolder& holder, const std::string& key,
                                        std::uint64_t num_bytes) {
  if (TRY(process_start_time(holder.process)) != holder.start_time) {
    return refused("process " + std::to_string(holder.process) + " is another one now");
  }
  return map(TRY(open_foreign(holder)), key, num_bytes);
}

Result<SealedMemory> SealedMemory::map(Descriptor descriptor, const std::string& key,
                                       std::uint64_t num_bytes) {
  const std::uint64_t total_bytes = TRY(file_bytes(num_bytes));
  TRY(check_file(descriptor.number(), total_bytes));
  void* data = ::mmap(nullptr, total_bytes, PROT_READ, MAP_SHARED, descriptor.number(), 0);
  if (data == MAP_FAILED) return system_error("cannot map it");
  SealedMemory memory;
  memory.descriptor_ = std::move(descriptor);
  memory.data_ = static_cast<const std::byte*>(data);
  memory.num_bytes_ = num_bytes;
  const Header expected = make_header(key, num_bytes);
  if (std::memcmp(data, &expected, sizeof(expected)) != 0) {
    return refused("its header names another content or version");
  }
  return memory;
}

SealedMemory::SealedMemory(SealedMemory&& other) noexcept
    : descriptor_(std::move(other.descriptor_)),
      data_(std::exchange(other.data_, nullptr)),
      num_bytes_(std::exchange(other.num_bytes_, 0)) {}

SealedMemory& SealedMemory::operator=(SealedMemory&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(data_, other.data_);
  std::swap(num_bytes_, other.num_bytes_);
  return *this;
}

SealedMemory::~SealedMemory() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), kHeaderBytes + num_bytes_);
}

Result<SealedHolder> SealedMemory::self() const {
  const std::int64_t process = ::getpid();
  return SealedHolder{.process = process,
                      .start_time = TRY(process_start_time(process)),
                      .descriptor = descriptor_.number()};
}

}  // namespace millrace
