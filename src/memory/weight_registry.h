// Where processes of one user find who holds the weights of a key: a small locked file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "memory/descriptor.h"
#include "memory/sealed_memory.h"

namespace millrace {

// The locked file of one key. The lock is the kernel's and dies with its holder, so a builder that
// is killed half-way leaves the file as it was. One line per holder: "<pid> <start time> <fd>".
// Lines may be stale and are only ever hints: whatever they lead to is checked.
//
// Containers that share the folder but not their process numbers get files of their own.
class WeightRegistry {
 public:
  static constexpr std::size_t kHoldersMax = 256;

  // Makes the folder when absent, checks that it is private to this user, and waits up to
  // `wait_max` for the lock.
  static Result<WeightRegistry> open(const std::string& folder, const std::string& key,
                                     Duration wait_max);

  // What the file says; lines that cannot be read are left out.
  std::vector<SealedHolder> read() const;
  // Replaces the list; the file is removed when it is empty.
  Status write(const std::vector<SealedHolder>& holders);

 private:
  WeightRegistry() = default;

  Descriptor folder_;
  Descriptor file_;  // Carries the lock; closing it unlocks.
  std::string name_;
};

}  // namespace millrace
