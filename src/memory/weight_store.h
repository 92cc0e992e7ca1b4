// Owns the packed bytes of a model's weights: once in this process, or once for all processes.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/clock.h"
#include "base/file.h"
#include "base/function_ref.h"
#include "base/result.h"

namespace millrace {

enum class WeightSharing : std::uint8_t { kPrivate, kShared };

struct WeightStoreOptions {
  // Names the content exactly: model identity, packing, formats. Equal keys mean equal bytes.
  std::string key;
  std::uint64_t num_bytes = 0;
  WeightSharing sharing = WeightSharing::kPrivate;
  // Larger models stay private: their owner has the machine to himself anyway.
  std::uint64_t shared_bytes_max = 500'000'000;
  // Where processes of one user find each other; made with mode 0700 when absent. The last part of
  // the path must be a folder of this user that nobody else can enter, not a link.
  std::string folder;
  // How long to wait for another process that is building the same weights, before going private.
  Duration wait_max = std::chrono::seconds(120);
};

// Read-only bytes, aligned to a page. Shared ones live in a sealed memfd: every process that maps
// them holds its own descriptor, so they vanish with the last holder however it ends, and nobody
// can write to them or cut them. Any failure of sharing gives private memory and a reason to log;
// only a failure of `build` or of memory itself is an error.
class WeightStore {
 public:
  using Build = FunctionRef<Status(std::span<std::byte> bytes)>;

  // `build` fills zeroed bytes; it is not called when another process has done it already. The
  // bytes that it is given may lie elsewhere than bytes() later.
  static Result<WeightStore> open(const WeightStoreOptions& options, Build build);

  // Weights that lie in a mapped file as they are needed: shared by the page cache. `bytes` is
  // part of the file, which is kept mapped as long as this object lives.
  static WeightStore of_file(std::shared_ptr<const MappedFile> file,
                             std::span<const std::byte> bytes);

  WeightStore(WeightStore&&) noexcept;
  WeightStore& operator=(WeightStore&&) noexcept;
  ~WeightStore();

  // Valid as long as this object lives, wherever it is moved.
  std::span<const std::byte> bytes() const;
  bool is_shared() const;
  bool was_built_here() const;
  // Why the bytes are private although sharing was asked for; empty otherwise.
  const std::string& fallback_reason() const;

 private:
  struct State;
  explicit WeightStore(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace millrace
