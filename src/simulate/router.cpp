// Round robin, least loaded, and the longest prefix under a bound on load.
#include "simulate/router.h"

#include <algorithm>
#include <optional>

#include "base/check.h"
#include "base/random.h"

namespace millrace {

Router::Router(const RouterOptions& options) : options_(options), memories_(options.num_replicas) {
  CHECK(options.num_replicas > 0);
  CHECK(options.pieces_max > 0);
  CHECK(options.load_bound >= 1);
}

std::size_t Router::route(const Trace& trace, const TraceRequest& request,
                          std::span<const std::uint64_t> outstanding) {
  CHECK(outstanding.size() == options_.num_replicas);
  ++num_routed_;
  if (options_.kind == RoutingKind::kRoundRobin) return (num_routed_ - 1) % outstanding.size();
  if (options_.kind == RoutingKind::kLeastLoaded) return least_loaded(outstanding);
  hash_prefixes(trace, request);
  const std::size_t chosen = longest_prefix(outstanding);
  remember(memories_[chosen]);
  return chosen;
}

std::size_t Router::least_loaded(std::span<const std::uint64_t> outstanding) const {
  return static_cast<std::size_t>(std::min_element(outstanding.begin(), outstanding.end()) -
                                  outstanding.begin());
}

std::size_t Router::longest_prefix(std::span<const std::uint64_t> outstanding) const {
  double sum = 0;
  for (const std::uint64_t tokens : outstanding) sum += static_cast<double>(tokens);
  const double mean = sum / static_cast<double>(outstanding.size());
  const double bound = options_.load_bound * mean + static_cast<double>(options_.load_slack_tokens);
  // The least loaded is never above the mean, so there is always one within the bound.
  std::size_t best = least_loaded(outstanding);
  std::size_t best_length = 0;
  for (std::size_t i = 0; i < memories_.size(); ++i) {
    if (static_cast<double>(outstanding[i]) > bound) continue;
    std::size_t length = 0;
    while (length < hashes_.size() && memories_[i].last_use.contains(hashes_[length])) ++length;
    const bool is_better =
        length > best_length || (length == best_length && outstanding[i] < outstanding[best]);
    if (!is_better) continue;
    best = i;
    best_length = length;
  }
  return best;
}

void Router::hash_prefixes(const Trace& trace, const TraceRequest& request) {
  hashes_.clear();
  std::uint64_t path = 0;
  for (const std::uint32_t id : trace.prefix_of(request)) {
    path = mix64(path + id + 0x9E3779B97F4A7C15u);
    hashes_.push_back(path);
  }
}

void Router::remember(Memory& memory) {
  for (const std::uint64_t hash : hashes_) {
    memory.last_use[hash] = num_routed_;
    memory.uses.emplace_back(hash, num_routed_);
  }
  while (memory.last_use.size() > options_.pieces_max ||
         memory.uses.size() > 4 * options_.pieces_max) {
    const auto [hash, time] = memory.uses.front();
    memory.uses.pop_front();
    const auto found = memory.last_use.find(hash);
    // Used again since: a later entry stands for it.
    if (found != memory.last_use.end() && found->second == time) memory.last_use.erase(found);
  }
}

}  // namespace millrace
