// Signals taken in turn by one thread, instead of interrupting any.
#pragma once

#include <optional>

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

}  // namespace millrace
