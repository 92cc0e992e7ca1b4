// posix_spawn with two pipes, read until both close.
#include "measure/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

extern char** environ;

namespace millrace {
namespace {

constexpr int kPollMs = 100;

// The reading end of a pipe and what came through it.
struct Stream {
  int descriptor = -1;
  std::string text;
  bool is_open = true;
};

// Two pipes; every end that is still ours is closed at the end.
struct Pipes {
  std::array<int, 2> output = {-1, -1};
  std::array<int, 2> error = {-1, -1};

  Pipes() = default;
  Pipes(const Pipes&) = delete;
  Pipes& operator=(const Pipes&) = delete;
  ~Pipes() {
    for (int* end : {&output[0], &output[1], &error[0], &error[1]}) close_end(*end);
  }
  bool open() {
    return ::pipe2(output.data(), O_CLOEXEC) == 0 && ::pipe2(error.data(), O_CLOEXEC) == 0;
  }
  static void close_end(int& end) {
    if (end >= 0) ::close(end);
    end = -1;
  }
};

Result<pid_t> spawn(const std::vector<std::string>& arguments, const Pipes& pipes) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, pipes.output[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, pipes.error[1], STDERR_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  // A group of its own, so that what it starts can be killed with it.
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  posix_spawnattr_setpgroup(&attributes, 0);
  std::vector<char*> values;
  for (const std::string& argument : arguments)
    values.push_back(const_cast<char*>(argument.c_str()));
  values.push_back(nullptr);
  pid_t child = 0;
  const int failure =
      ::posix_spawnp(&child, values[0], &actions, &attributes, values.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (failure == 0) return child;
  return Error{failure == ENOENT ? ErrorCode::kNotFound : ErrorCode::kUnavailable,
               arguments.front() + " cannot be started: " + std::strerror(failure)};
}

// What ends the reading early.
std::optional<Error> should_stop(const ChildProcessOptions& options, TimePoint now, TimePoint end) {
  if (options.is_cancelled != nullptr && options.is_cancelled->load()) {
    return Error{ErrorCode::kCancelled, "interrupted"};
  }
  if (now < end) return std::nullopt;
  return Error{ErrorCode::kDeadlineExceeded,
               options.arguments.front() + " was still running after " +
                   std::to_string(static_cast<long>(seconds(options.time_max))) + " s"};
}

// Reads what is there; false when the stream holds more than it may.
bool read_some(Stream& stream, std::size_t bytes_max) {
  std::array<char, 65536> buffer;
  const ssize_t count = ::read(stream.descriptor, buffer.data(), buffer.size());
  if (count < 0) return errno == EINTR || errno == EAGAIN;
  if (count == 0) stream.is_open = false;
  stream.text.append(buffer.data(), static_cast<std::size_t>(count));
  return stream.text.size() <= bytes_max;
}

Status read_all(const ChildProcessOptions& options, Stream& output, Stream& error) {
  const SystemClock clock;
  const TimePoint end = clock.now() + options.time_max;
  while (output.is_open || error.is_open) {
    if (auto stop = should_stop(options, clock.now(), end)) return std::move(*stop);
    std::array<pollfd, 2> polled = {pollfd{output.is_open ? output.descriptor : -1, POLLIN, 0},
                                    pollfd{error.is_open ? error.descriptor : -1, POLLIN, 0}};
    if (::poll(polled.data(), polled.size(), kPollMs) <= 0) continue;
    for (Stream* stream : {&output, &error}) {
      const pollfd& state = polled[stream == &output ? 0 : 1];
      if (state.revents == 0 || read_some(*stream, options.output_bytes_max)) continue;
      return Error{ErrorCode::kTooLarge, options.arguments.front() + " printed more than " +
                                             std::to_string(options.output_bytes_max) + " bytes"};
    }
  }
  return Ok{};
}

// The child closed its streams; it may still take a moment, or for ever.
Result<int> wait_for(const ChildProcessOptions& options, pid_t child) {
  const SystemClock clock;
  const TimePoint end = clock.now() + options.time_max;
  while (true) {
    int state = 0;
    const pid_t found = ::waitpid(child, &state, WNOHANG);
    if (found == child) return state;
    if (auto stop = should_stop(options, clock.now(), end)) return std::move(*stop);
    ::poll(nullptr, 0, 1);
  }
}

std::string last_line(const std::string& text) {
  const std::size_t end = text.find_last_not_of("\n\r ");
  if (end == std::string::npos) return "";
  const std::size_t begin = text.find_last_of('\n', end);
  constexpr std::size_t kShown = 300;
  return text.substr(begin == std::string::npos ? 0 : begin + 1,
                     std::min(kShown, end - (begin == std::string::npos ? 0 : begin + 1) + 1));
}

Status check_end(const ChildProcessOptions& options, int state, const std::string& error_text) {
  if (WIFEXITED(state) && WEXITSTATUS(state) == 0) return Ok{};
  std::string message = options.arguments.front();
  message += WIFEXITED(state) ? " exited with " + std::to_string(WEXITSTATUS(state))
                              : " was killed by signal " + std::to_string(WTERMSIG(state));
  const std::string line = last_line(error_text);
  if (!line.empty()) message += ": " + line;
  return Error{ErrorCode::kUnavailable, std::move(message)};
}

}  // namespace

Result<ChildOutput> run_child(const ChildProcessOptions& options) {
  CHECK(!options.arguments.empty());
  Pipes pipes;
  if (!pipes.open()) {
    return Error{ErrorCode::kUnavailable,
                 std::string("no pipe to be had: ") + std::strerror(errno)};
  }
  const pid_t child = TRY(spawn(options.arguments, pipes));
  Pipes::close_end(pipes.output[1]);
  Pipes::close_end(pipes.error[1]);
  Stream output{.descriptor = pipes.output[0], .text = {}};
  Stream error{.descriptor = pipes.error[0], .text = {}};
  Status read = read_all(options, output, error);
  Result<int> state = read.ok() ? wait_for(options, child) : Result<int>(read.error());
  if (!state.ok()) {
    ::kill(-child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    return std::move(state).error();
  }
  TRY(check_end(options, state.value(), error.text));
  return ChildOutput{.standard_output = std::move(output.text),
                     .standard_error = std::move(error.text)};
}

}  // namespace millrace
