// Hot prompts over restarts: brought back from a file, computed where they are missing, saved.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/function_ref.h"
#include "base/result.h"
#include "engine/engine.h"
#include "memory/kv_cache.h"
#include "memory/kv_snapshot.h"

namespace millrace {

// What became of the hot prompts, for the log.
struct HotPromptReport {
  std::size_t num_prompts = 0;          // that are pinned
  std::size_t num_restored_tokens = 0;  // of prompts and found prefixes, from the file
  std::size_t num_computed_tokens = 0;
  std::optional<Error> file_refused;  // why there was a file, and it was not used
  std::vector<Error> refused;         // why a prompt is not pinned
};

// One model's hot prompts and their file. restore() first, on the thread that makes the engine;
// then warm() and save() on any, one at a time, while the engine runs.
class HotPromptStore {
 public:
  // Of token ids; what does not fill a block at its end is left out. The cache is the engine's and
  // outlives the store. An empty path: nothing is read or written.
  HotPromptStore(std::vector<std::vector<TokenId>> prompts, const KvCache& cache, KvSnapshotKey key,
                 std::string path);

  // Pins what the file holds of the prompts, and of what was hot when it was written. A file that
  // is no good is left where it is, until save() writes another.
  void restore(Engine& engine);
  // Pins the other prompts: `pin` is Engine::pin, or leads there. Waits until all are computed.
  void warm(FunctionRef<Result<TokenStream>(std::vector<TokenId>)> pin);
  // Writes what is pinned now, unless the file holds just that.
  Status save(const Engine& engine);

  const HotPromptReport& report() const { return report_; }

 private:
  struct Prompt {
    std::vector<TokenId> tokens;  // whole blocks
    bool is_pinned = false;
  };

  Status try_restore(Engine& engine);
  Status restore_prefix(Engine& engine, const KvSnapshot& snapshot, std::size_t number,
                        std::size_t num_tokens, HotSource source);

  std::vector<Prompt> prompts_;
  const KvCache& cache_;
  const KvSnapshotKey key_;
  const std::string path_;
  HotPromptReport report_;
  std::vector<std::vector<TokenId>> in_file_;  // prefixes that the file is known to hold
};

}  // namespace millrace
