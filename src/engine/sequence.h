// The engine's mutable state of one request.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/id.h"
#include "engine/finish.h"
#include "engine/indexed_heap.h"
#include "engine/prompt_scores.h"
#include "engine/request.h"
#include "memory/block_table.h"
#include "memory/prefix_index.h"

namespace millrace {

// Why a prefix is pinned.
enum class HotSource : std::uint8_t {
  kAsked,  // somebody named it, see Engine::pin
  kFound,  // it is requested often, see HotPrefixes
};

// Where the runner gathers the vector of a pooled request, chunk by chunk.
struct PooledState {
  PooledState(Pooling pooling, std::size_t width)
      : sum(pooling == Pooling::kMean ? width : 0), vector(width) {}

  std::vector<double> sum;  // kMean: over positions [0, num_positions), in rising order
  std::size_t num_positions = 0;
  std::vector<float> vector;  // once the last chunk has been computed
};

// Made by whoever submits, with all the capacity that it will ever need; from then on touched by
// the engine thread only. Two integers say where it is: num_computed tokens have their keys and
// values in the cache once the steps that were submitted have run, num_tokens() there will then be.
// There is no prefill or decode state.
//
// Thousands of them are walked in every step, so what a decode touches lies in the first two cache
// lines, copies of what the request says included:
//
//   where it is, which steps name it │ tokens, blocks, flags │ its place in queues, everything else
struct Sequence {
  // The request has passed checked_request; `when` it was submitted.
  Sequence(Request asked, std::size_t block_tokens, TimePoint when)
      : num_prompt_tokens(asked.prompt.size()),
        max_tokens(*asked.max_tokens),
        service_class(asked.service_class),
        blocks(blocks_for_tokens(cache_tokens_max(asked), block_tokens)),
        is_pooled(asked.pooling != Pooling::kNone),
        is_constrained(asked.constraint != nullptr),
        request(std::move(asked)),
        submitted(when),
        num_queued_tokens(request.prompt.size()) {
    const std::size_t num_tokens_max = request.prompt.size() + *request.max_tokens;
    tokens.reserve(num_tokens_max);
    tokens.assign(request.prompt.begin(), request.prompt.end());
    prefix_hashes.reserve(num_tokens_max / block_tokens);
    extend_prefix_hashes(request.salt, tokens, block_tokens, prefix_hashes);
    if (is_constrained) {
      constraint = request.constraint->fork();
      constraint->limit_tokens(*request.max_tokens);
    }
  }

  alignas(64) std::size_t num_computed = 0;
  // Steps that were submitted and not applied yet: how many tokens they will draw for it, the last
  // one in that chunk of its plan, and how often their plans name it.
  std::size_t num_pending = 0;
  std::size_t last_chunk = 0;
  std::size_t num_submitted = 0;
  const std::size_t num_prompt_tokens;  // the request's, like the two that follow
  const std::size_t max_tokens;
  std::size_t num_published = 0;  // of its blocks, the first that the index knows
  const ClassId service_class;
  SequenceId id;  // below Scheduler::num_ids; free again when the sequence has ended

  std::vector<TokenId> tokens;  // the prompt, then what was generated: those that are known
  BlockTable blocks;
  std::uint32_t pin_blocks = 0;  // of the prompt, to be pinned once they are published
  const bool is_pooled;
  const bool is_constrained;
  bool is_live = false;  // submitted, and not retired
  bool is_running = false;
  bool is_parked = false;
  bool has_parked_followers = false;
  bool is_ending = false;  // `finish` is set

  std::uint64_t arrival = 0;  // rises with each submission; breaks ties of start_by
  // When it should run to keep its class's or its own time; the earliest goes first in its class.
  TimePoint start_by{};
  std::size_t waiting_place = kNoPlace;   // in its class's queue
  std::size_t deadline_place = kNoPlace;  // among those that have one

  const Request request;
  const TimePoint submitted;
  std::size_t num_queued_tokens = 0;         // that it counts for until it runs, see Admission
  Duration waited{0};                        // once it has run: until then from submission
  std::vector<std::uint64_t> prefix_hashes;  // of the full blocks of `tokens`
  std::unique_ptr<LogitConstraint> constraint;
  HotSource pin_source = HotSource::kAsked;
  std::unique_ptr<PooledState> pooled;  // of a pooled request; the runner's in a step
  // Where the runner puts them, of a request that asks for them; the first choice's alone.
  std::shared_ptr<PromptScores> scores;
  // Another choice of the same request, whose prompt this one shares: while it computes that, this
  // one is parked; null when it has ended or there is none.
  Sequence* leader = nullptr;
  // Live sequences whose leader this is: the first, and of a follower the next one.
  Sequence* first_follower = nullptr;
  Sequence* next_follower = nullptr;
  std::size_t num_preemptions = 0;
  std::optional<std::size_t> num_cached;  // tokens found in the cache when it first ran
  std::optional<Finish> finish;           // set once, when the end is known

  std::size_t num_tokens() const { return tokens.size() + num_pending; }
  std::size_t num_prompt() const { return num_prompt_tokens; }
  std::size_t num_generated() const { return tokens.size() - num_prompt(); }
  std::size_t num_remaining() const {
    CHECK(num_computed <= num_tokens());
    return num_tokens() - num_computed;
  }
  // Whether a step may take it before those that were submitted have been applied: not when they
  // draw its last token, nor when the next one depends on the host's knowing the one before.
  bool can_advance() const {
    return num_pending == 0 || (!is_constrained && num_generated() + num_pending < max_tokens);
  }
  // Tokens from the front whose keys and values may come from the cache. The last one is computed
  // for what comes of it; a mean needs the hidden state of each.
  std::size_t num_reusable() const {
    return request.pooling == Pooling::kMean || scores_prompt() ? 0 : tokens.size() - 1;
  }
  // Whether the tokens of the prompt are yet to be scored: they are before one is generated.
  bool scores_prompt() const { return scores != nullptr && num_generated() == 0; }
  PrefixKey prefix_key() const { return {request.salt, tokens, prefix_hashes}; }
  // Its class's order.
  bool goes_before(const Sequence& other) const {
    return start_by != other.start_by ? start_by < other.start_by : arrival < other.arrival;
  }
};

}  // namespace millrace
