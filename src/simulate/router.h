// Which replica gets a request.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <unordered_map>
#include <vector>

#include "simulate/trace.h"

namespace millrace {

enum class RoutingKind : std::uint8_t {
  kRoundRobin,   // in turn
  kLeastLoaded,  // with the fewest tokens outstanding, the first of equals
  kPrefixAware,  // that most likely holds the longest prefix, among those not overloaded
};

struct RouterOptions {
  RoutingKind kind = RoutingKind::kRoundRobin;
  std::size_t num_replicas = 1;
  // Pieces of prompts that a replica's cache holds, as far as the router assumes; the longest
  // unused are forgotten.
  std::size_t pieces_max = 1 << 16;
  // kPrefixAware: a replica with more than load_bound times the mean of outstanding tokens, and
  // load_slack_tokens on top, gets nothing new. The factor is that of consistent hashing with
  // bounded loads (Mirrokni, Thorup & Zadimoghaddam 2018, arXiv:1608.01350); the slack keeps
  // nearly idle replicas from losing their prefixes over one request.
  double load_bound = 1.25;
  std::uint64_t load_slack_tokens = 16'384;
};

// A value that remembers what it sent where. It never sees the replicas' caches: what it believes
// of them is an approximation, as in a router that runs on another machine.
class Router {
 public:
  explicit Router(const RouterOptions& options);

  // `outstanding` tokens of each replica: known and not yet computed, and expected.
  std::size_t route(const Trace& trace, const TraceRequest& request,
                    std::span<const std::uint64_t> outstanding);

 private:
  struct Memory {
    std::unordered_map<std::uint64_t, std::uint64_t> last_use;  // of a prefix, by its hash
    std::deque<std::pair<std::uint64_t, std::uint64_t>> uses;   // hash and time, oldest first
  };

  std::size_t least_loaded(std::span<const std::uint64_t> outstanding) const;
  std::size_t longest_prefix(std::span<const std::uint64_t> outstanding) const;
  void hash_prefixes(const Trace& trace, const TraceRequest& request);
  void remember(Memory& memory);

  RouterOptions options_;
  std::vector<Memory> memories_;
  std::vector<std::uint64_t> hashes_;  // of the request's prefixes, shortest first
  std::uint64_t num_routed_ = 0;
};

}  // namespace millrace
