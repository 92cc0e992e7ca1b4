// The only source of time: a real clock and one that tests and the simulator turn by hand.
#pragma once

#include <chrono>

namespace millrace {

using TimePoint = std::chrono::time_point<std::chrono::steady_clock, std::chrono::nanoseconds>;
using Duration = std::chrono::nanoseconds;

// Monotonic; never goes back. Any thread may call now().
class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint now() const = 0;
};

class SystemClock final : public Clock {
 public:
  TimePoint now() const override { return std::chrono::steady_clock::now(); }
};

// Stands still until advanced. One thread only.
class ManualClock final : public Clock {
 public:
  TimePoint now() const override { return now_; }
  void advance(Duration by) { now_ += by; }

 private:
  TimePoint now_{};
};

inline double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace millrace
