// How much a step computes and reads: what its time is predicted from.
#pragma once

#include <algorithm>
#include <cstdint>

namespace millrace {

// A value; chunks are added one by one.
struct StepShape {
  std::uint64_t num_tokens = 0;     // T: rows that go through the matrices
  std::uint64_t num_sequences = 0;  // B
  // Tokens of the KV cache that attention reads, each sequence's once, its own chunk included.
  std::uint64_t num_kv_tokens = 0;
  // Pairs of a query and a key that it may look at: what attention computes.
  std::uint64_t num_attended = 0;

  // Rows that go through the matrices while there are few: a tile of them costs more than its part
  // of a large step. On two CPUs rows of a bf16 model cost 4.7 ms each in steps of 5, 2.5 in steps
  // of 80.
  static constexpr std::uint64_t kFewTokens = 16;
  std::uint64_t num_few_tokens() const { return std::min(num_tokens, kFewTokens); }

  // One sequence's chunk of `tokens` after `computed` ones that are in the cache.
  void add_chunk(std::uint64_t computed, std::uint64_t tokens) {
    num_tokens += tokens;
    num_sequences += 1;
    num_kv_tokens += computed + tokens;
    num_attended += tokens * computed + tokens * (tokens + 1) / 2;
  }
  bool operator==(const StepShape&) const = default;
};

}  // namespace millrace
