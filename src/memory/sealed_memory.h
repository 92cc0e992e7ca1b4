// Memory that processes of one user share and that nobody can change any more: a sealed memfd.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/function_ref.h"
#include "base/result.h"
#include "memory/descriptor.h"

namespace millrace {

// Who holds a sealed memory: a process, told apart from a later one of the same number by its start
// time, and the descriptor's number in it.
struct SealedHolder {
  std::int64_t process = 0;
  std::uint64_t start_time = 0;  // clock ticks since boot, from /proc/<pid>/stat
  std::int64_t descriptor = 0;
  bool operator==(const SealedHolder&) const = default;
};

// A read-only mapping and the descriptor that lets others find it.
//
//   byte 0                       kHeaderBytes                  kHeaderBytes + num_bytes
//   | magic, version, sizes, key | content                     |
//
// The kernel frees the memory when the last descriptor and mapping of any process are gone.
class SealedMemory {
 public:
  static constexpr std::size_t kHeaderBytes = 4096;
  static constexpr std::size_t kKeyBytesMax = 1024;

  // Makes one: `build` fills the zeroed content, then it is sealed. An error of `build` comes back
  // as it is, and nothing stays behind.
  static Result<SealedMemory> create(const std::string& key, std::uint64_t num_bytes,
                                     FunctionRef<Status(std::span<std::byte>)> build);
  // Maps the one that a living process holds, after checking that it is alive, ours, sealed, of
  // this size and of this key.
  static Result<SealedMemory> open(const SealedHolder& holder, const std::string& key,
                                   std::uint64_t num_bytes);

  SealedMemory(SealedMemory&& other) noexcept;
  SealedMemory& operator=(SealedMemory&& other) noexcept;
  ~SealedMemory();

  std::span<const std::byte> bytes() const { return {data_ + kHeaderBytes, num_bytes_}; }
  // This process as a holder.
  Result<SealedHolder> self() const;

 private:
  SealedMemory() = default;
  static Result<SealedMemory> map(Descriptor descriptor, const std::string& key,
                                  std::uint64_t num_bytes);

  Descriptor descriptor_;  // read-only
  const std::byte* data_ = nullptr;
  std::size_t num_bytes_ = 0;
};

// Start time of a process; an error when there is none of that number.
Result<std::uint64_t> process_start_time(std::int64_t process);

}  // namespace millrace
