// One thread per file takes lines from the queue and writes them in batches.
#include "observe/line_writer.h"

#include <fcntl.h>
#include <linux/limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace millrace {
namespace {

constexpr std::size_t kBatchBytesMax = 64 << 10;

Result<int> open_descriptor(const std::string& path) {
  int descriptor = -1;
  if (path == "-" || path == "-2") {
    descriptor = ::fcntl(path == "-" ? STDOUT_FILENO : STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
  } else {
    constexpr mode_t kReadableByGroup = 0640;
    // Without O_NONBLOCK a named pipe that nobody reads would hold us up here.
    constexpr int kFlags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    descriptor = ::open(path.c_str(), kFlags, kReadableByGroup);
  }
  if (descriptor >= 0) return descriptor;
  const ErrorCode code = errno == ENOENT   ? ErrorCode::kNotFound
                         : errno == EACCES ? ErrorCode::kPermissionDenied
                                           : ErrorCode::kUnavailable;
  return Error{code, "cannot open the log " + path + ": " + std::strerror(errno)};
}

bool is_regular_file(int descriptor) {
  struct stat status = {};
  return ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
}

}  // namespace

Result<std::unique_ptr<LineWriter>> LineWriter::open(const LineWriterOptions& options) {
  const int descriptor = TRY(open_descriptor(options.path));
  return std::unique_ptr<LineWriter>(new LineWriter(options, descriptor));
}

LineWriter::LineWriter(const LineWriterOptions& options, int descriptor)
    : lines_(options.queued_lines_max),
      path_(options.path),
      descriptor_(descriptor),
      is_regular_(is_regular_file(descriptor)),
      thread_([this] { run_loop(); }) {}

LineWriter::~LineWriter() {
  is_closing_.store(true);
  lines_.close();
  thread_.join();
  ::close(descriptor_);
}

bool LineWriter::try_write(std::string line) {
  if (lines_.try_push(std::move(line))) return true;
  num_dropped_.fetch_add(1, std::memory_order_relaxed);
  return false;
}

void LineWriter::reopen() {
  reopen_asked_.store(true);
}

void LineWriter::reopen(const std::string& path) {
  {
    const std::lock_guard lock(path_mutex_);
    path_ = path;
  }
  reopen();
}

void LineWriter::run_loop() {
  // A reader that went away is an error of write(), not a signal.
  sigset_t pipe_signal;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &pipe_signal, nullptr);

  for (;;) {
    std::optional<std::string> line = lines_.pop();
    reopen_if_asked();
    if (!line) return;
    while (line) {
      batch_ += *line;
      batch_ += '\n';
      ++num_in_batch_;
      if (batch_.size() >= kBatchBytesMax) break;
      line = lines_.try_pop();
    }
    write_batch();
  }
}

void LineWriter::reopen_if_asked() {
  if (!reopen_asked_.exchange(false)) return;
  std::string path;
  {
    const std::lock_guard lock(path_mutex_);
    path = path_;
  }
  const Result<int> fresh = open_descriptor(path);
  if (!fresh.ok()) {
    num_reopens_failed_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  ::close(descriptor_);
  descriptor_ = fresh.value();
  is_regular_ = is_regular_file(descriptor_);
  is_mid_line_ = false;
}

void LineWriter::write_batch() {
  if (is_mid_line_) is_mid_line_ = write_some("\n") == 0;
  const std::size_t num_bytes = is_mid_line_ ? 0 : write_some(batch_);
  const auto end = batch_.begin() + static_cast<std::ptrdiff_t>(num_bytes);
  const auto num_whole = static_cast<std::uint64_t>(std::count(batch_.begin(), end, '\n'));
  if (num_bytes > 0 && batch_[num_bytes - 1] != '\n') is_mid_line_ = true;
  num_written_.fetch_add(num_whole, std::memory_order_relaxed);
  num_failed_.fetch_add(num_in_batch_ - num_whole, std::memory_order_relaxed);
  batch_.clear();
  num_in_batch_ = 0;
}

std::size_t LineWriter::write_some(std::string_view text) {
  std::size_t num_done = 0;
  while (num_done < text.size()) {
    // What is no file may be read slowly: a pipe that polls as ready takes this much at once.
    const std::size_t num_left = text.size() - num_done;
    const std::size_t piece = is_regular_ ? num_left : std::min<std::size_t>(num_left, PIPE_BUF);
    if (!is_regular_ && !wait_for_room()) break;
    const ssize_t num_written = ::write(descriptor_, text.data() + num_done, piece);
    if (num_written < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (num_written <= 0) break;
    num_done += static_cast<std::size_t>(num_written);
  }
  return num_done;
}

bool LineWriter::wait_for_room() const {
  constexpr int kPollMilliseconds = 100;
  constexpr int kPollsWhenClosing = 10;
  for (int num_polls = 0;;) {
    pollfd entry = {.fd = descriptor_, .events = POLLOUT, .revents = 0};
    if (::poll(&entry, 1, kPollMilliseconds) > 0)
      return true;  // Or an error that write() will say.
    if (is_closing_.load() && ++num_polls >= kPollsWhenClosing) return false;
  }
}

}  // namespace millrace
