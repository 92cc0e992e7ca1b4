// From what is wanted to what the sampler applies: compiles specs for one vocabulary, and keeps
// them.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "base/clock.h"
#include "base/result.h"
#include "constrain/constraint_spec.h"
#include "constrain/token_vocabulary.h"
#include "engine/logit_constraint.h"

namespace millrace {

// What one spec may cost. A spec that needs more is refused with the limit's name: kTooLarge for
// sizes, kDeadlineExceeded for time.
struct GrammarLimits {
  std::size_t spec_bytes_max = std::size_t{1} << 20;
  std::size_t depth_max = 64;                     // of JSON, groups and parts in one another
  std::size_t num_expressions_max = 1'000'000;    // nodes of the grammar
  std::size_t num_states_max = 200'000;           // of all automata together
  std::size_t pattern_states_max = 20'000;        // of the automaton of one pattern
  std::uint64_t machine_bytes_max = 64ull << 20;  // of the tables
  std::chrono::milliseconds compile_time_max{2000};
};

struct GrammarCompilerOptions {
  GrammarLimits limits;
  std::size_t num_cached_max = 64;                // grammars kept when nobody uses them
  std::uint64_t cached_bytes_max = 256ull << 20;  // of their tables
  std::uint64_t mask_cache_bytes = 64ull << 20;   // masks of all grammars together
};

class MaskCache;

// Any thread may call it; compiling runs on the caller's. Outlived by what it returns, not by the
// clock.
class GrammarCompiler {
 public:
  GrammarCompiler(std::shared_ptr<const TokenVocabulary> vocabulary, const Clock& clock,
                  GrammarCompilerOptions options = {});
  ~GrammarCompiler();

  // The constraint in its first state, for Request::constraint. From the cache where an equal spec
  // was compiled before. kInvalidArgument for a spec that contradicts itself or that no text
  // fulfils, kUnsupported naming the keyword or construct that cannot be enforced, and its place.
  Result<std::shared_ptr<const LogitConstraint>> compile(const ConstraintSpec& spec);

  const TokenVocabulary& vocabulary() const { return *vocabulary_; }

  struct Counters {
    std::uint64_t num_compiled = 0;
    std::uint64_t num_hits = 0;
    std::uint64_t num_cached = 0;
    std::uint64_t cached_bytes = 0;
  };
  Counters counters() const;

 private:
  struct Entry {
    std::string key;
    std::shared_ptr<const LogitConstraint> constraint;
    std::uint64_t bytes = 0;
  };

  std::shared_ptr<const LogitConstraint> find(const std::string& key);
  void keep(Entry entry);

  std::shared_ptr<const TokenVocabulary> vocabulary_;
  const Clock& clock_;
  GrammarCompilerOptions options_;
  std::shared_ptr<MaskCache> masks_;  // Shared with the constraints; has a mutex of its own.

  mutable std::mutex mutex_;  // guards what follows
  std::list<Entry> entries_;  // most recently used first
  std::unordered_map<std::string, std::list<Entry>::iterator> by_key_;
  Counters counters_;
};

}  // namespace millrace
