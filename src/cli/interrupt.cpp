// The handler of SIGINT.
#include "cli/interrupt.h"

#include <unistd.h>

#include <csignal>

#include "cli/exit_code.h"

namespace millrace {
namespace {

static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may touch it");

void on_interrupt(int) {
  if (interrupt_flag().exchange(true)) ::_exit(static_cast<int>(ExitCode::kInterrupted));
}

}  // namespace

std::atomic<bool>& interrupt_flag() {
  static std::atomic<bool> flag{false};
  return flag;
}

void catch_interrupts() {
  interrupt_flag().store(false);
  std::signal(SIGINT, on_interrupt);
}

}  // namespace millrace
