// The hook of grammars: which tokens may come next.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/token_id.h"

namespace millrace {

// The state of one sequence in a language of tokens, which implements it (constrain). A request
// carries one in its first state, const and shared; each sequence forks its own. Touched by one
// thread at a time, though not always by the same.
class LogitConstraint {
 public:
  virtual ~LogitConstraint() = default;

  // Bit t % 32 of allowed[t / 32] is set where token t may come next, stop tokens included;
  // `allowed` has all bits set and covers the vocabulary. At least one bit stays set. Allocates
  // nothing.
  virtual void mask(std::span<std::uint32_t> allowed) const = 0;
  // `token` came next. Only ones that mask allows come, and no stop token.
  virtual void advance(TokenId token) = 0;
  // The last `num_tokens` tokens did not come after all (speculation).
  virtual void rollback(std::size_t num_tokens) = 0;
  // The text, with the stop token that ends it, has so many tokens at most, counted from the first
  // state: one that can leads it to an end in time. Told once, before the first token.
  virtual void limit_tokens(std::size_t num_tokens_max) { static_cast<void>(num_tokens_max); }
  // A state of its own that goes on from here.
  virtual std::unique_ptr<LogitConstraint> fork() const = 0;
};

}  // namespace millrace
