// Limits of the options, and the bounds that follow from them.
#include "engine/scheduler_options.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "base/check.h"
#include "base/checked.h"

namespace millrace {
namespace {

// A class waits at most so many times the interval that its share gives.
constexpr double kTurnsPassedFactor = 4.0;

Status check_count(const char* name, std::size_t found, std::size_t min, std::size_t max) {
  if (found >= min && found <= max) return Ok{};
  return Error{ErrorCode::kInvalidArgument, std::string(name) + " is " + std::to_string(found) +
                                                ", expected " + std::to_string(min) + " to " +
                                                std::to_string(max)};
}

}  // namespace

Status check_options(const SchedulerOptions& options) {
  constexpr std::size_t kCountMax = 1 << 20;
  TRY(check_count("num_requests_max", options.num_requests_max, 1, kCountMax));
  TRY(check_count("num_sequences_max", options.num_sequences_max, 1, kCountMax));
  TRY(check_count("step_tokens_max", options.step_tokens_max, options.num_sequences_max,
                  kCountMax));
  TRY(check_count("chunk_tokens_max", options.chunk_tokens_max, 1, kCountMax));
  TRY(check_count("block_tokens", options.block_tokens, 1, kCountMax));
  TRY(check_count("prompt_tokens_min", options.prompt_tokens_min, 1, kCountMax));
  TRY(check_count("reclaim_steps", options.reclaim_steps, 1, kCountMax));
  TRY(check_classes(options.classes));
  TRY(check_hot_options(options.hot));
  if (!options.controller) return Ok{};
  if (options.controller->interval <= Duration{0}) {
    return Error{ErrorCode::kInvalidArgument,
                 "interval of the share controller is 0, expected more"};
  }
  if (!(options.controller->step > 0 && options.controller->step < 1)) {
    return Error{ErrorCode::kInvalidArgument, "step of the share controller is " +
                                                  std::to_string(options.controller->step) +
                                                  ", expected between 0 and 1"};
  }
  return Ok{};
}

std::size_t elder_tokens(const SchedulerOptions& options) {
  return std::min({options.prompt_tokens_min, options.chunk_tokens_max,
                   options.step_tokens_max - options.num_sequences_max + 1});
}

std::size_t steps_bound(const SchedulerOptions& options, const Request& request) {
  const std::size_t num_tokens = request.prompt.size() + *request.max_tokens;
  const std::size_t num_steps =
      static_cast<std::size_t>(ceil_div(num_tokens, elder_tokens(options))) + *request.max_tokens;
  if (options.loop == StepLoop::kSerial) return num_steps;
  // Its end is known one step later; and with a constraint each token waits for the one before to
  // be applied, which may be every second step.
  return num_steps + 1 + (request.constraint == nullptr ? 0 : *request.max_tokens);
}

std::size_t elders_passed_max(const SchedulerOptions& options, ClassId id) {
  CHECK(id.index < options.classes.size());
  const double interval = std::ceil(1.0 / share_parts(options.classes)[id.index]);
  return static_cast<std::size_t>(kTurnsPassedFactor * interval);
}

std::size_t elders_between_max(const SchedulerOptions& options, ClassId id) {
  const std::size_t num_others = options.classes.size() - 1;
  if (num_others == 0) return 0;
  // Those of the others that are overdue longer go first, once each, but not the last one served.
  return elders_passed_max(options, id) + num_others - 1;
}

}  // namespace millrace
