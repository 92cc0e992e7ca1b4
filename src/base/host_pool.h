// A few threads for work that must not hold up the threads of sockets and of the engine.
#pragma once

#include <cstddef>
#include <thread>
#include <vector>

#include "base/bounded_queue.h"
#include "base/unique_function.h"

namespace millrace {

struct HostPoolOptions {
  std::size_t num_threads = 1;
  std::size_t num_tasks_max = 1024;  // that wait; more are refused
};

// Runs tasks in the order in which they came, on so many threads: tokenising, templates, compiling
// grammars, writing answers. Any thread may push, tasks too. A task must end by itself.
class HostPool {
 public:
  using Task = UniqueFunction<void()>;

  explicit HostPool(const HostPoolOptions& options);
  // Runs what was accepted, then ends.
  ~HostPool();
  HostPool(const HostPool&) = delete;
  HostPool& operator=(const HostPool&) = delete;

  // False when so many wait already, or after close(); the task is then left with the caller.
  bool try_push(Task&& task) { return tasks_.try_push(std::move(task)); }
  // No new tasks from here on; what was accepted still runs.
  void close() { tasks_.close(); }
  // close(), and waits until what was accepted has run. By one thread that is not of the pool.
  void finish();

  std::size_t num_waiting() const { return tasks_.size(); }
  std::size_t num_threads() const { return threads_.size(); }

 private:
  void run_loop();

  BoundedQueue<Task> tasks_;
  std::vector<std::thread> threads_;
};

}  // namespace millrace
