// Counting at the door, without a lock: who finds the queue full steps back.
#include "engine/admission.h"

#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>

#include "base/check.h"

namespace millrace {
namespace {

std::string text_of(Duration duration) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f s", seconds(duration));
  return text;
}

}  // namespace

Admission::Admission(const std::vector<ServiceClass>& classes)
    : num_classes_(classes.size()),
      classes_(std::make_shared<const std::vector<ServiceClass>>(classes)),
      queues_(std::make_unique<Queue[]>(classes.size())) {}

Admission::Classes Admission::classes() const {
  const std::lock_guard lock(mutex_);
  return classes_;
}

void Admission::set_classes(const std::vector<ServiceClass>& classes) {
  CHECK(classes.size() == num_classes_);
  auto fresh = std::make_shared<const std::vector<ServiceClass>>(classes);
  const std::lock_guard lock(mutex_);
  classes_ = std::move(fresh);
}

std::size_t Admission::num_requests_max(ClassId id) const {
  CHECK(id.index < num_classes_);
  return (*classes())[id.index].queued_requests_max;
}

void Admission::note_refusal(ClassId id, RefusalReason why) {
  CHECK(id.index < num_classes_);
  auto& count = queues_[id.index].num_refused[static_cast<std::size_t>(why)];
  count.fetch_add(1, std::memory_order_relaxed);
}

RefusalCounts Admission::refusals(ClassId id) const {
  CHECK(id.index < num_classes_);
  RefusalCounts counts{};
  for (std::size_t i = 0; i < kRefusalReasons; ++i) {
    counts[i] = queues_[id.index].num_refused[i].load(std::memory_order_relaxed);
  }
  return counts;
}

Error Admission::refuse(ClassId id, RefusalReason why, const std::string& text) {
  note_refusal(id, why);
  return {ErrorCode::kResourceExhausted, "class " + (*classes())[id.index].name + " " + text +
                                             "; come back in " + text_of(retry_after(id))};
}

Status Admission::try_enter(ClassId id, std::size_t num_tokens, std::optional<Duration> time_left) {
  CHECK(id.index < num_classes_);
  TRY(check_wait(id, time_left));
  const Classes classes = this->classes();
  const ServiceClass& service_class = (*classes)[id.index];
  Queue& queue = queues_[id.index];
  const std::size_t requests_before = queue.num_requests.fetch_add(1, std::memory_order_relaxed);
  const std::size_t tokens_before =
      queue.num_tokens.fetch_add(num_tokens, std::memory_order_relaxed);
  if (requests_before >= service_class.queued_requests_max) {
    leave(id, num_tokens);
    return refuse(id, RefusalReason::kRequests,
                  "has " + std::to_string(requests_before) + " requests waiting, at most " +
                      std::to_string(service_class.queued_requests_max) + " may");
  }
  // A prompt that is longer than the limit may still wait alone.
  if (requests_before > 0 && tokens_before + num_tokens > service_class.queued_tokens_max) {
    leave(id, num_tokens);
    return refuse(id, RefusalReason::kTokens,
                  "has " + std::to_string(tokens_before) + " tokens waiting and " +
                      std::to_string(num_tokens) + " more exceed " +
                      std::to_string(service_class.queued_tokens_max));
  }
  return Ok{};
}

Status Admission::check_wait(ClassId id, std::optional<Duration> time_left) {
  const Duration expected = wait(id);
  const std::optional<Duration> wait_max = (*classes())[id.index].queue_wait_max;
  if (wait_max && expected > *wait_max) {
    return refuse(
        id, RefusalReason::kWait,
        "has a wait of " + text_of(expected) + ", at most " + text_of(*wait_max) + " are allowed");
  }
  // One whose time has passed ends by itself, without a step.
  if (time_left && *time_left > Duration{0} && expected > *time_left) {
    return refuse(
        id, RefusalReason::kDeadline,
        "has a wait of " + text_of(expected) + ", the deadline is in " + text_of(*time_left));
  }
  return Ok{};
}

void Admission::leave(ClassId id, std::size_t num_tokens) {
  CHECK(id.index < num_classes_);
  Queue& queue = queues_[id.index];
  CHECK(queue.num_requests.fetch_sub(1, std::memory_order_relaxed) > 0);
  CHECK(queue.num_tokens.fetch_sub(num_tokens, std::memory_order_relaxed) >= num_tokens);
}

void Admission::note_pace(ClassId id, double tokens_per_second) {
  CHECK(id.index < num_classes_);
  queues_[id.index].tokens_per_second.store(tokens_per_second, std::memory_order_relaxed);
}

Duration Admission::wait(ClassId id) const {
  CHECK(id.index < num_classes_);
  const Queue& queue = queues_[id.index];
  const double pace = queue.tokens_per_second.load(std::memory_order_relaxed);
  if (pace <= 0) return Duration{0};
  constexpr double kSecondsMax = 1e6;
  const auto tokens = static_cast<double>(queue.num_tokens.load(std::memory_order_relaxed));
  return std::chrono::duration_cast<Duration>(
      std::chrono::duration<double>(std::min(tokens / pace, kSecondsMax)));
}

Duration Admission::retry_after(ClassId id) const {
  return std::clamp(wait(id) / 2, kRetryAfterMin, kRetryAfterMax);
}

std::size_t Admission::num_requests(ClassId id) const {
  CHECK(id.index < num_classes_);
  return queues_[id.index].num_requests.load(std::memory_order_relaxed);
}

std::size_t Admission::num_tokens(ClassId id) const {
  CHECK(id.index < num_classes_);
  return queues_[id.index].num_tokens.load(std::memory_order_relaxed);
}

}  // namespace millrace
