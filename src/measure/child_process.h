// Another program, run to its end within limits: what it printed and how it ended.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace millrace {

struct ChildProcessOptions {
  std::vector<std::string> arguments;  // the program first, looked for in PATH without a slash
  Duration time_max = std::chrono::minutes(30);
  std::size_t output_bytes_max = 16u << 20;         // of each stream
  const std::atomic<bool>* is_cancelled = nullptr;  // looked at a few times per second
};

struct ChildOutput {
  std::string standard_output;
  std::string standard_error;
};

// Its standard input is empty. An error when the program cannot be started, exits with anything but
// 0 (the message ends in the last line that it printed on standard error), is killed by a signal,
// prints too much (kTooLarge), runs for too long (kDeadlineExceeded) or is cancelled (kCancelled);
// in the last three cases it and the processes of its group are killed.
Result<ChildOutput> run_child(const ChildProcessOptions& options);

}  // namespace millrace
