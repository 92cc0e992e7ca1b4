// Signals taken in turn by one thread, instead of interrupting any.
#pragma once

#include <atomic>
#include <optional>
#include <thread>

#include "base/clock.h"

namespace millrace {

// From its construction on SIGINT, SIGTERM and SIGHUP wait to be taken, in every thread that is
// made later; SIGPIPE is ignored. One per process, before other threads.
class SignalQueue {
 public:
  SignalQueue();
  // The next signal; nothing when none came in time.
  std::optional<int> wait_for(Duration wait_max);
};

// While it lives SIGINT and SIGTERM end the process at once, as without a queue: there is nothing
// yet that could be finished. SIGHUP goes on waiting for the queue.
class SignalWatch {
 public:
  SignalWatch();  // Once there is a queue.
  ~SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

 private:
  std::atomic<bool> is_over_{false};
  std::thread thread_;  // Waits for signals while the one that made it loads models.
};

}  // namespace millrace
