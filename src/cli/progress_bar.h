// A bar on the terminal for work that takes more than a moment.
#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"

namespace millrace {

// Draws on stderr, only when that is a terminal, at most ten times a second, and only once the work
// has taken half a second. The line is wiped when the bar dies. One thread.
class ProgressBar {
 public:
  explicit ProgressBar(std::string label);
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void update(std::uint64_t done, std::uint64_t total);

 private:
  void draw(std::uint64_t done, std::uint64_t total);

  std::string label_;
  SystemClock clock_;
  TimePoint started_;
  TimePoint drawn_;
  bool is_terminal_;
  bool is_shown_ = false;
};

}  // namespace millrace
