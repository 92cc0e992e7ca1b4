// The threads of a HostPool.
#include "base/host_pool.h"

#include <optional>

#include "base/check.h"

namespace millrace {

HostPool::HostPool(const HostPoolOptions& options) : tasks_(options.num_tasks_max) {
  CHECK(options.num_threads > 0);
  threads_.reserve(options.num_threads);
  for (std::size_t i = 0; i < options.num_threads; ++i) {
    threads_.emplace_back([this] { run_loop(); });
  }
}

HostPool::~HostPool() {
  finish();
}

void HostPool::finish() {
  close();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void HostPool::run_loop() {
  while (std::optional<Task> task = tasks_.pop()) (*task)();
}

}  // namespace millrace
