// What the operator and the model say about a scheduler's steps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"
#include "engine/hot_prefixes.h"
#include "engine/request.h"
#include "engine/service_class.h"
#include "engine/share_controller.h"

namespace millrace {

enum class PrefixReuse : std::uint8_t { kOn, kOff };

// Whether a step is planned when the one before it has been applied, or while that runs.
enum class StepLoop : std::uint8_t { kSerial, kOverlapped };

struct SchedulerOptions {
  // Waiting and running together; more are refused.
  std::size_t num_requests_max = 1024;
  // Running at once, so chunks and rows of logits in a step. Decode of a small model gains little
  // beyond this on a few cores.
  std::size_t num_sequences_max = 32;
  // Tokens of all chunks of a step; at least num_sequences_max, so that nobody is left out.
  std::size_t step_tokens_max = 256;
  // Tokens of one prompt in one step, so that a test can cut prompts small.
  std::size_t chunk_tokens_max = 256;
  // Of the KV cache; 16 as KvCacheSpec has it.
  std::size_t block_tokens = 16;
  // Tokens of prompts that a step has room for even where that misses a token target, and that the
  // elder's prompt gets in every step. One block of the KV cache costs a step little.
  std::size_t prompt_tokens_min = 16;
  // Steps that a class below its quota waits for room before others are preempted for it. Most
  // steps end somebody when many run, so that a few of them often give what preemption would.
  std::size_t reclaim_steps = 8;
  PrefixReuse prefix_reuse = PrefixReuse::kOn;
  // Prefixes that stay in the cache. They need prefix_reuse.
  HotPrefixOptions hot = {};
  StepLoop loop = StepLoop::kSerial;
  std::vector<ServiceClass> classes = default_service_classes();
  // Moves shares between classes, within their share_min and share_max. Absent: shares stay.
  std::optional<ShareControllerOptions> controller = std::nullopt;
};

// kInvalidArgument naming the option, what was found and what is expected.
Status check_options(const SchedulerOptions& options);

// Tokens of its prompt that the elder (see scheduler.h) gets in each step at least.
std::size_t elder_tokens(const SchedulerOptions& options);
// Steps in which a request is surely done once it is the elder.
std::size_t steps_bound(const SchedulerOptions& options, const Request& request);
// So many elders of other classes in a row make it a class's turn.
std::size_t elders_passed_max(const SchedulerOptions& options, ClassId id);
// Elders of other classes, one after the other, between two of this class while it has requests.
std::size_t elders_between_max(const SchedulerOptions& options, ClassId id);

}  // namespace millrace
