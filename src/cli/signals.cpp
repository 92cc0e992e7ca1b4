// Blocking signals and waiting for them.
#include "cli/signals.h"

#include <csignal>
#include <ctime>

namespace millrace {
namespace {

sigset_t taken_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) ::sigaddset(&set, signal);
  return set;
}

}  // namespace

SignalQueue::SignalQueue() {
  const sigset_t set = taken_signals();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

std::optional<int> SignalQueue::wait_for(Duration wait_max) {
  const sigset_t set = taken_signals();
  const auto whole = std::chrono::duration_cast<std::chrono::seconds>(wait_max);
  timespec wait{};
  wait.tv_sec = static_cast<time_t>(whole.count());
  wait.tv_nsec = static_cast<long>((wait_max - whole).count());
  const int signal = ::sigtimedwait(&set, nullptr, &wait);
  return signal > 0 ? std::optional<int>(signal) : std::nullopt;
}

}  // namespace millrace
