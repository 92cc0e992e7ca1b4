// The door of the engine: bounded queues by class, and the refusal of what could not be met.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "engine/service_class.h"

namespace millrace {

inline constexpr Duration kRetryAfterMin = std::chrono::seconds(1);
inline constexpr Duration kRetryAfterMax = std::chrono::seconds(60);

// Why requests were refused at the door.
enum class RefusalReason : std::uint8_t {
  kEngineFull,  // too many are live in the model, whatever their class
  kRequests,    // the class's queue has as many as it may
  kTokens,      // … or as many tokens
  kWait,        // it would outlast queue_wait_max
  kDeadline,    // … or the request's own time
};
inline constexpr std::size_t kRefusalReasons = 5;
using RefusalCounts = std::array<std::uint64_t, kRefusalReasons>;  // by RefusalReason

// Counts who waits to run for the first time, in requests and in tokens of their prompts, and
// foretells how long that takes from the pace at which prompts of the class began to run lately.
// Any thread may enter; whoever entered leaves once, when it runs or ends.
class Admission {
 public:
  explicit Admission(const std::vector<ServiceClass>& classes);

  // kResourceExhausted, naming what was found, the limit and when to come back, when the queue is
  // full or the wait would outlast the class's queue_wait_max or `time_left`.
  Status try_enter(ClassId id, std::size_t num_tokens, std::optional<Duration> time_left);
  void leave(ClassId id, std::size_t num_tokens);

  // By the engine thread, after a step.
  void note_pace(ClassId id, double tokens_per_second);

  // How long a request that comes now would wait; 0 while the pace is not known.
  Duration wait(ClassId id) const;
  // When a refused client may try again: when half of what waits has started, kRetryAfterMin to
  // kRetryAfterMax.
  Duration retry_after(ClassId id) const;
  // The same classes with other limits, from here on.
  void set_classes(const std::vector<ServiceClass>& classes);
  // That may wait in this class.
  std::size_t num_requests_max(ClassId id) const;

  std::size_t num_requests(ClassId id) const;
  std::size_t num_tokens(ClassId id) const;

  // One that was refused before it came to its class's queue.
  void note_refusal(ClassId id, RefusalReason why);
  RefusalCounts refusals(ClassId id) const;

 private:
  struct Queue {
    std::atomic<std::size_t> num_requests{0};
    std::atomic<std::size_t> num_tokens{0};
    std::atomic<double> tokens_per_second{0};
    std::array<std::atomic<std::uint64_t>, kRefusalReasons> num_refused{};
  };

  Error refuse(ClassId id, RefusalReason why, const std::string& text);
  Status check_wait(ClassId id, std::optional<Duration> time_left);

  using Classes = std::shared_ptr<const std::vector<ServiceClass>>;  // shared with calls under way
  Classes classes() const;

  const std::size_t num_classes_;
  mutable std::mutex mutex_;  // Guards classes_.
  Classes classes_;
  std::unique_ptr<Queue[]> queues_;  // atomics do not move
};

}  // namespace millrace
