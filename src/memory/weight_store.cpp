// Private memory, or a sealed one that is found through the registry or built under its lock.
#include "memory/weight_store.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "memory/sealed_memory.h"
#include "memory/weight_registry.h"
#include "tensor/buffer.h"

namespace millrace {

struct WeightStore::State {
  std::optional<Buffer> buffer;            // private
  std::optional<SealedMemory> sealed;      // shared
  std::optional<SealedHolder> holder;      // our line in the registry
  std::shared_ptr<const MappedFile> file;  // mapped
  std::span<const std::byte> file_bytes;   // of it
  std::string folder;
  std::string key;
  bool was_built_here = false;
  std::string fallback_reason;

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { leave(); }

  // Takes our line out of the registry. When somebody holds the lock the line stays and is found
  // stale later: leaving never waits.
  void leave() const {
    if (!holder || holder->process != ::getpid()) return;  // A forked child is no holder.
    Result<WeightRegistry> registry = WeightRegistry::open(folder, key, Duration{0});
    if (!registry.ok()) return;
    std::vector<SealedHolder> holders = registry.value().read();
    std::erase(holders, *holder);
    static_cast<void>(registry.value().write(holders));  // A stale line does no harm.
  }
};

namespace {

Status fill_private(Buffer& buffer, WeightStore::Build build) {
  TRY(build(buffer.bytes()));
  // From here on a stray write is a fault at once, as in shared memory.
  if (!buffer.bytes().empty()) {
    ::mprotect(buffer.bytes().data(), buffer.bytes().size(), PROT_READ);
  }
  return Ok{};
}

bool is_alive(const SealedHolder& holder) {
  const Result<std::uint64_t> start_time = process_start_time(holder.process);
  return start_time.ok() && start_time.value() == holder.start_time;
}

// Every failure of sharing, apart from one of `build`, which is kept in `built`.
struct Sharing {
  const WeightStoreOptions& options;
  WeightStore::Build build;
  Status built = Ok{};
  bool was_built_here = false;

  Result<SealedMemory> make() {
    was_built_here = true;
    return SealedMemory::create(options.key, options.num_bytes, [&](std::span<std::byte> bytes) {
      built = build(bytes);
      return built;
    });
  }

  // The memory of the first holder that passes every check.
  std::optional<SealedMemory> find(const std::vector<SealedHolder>& holders) const {
    for (const SealedHolder& holder : holders) {
      auto memory = SealedMemory::open(holder, options.key, options.num_bytes);
      if (memory.ok()) return std::move(memory).value();
    }
    return std::nullopt;
  }

  Result<std::pair<SealedMemory, SealedHolder>> join() {
    if (options.num_bytes > options.shared_bytes_max) {
      return Error{ErrorCode::kTooLarge, std::to_string(options.num_bytes) +
                                             " bytes of weights exceed the limit for sharing of " +
                                             std::to_string(options.shared_bytes_max)};
    }
    WeightRegistry registry =
        TRY(WeightRegistry::open(options.folder, options.key, options.wait_max));
    std::vector<SealedHolder> holders = registry.read();
    std::erase_if(holders, [](const SealedHolder& holder) { return !is_alive(holder); });
    std::optional<SealedMemory> found = find(holders);
    SealedMemory memory = found ? std::move(*found) : TRY(make());
    const SealedHolder self = TRY(memory.self());
    // One line too many: we hold the memory all the same, only nobody finds it through us.
    if (holders.size() < WeightRegistry::kHoldersMax) holders.push_back(self);
    TRY(registry.write(holders));
    return std::pair<SealedMemory, SealedHolder>(std::move(memory), self);
  }
};

}  // namespace

Result<WeightStore> WeightStore::open(const WeightStoreOptions& options, Build build) {
  auto state = std::make_unique<State>();
  if (options.sharing == WeightSharing::kShared) {
    Sharing sharing{.options = options, .build = build};
    auto joined = sharing.join();
    if (!sharing.built.ok()) return std::move(sharing.built).error();
    if (joined.ok()) {
      state->sealed = std::move(joined.value().first);
      state->holder = joined.value().second;
      state->folder = options.folder;
      state->key = options.key;
      state->was_built_here = sharing.was_built_here;
      return WeightStore(std::move(state));
    }
    state->fallback_reason = joined.error().message;
  }
  state->buffer = TRY(Buffer::allocate(options.num_bytes));
  TRY(fill_private(*state->buffer, build));
  state->was_built_here = true;
  return WeightStore(std::move(state));
}

WeightStore WeightStore::of_file(std::shared_ptr<const MappedFile> file,
                                 std::span<const std::byte> bytes) {
  CHECK(file != nullptr);
  auto state = std::make_unique<State>();
  // Brought in ahead, in huge pages where the system has them for files; both may be refused.
  const std::uintptr_t page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const std::uintptr_t begin = reinterpret_cast<std::uintptr_t>(bytes.data()) & ~(page - 1);
  const std::size_t num_bytes =
      reinterpret_cast<std::uintptr_t>(bytes.data()) + bytes.size() - begin;
  ::madvise(reinterpret_cast<void*>(begin), num_bytes, MADV_HUGEPAGE);
  ::madvise(reinterpret_cast<void*>(begin), num_bytes, MADV_WILLNEED);
  state->file = std::move(file);
  state->file_bytes = bytes;
  return WeightStore(std::move(state));
}

WeightStore::WeightStore(std::unique_ptr<State> state) : state_(std::move(state)) {}
WeightStore::WeightStore(WeightStore&&) noexcept = default;
WeightStore& WeightStore::operator=(WeightStore&&) noexcept = default;
WeightStore::~WeightStore() = default;

std::span<const std::byte> WeightStore::bytes() const {
  if (state_->file != nullptr) return state_->file_bytes;
  return state_->sealed ? state_->sealed->bytes() : std::as_const(*state_->buffer).bytes();
}
bool WeightStore::is_shared() const {
  return state_->sealed.has_value() || state_->file != nullptr;
}
bool WeightStore::was_built_here() const {
  return state_->was_built_here;
}
const std::string& WeightStore::fallback_reason() const {
  return state_->fallback_reason;
}

}  // namespace millrace
