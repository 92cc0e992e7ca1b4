// The engine's mutable state of one request.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/id.h"
#include "engine/finish.h"
#include "engine/request.h"
#include "memory/block_table.h"

namespace millrace {

// Made by whoever submits, with all the capacity that it will ever need; from then on touched by
// the engine thread only. Two integers say where it is: num_computed tokens have their keys and
// values in the cache, num_tokens() are known. There is no prefill or decode state.
struct Sequence {
  // The request has passed checked_request.
  Sequence(Request asked, std::size_t block_tokens)
      : request(std::move(asked)),
        blocks(blocks_for_tokens(cache_tokens_max(request), block_tokens)) {
    tokens.reserve(request.prompt.size() + *request.max_tokens);
    tokens.assign(request.prompt.begin(), request.prompt.end());
  }

  const Request request;
  std::vector<TokenId> tokens;  // the prompt, then what was generated
  std::size_t num_computed = 0;
  BlockTable blocks;

  SequenceId id;              // below num_requests_max; free again when the sequence has ended
  std::uint64_t arrival = 0;  // rises with each submission; smaller goes first
  std::size_t num_preemptions = 0;
  std::optional<Finish> finish;  // set once, when the end is known

  std::size_t num_tokens() const { return tokens.size(); }
  std::size_t num_prompt() const { return request.prompt.size(); }
  std::size_t num_generated() const { return tokens.size() - num_prompt(); }
  std::size_t num_remaining() const {
    CHECK(num_computed <= tokens.size());
    return tokens.size() - num_computed;
  }
};

}  // namespace millrace
