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

std::optional<int> take_signal(const sigset_t& set, Duration wait_max) {
  const auto whole = std::chrono::duration_cast<std::chrono::seconds>(wait_max);
  timespec wait{};
  wait.tv_sec = static_cast<time_t>(whole.count());
  wait.tv_nsec = static_cast<long>((wait_max - whole).count());
  const int signal = ::sigtimedwait(&set, nullptr, &wait);
  return signal > 0 ? std::optional<int>(signal) : std::nullopt;
}

// As if nobody had ever asked to be told: whoever started us sees by which signal we ended.
void end_by(int signal) {
  std::signal(signal, SIG_DFL);
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, signal);
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  ::raise(signal);
}

}  // namespace

SignalQueue::SignalQueue() {
  const sigset_t set = taken_signals();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

std::optional<int> SignalQueue::wait_for(Duration wait_max) {
  return take_signal(taken_signals(), wait_max);
}

SignalWatch::SignalWatch()
    : thread_([this] {
        constexpr Duration kLook = std::chrono::milliseconds(2);
        sigset_t ends = taken_signals();
        ::sigdelset(&ends, SIGHUP);
        while (!is_over_.load()) {
          if (const std::optional<int> signal = take_signal(ends, kLook)) end_by(*signal);
        }
      }) {}

SignalWatch::~SignalWatch() {
  is_over_.store(true);
  thread_.join();
}

}  // namespace millrace
