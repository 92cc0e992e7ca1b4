// Lines on their way to a file: whoever writes one never waits, and a full disk ends nothing.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "base/bounded_queue.h"
#include "base/result.h"

namespace millrace {

struct LineWriterOptions {
  std::string path;  // "-": standard output, "-2": standard error
  std::size_t queued_lines_max = 8192;
};

// Any thread may call any method. A line that finds the queue full is dropped and counted; one that
// the disk does not take is counted too, and the next one is tried again, so that the log goes on
// when there is room again. Lines reach the file whole, in the order in which they came; where a
// write broke off in a line, the next begins on a fresh one.
class LineWriter {
 public:
  // kUnavailable, kNotFound or kPermissionDenied when the file cannot be opened.
  static Result<std::unique_ptr<LineWriter>> open(const LineWriterOptions& options);
  // Writes what waits, but no longer than a second against a reader that does not read.
  ~LineWriter();
  LineWriter(const LineWriter&) = delete;
  LineWriter& operator=(const LineWriter&) = delete;

  // Without its line end. False: dropped.
  bool try_write(std::string line);

  // Opens the file anew, for whoever rotates logs: renames it, then asks for this. The thread that
  // writes does it before its next line; where it cannot, it goes on with the old file.
  void reopen();
  // The same with another path.
  void reopen(const std::string& path);

  std::uint64_t num_written() const { return num_written_.load(std::memory_order_relaxed); }
  std::uint64_t num_dropped() const { return num_dropped_.load(std::memory_order_relaxed); }
  // Lines that could not be written: disk full, reader gone.
  std::uint64_t num_failed() const { return num_failed_.load(std::memory_order_relaxed); }
  // Times that reopen could not open the file.
  std::uint64_t num_reopens_failed() const {
    return num_reopens_failed_.load(std::memory_order_relaxed);
  }

 private:
  LineWriter(const LineWriterOptions& options, int descriptor);
  void run_loop();
  void reopen_if_asked();
  void write_batch();
  std::size_t write_some(std::string_view text);  // bytes that were taken
  bool wait_for_room() const;

  BoundedQueue<std::string> lines_;
  std::atomic<bool> is_closing_{false};
  std::atomic<bool> reopen_asked_{false};
  std::atomic<std::uint64_t> num_written_{0};
  std::atomic<std::uint64_t> num_dropped_{0};
  std::atomic<std::uint64_t> num_failed_{0};
  std::atomic<std::uint64_t> num_reopens_failed_{0};

  std::mutex path_mutex_;  // Guards path_.
  std::string path_;

  // The thread that writes.
  int descriptor_;
  bool is_regular_ = false;
  bool is_mid_line_ = false;
  std::string batch_;
  std::size_t num_in_batch_ = 0;
  std::thread thread_;
};

}  // namespace millrace
