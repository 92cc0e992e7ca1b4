// The sum of weights, arena, program and KV blocks against the limit.
#include "memory/memory_plan.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <string>

#include "base/check.h"
#include "base/checked.h"

namespace millrace {
namespace {

Error does_not_fit(const MemoryDemand& demand, std::optional<std::uint64_t> needed_bytes) {
  const std::string needed = needed_bytes ? std::to_string(*needed_bytes) : "more than 2^64";
  return Error{
      ErrorCode::kResourceExhausted,
      "the model needs " + needed + " bytes (weights " + std::to_string(demand.weight_bytes) +
          ", activations " + std::to_string(demand.arena_bytes) + ", program " +
          std::to_string(demand.process_bytes) + ", " + std::to_string(demand.num_blocks_min) +
          " KV blocks of " + std::to_string(demand.block_bytes) + ") but only " +
          std::to_string(demand.limit_bytes) + " bytes may be used"};
}

std::optional<std::uint64_t> sum_without_kv(const MemoryDemand& demand) {
  const auto model = checked_add(demand.weight_bytes, demand.arena_bytes);
  return model ? checked_add(*model, demand.process_bytes) : std::nullopt;
}

}  // namespace

Result<MemoryPlan> plan_memory(const MemoryDemand& demand) {
  CHECK(demand.block_bytes > 0);
  CHECK(demand.num_blocks_min <= demand.num_blocks_max);
  const auto fixed_bytes = sum_without_kv(demand);
  const auto kv_bytes_min = checked_mul(demand.num_blocks_min, demand.block_bytes);
  const auto needed_bytes =
      fixed_bytes && kv_bytes_min ? checked_add(*fixed_bytes, *kv_bytes_min) : std::nullopt;
  if (!needed_bytes || *needed_bytes > demand.limit_bytes) {
    return does_not_fit(demand, needed_bytes);
  }
  const std::uint64_t num_fitting = (demand.limit_bytes - *fixed_bytes) / demand.block_bytes;
  const std::uint64_t num_blocks =
      std::min({num_fitting, demand.num_blocks_max,
                std::uint64_t{std::numeric_limits<std::uint32_t>::max()}});
  if (num_blocks < demand.num_blocks_min) return does_not_fit(demand, needed_bytes);
  const std::uint64_t kv_bytes = num_blocks * demand.block_bytes;
  return MemoryPlan{.num_blocks = static_cast<std::uint32_t>(num_blocks),
                    .kv_bytes = kv_bytes,
                    .total_bytes = *fixed_bytes + kv_bytes};
}

}  // namespace millrace
