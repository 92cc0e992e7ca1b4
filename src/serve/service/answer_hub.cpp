// One lock per step on the engine's side, one pass over the changed streams on ours.
#include "serve/service/answer_hub.h"

#include <algorithm>
#include <utility>

namespace millrace {

AnswerHub::AnswerHub(std::size_t num_streams) : pool_({.num_threads = 1, .num_tasks_max = 2}) {
  changed_.reserve(2 * num_streams);
  draining_.reserve(2 * num_streams);
}

AnswerHub::~AnswerHub() = default;

std::uint64_t AnswerHub::next_watch() {
  const std::lock_guard lock(mutex_);
  return ++num_watches_;
}

void AnswerHub::add(std::uint64_t watch, std::shared_ptr<AnswerTask> task) {
  {
    const std::lock_guard lock(mutex_);
    tasks_.emplace(watch, std::move(task));
  }
  notify(watch);
}

void AnswerHub::stop() {
  pool_.finish();
  std::unordered_map<std::uint64_t, std::shared_ptr<AnswerTask>> tasks;  // go outside the lock
  const std::lock_guard lock(mutex_);
  tasks.swap(tasks_);
}

std::size_t AnswerHub::num_tasks() const {
  const std::lock_guard lock(mutex_);
  return tasks_.size();
}

// One task at a time is on its way, so the pool has room; it refuses only once the hub is ending.
void AnswerHub::streams_changed(std::span<const std::uint64_t> watches) {
  {
    const std::lock_guard lock(mutex_);
    changed_.insert(changed_.end(), watches.begin(), watches.end());
    if (std::exchange(is_scheduled_, true)) return;
  }
  pool_.try_push([this] { drain(); });
}

void AnswerHub::drain() {
  for (;;) {
    {
      const std::lock_guard lock(mutex_);
      draining_.clear();
      draining_.swap(changed_);
      if (draining_.empty()) {
        is_scheduled_ = false;
        return;
      }
      std::sort(draining_.begin(), draining_.end());
      draining_.erase(std::unique(draining_.begin(), draining_.end()), draining_.end());
      // Whoever is not there (any more) has no use for news.
      std::erase_if(draining_, [&](std::uint64_t watch) { return tasks_.count(watch) == 0; });
      for (const std::uint64_t watch : draining_) due_.push_back(tasks_[watch]);
    }
    for (std::size_t i = 0; i < due_.size(); ++i) {
      if (!due_[i]->pump()) continue;
      const std::lock_guard lock(mutex_);
      tasks_.erase(draining_[i]);
    }
    due_.clear();  // What ended goes here, outside the lock.
  }
}

}  // namespace millrace
