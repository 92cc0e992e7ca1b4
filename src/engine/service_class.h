// A named share of the machine: what a kind of work is promised, and what it may use at most.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/id.h"
#include "base/result.h"

namespace millrace {

// Index into SchedulerOptions::classes.
using ClassId = Id<struct ServiceClassTag>;

// Work is what shares are charged in: tokens computed for prompts (and for what preemption lost)
// count 1 each, tokens generated 2, as Sheng et al. 2024 (VTC) weigh them: a generated token costs
// a whole step of its sequence. What the prefix index spares is not charged.
inline constexpr std::uint64_t kPromptTokenWork = 1;
inline constexpr std::uint64_t kOutputTokenWork = 2;

struct ServiceClass {
  std::string name;
  // Of the work while every class has some; only the ratios count. Above 0.
  double share = 1.0;
  // Between which the controller may move the share, as parts of all; 0 <= min <= max <= 1.
  double share_min = 0.0;
  double share_max = 1.0;
  // From submission to the first token; orders requests inside the class.
  Duration first_token_target = std::chrono::seconds(1);
  // Between tokens; prompts are cut so that steps stay within it. Absent: no limit.
  std::optional<Duration> token_target = std::nullopt;
  // Requests, and tokens of their prompts, that wait to run for the first time; more are refused.
  std::size_t queued_requests_max = 1024;
  std::size_t queued_tokens_max = std::size_t{1} << 22;
  // A request that would wait longer than this by the measured pace is refused.
  std::optional<Duration> queue_wait_max = std::nullopt;
  // Hard cap on threads: a step in which only such classes have tokens runs on the most that one of
  // them allows. Beside a class without a cap it runs on all: the step is that class's too, and
  // would be late for what others may not have. Absent, or more than there are: no cap.
  std::optional<std::uint32_t> threads_max = std::nullopt;
  // Hard cap on KV blocks; absent: all of them, while nobody else needs them.
  std::optional<std::uint32_t> blocks_max = std::nullopt;
  // The same in bytes of device memory; the smallest one counts.
  std::optional<std::uint64_t> kv_bytes_max = std::nullopt;
  // The same as a part of the KV cache, above 0 and at most 1; a block at least.
  std::optional<double> kv_part_max = std::nullopt;
  // Cached prefixes of lower priorities are evicted first; 0 to kCachePriorityMax.
  std::uint8_t cache_priority = 0;
};

inline constexpr std::size_t kClassesMax = 16;
inline constexpr std::uint8_t kCachePriorityMax = 7;

// interactive 70 %, background 30 %.
std::vector<ServiceClass> default_service_classes();

// kInvalidArgument naming the class, the field, what was found and what is expected.
Status check_classes(const std::vector<ServiceClass>& classes);

// Each class's part of all shares; they add up to 1.
std::vector<double> share_parts(const std::vector<ServiceClass>& classes);

}  // namespace millrace
