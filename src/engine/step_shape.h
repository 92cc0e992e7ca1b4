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
  // Rows of logits: what goes through the matrix of the vocabulary, a fifth of the work of a row in
  // a small model.
  std::uint64_t num_sampled = 0;

  // Rows that go through the matrices while there are few, and those beyond. A tile of few costs
  // more than its part of a large step where arithmetic is the limit (on two CPUs a row of a bf16
  // model 4.7 ms in steps of 5, 2.5 in steps of 80), and next to nothing where reading the weights
  // is (a row of an int8 model 0.1 ms in steps up to 16, 0.7 beyond).
  static constexpr std::uint64_t kFewTokens = 16;
  std::uint64_t num_few_tokens() const { return std::min(num_tokens, kFewTokens); }
  std::uint64_t num_many_tokens() const { return num_tokens - num_few_tokens(); }

  // One sequence's chunk of `tokens` after `computed` ones that are in the cache; of them so many,
  // often none or the last, have their row of logits computed.
  void add_chunk(std::uint64_t computed, std::uint64_t tokens, std::uint64_t sampled) {
    num_tokens += tokens;
    num_sequences += 1;
    num_kv_tokens += computed + tokens;
    num_attended += tokens * computed + tokens * (tokens + 1) / 2;
    num_sampled += sampled;
  }
  bool operator==(const StepShape&) const = default;
};

}  // namespace millrace
