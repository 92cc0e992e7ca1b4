// MappedFile and the SIGBUS handler that turns a file cut short under a mapping into an error
// value.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <mutex>
#include <utility>

#include "base/file.h"

namespace millrace {
namespace {

// One row per live mapping. The handler may run at any moment on any thread, so it reads atomics
// only. `begin` is published last and cleared first: a row with begin == 0 is free.
struct MappingRow {
  std::atomic<std::uintptr_t> begin{0};
  std::atomic<std::uintptr_t> end{0};
  std::atomic<bool> damaged{false};
};

std::array<MappingRow, MappedFile::kMappingsMax>
    g_mappings;                      // NOLINT: a signal handler has no other way
struct sigaction g_previous_action;  // NOLINT: likewise

std::uintptr_t page_bytes() {
  static const auto bytes = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  return bytes;
}

std::uintptr_t round_up_to_page(std::size_t num_bytes) {
  return (num_bytes + page_bytes() - 1) & ~(page_bytes() - 1);
}

void pass_on(int signal, siginfo_t* info, void* context) {
  if ((g_previous_action.sa_flags & SA_SIGINFO) != 0 && g_previous_action.sa_sigaction != nullptr) {
    g_previous_action.sa_sigaction(signal, info, context);
    return;
  }
  if (g_previous_action.sa_handler != SIG_DFL && g_previous_action.sa_handler != SIG_IGN) {
    g_previous_action.sa_handler(signal);
    return;
  }
  ::signal(signal,
           SIG_DFL);  // Returning re-runs the faulting instruction, which then ends the process.
}

void on_bus_error(int signal, siginfo_t* info, void* context) {
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  for (MappingRow& row : g_mappings) {
    const std::uintptr_t begin = row.begin.load(std::memory_order_acquire);
    const std::uintptr_t end = row.end.load(std::memory_order_acquire);
    if (begin == 0 || address < begin || address >= end) continue;
    const std::uintptr_t page = address & ~(page_bytes() - 1);
    void* zeros = ::mmap(reinterpret_cast<void*>(page), end - page, PROT_READ,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (zeros == MAP_FAILED) break;
    row.damaged.store(true, std::memory_order_release);
    return;
  }
  pass_on(signal, info, context);
}

void install_handler_once() {
  static std::once_flag once;
  std::call_once(once, [] {
    page_bytes();  // Computed here, since sysconf is not for signal handlers.
    struct sigaction action = {};
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO;
    sigemptyset(&action.sa_mask);
    ::sigaction(SIGBUS, &action, &g_previous_action);
  });
}

std::mutex g_registry_mutex;  // NOLINT: guards the choice of a free row in g_mappings.

bool register_mapping(const std::byte* data, std::size_t num_bytes, std::size_t& slot) {
  const std::lock_guard lock(g_registry_mutex);
  for (std::size_t i = 0; i < g_mappings.size(); ++i) {
    MappingRow& row = g_mappings[i];
    if (row.begin.load(std::memory_order_relaxed) != 0) continue;
    const auto begin = reinterpret_cast<std::uintptr_t>(data);
    row.damaged.store(false, std::memory_order_relaxed);
    row.end.store(begin + round_up_to_page(num_bytes), std::memory_order_release);
    row.begin.store(begin, std::memory_order_release);
    slot = i;
    return true;
  }
  return false;
}

Error cannot(const char* verb, const std::string& path, int code) {
  const ErrorCode kind = code == ENOENT   ? ErrorCode::kNotFound
                         : code == EACCES ? ErrorCode::kPermissionDenied
                                          : ErrorCode::kUnavailable;
  return Error{kind, std::string("cannot ") + verb + " " + path + ": " + std::strerror(code)};
}

}  // namespace

Result<MappedFile> MappedFile::open(const std::string& path) {
  install_handler_once();
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return cannot("open", path, errno);
  struct stat status = {};
  if (::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(descriptor);
    return Error{ErrorCode::kInvalidArgument, path + " is not a regular file"};
  }
  MappedFile file;
  file.path_ = path;
  file.num_bytes_ = static_cast<std::size_t>(status.st_size);
  if (file.num_bytes_ > 0) {
    void* data = ::mmap(nullptr, file.num_bytes_, PROT_READ, MAP_PRIVATE, descriptor, 0);
    const int code = errno;
    ::close(descriptor);
    if (data == MAP_FAILED) return cannot("map", path, code);
    file.data_ = static_cast<const std::byte*>(data);
    if (!register_mapping(file.data_, file.num_bytes_, file.registry_slot_)) {
      ::munmap(data, file.num_bytes_);
      file.data_ = nullptr;
      return Error{
          ErrorCode::kResourceExhausted,
          "cannot map " + path + ": " + std::to_string(kMappingsMax) + " files are mapped already"};
    }
  } else {
    ::close(descriptor);
  }
  return file;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      num_bytes_(std::exchange(other.num_bytes_, 0)),
      registry_slot_(other.registry_slot_) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  if (this != &other) {
    unmap();
    path_ = std::move(other.path_);
    data_ = std::exchange(other.data_, nullptr);
    num_bytes_ = std::exchange(other.num_bytes_, 0);
    registry_slot_ = other.registry_slot_;
  }
  return *this;
}

MappedFile::~MappedFile() {
  unmap();
}

void MappedFile::unmap() {
  if (data_ == nullptr) return;
  g_mappings[registry_slot_].begin.store(0, std::memory_order_release);
  ::munmap(const_cast<std::byte*>(data_), num_bytes_);
  data_ = nullptr;
  num_bytes_ = 0;
}

Status MappedFile::check_intact() const {
  if (data_ == nullptr || !g_mappings[registry_slot_].damaged.load(std::memory_order_acquire))
    return Ok{};
  return Error{ErrorCode::kCorruptData, path_ + " was cut short while it was being read: it had " +
                                            std::to_string(num_bytes_) +
                                            " bytes when it was opened"};
}

void MappedFile::release_pages(std::span<const std::byte> range) const {
  if (data_ == nullptr || range.empty()) return;
  CHECK(range.data() >= data_);
  CHECK(range.data() + range.size() <= data_ + num_bytes_);
  const std::uintptr_t page = page_bytes();
  const auto begin = reinterpret_cast<std::uintptr_t>(range.data());
  const std::uintptr_t first = (begin + page - 1) & ~(page - 1);
  const std::uintptr_t last = (begin + range.size()) & ~(page - 1);
  if (last > first) ::madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

}  // namespace millrace
