// Tasks all run, in order where one thread runs them, and are refused when too many wait.
#include "base/host_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

namespace millrace {
namespace {

// Holds tasks back until it is opened.
class Gate {
 public:
  void open() {
    {
      const std::lock_guard lock(mutex_);
      is_open_ = true;
    }
    changed_.notify_all();
  }
  void pass() {
    std::unique_lock lock(mutex_);
    is_waited_for_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return is_open_; });
  }
  void await_visitor() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return is_waited_for_; });
  }

 private:
  std::mutex mutex_;  // Guards what follows.
  std::condition_variable changed_;
  bool is_open_ = false;
  bool is_waited_for_ = false;
};

TEST(HostPool, OneThreadRunsTasksInOrder) {
  std::vector<int> order;
  {
    HostPool pool({.num_threads = 1, .num_tasks_max = 100});
    for (int i = 0; i < 100; ++i) {
      HostPool::Task task = [&order, i] { order.push_back(i); };
      while (!pool.try_push(std::move(task))) std::this_thread::yield();
    }
  }
  ASSERT_EQ(order.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
}

TEST(HostPool, RefusesWhenFullAndLeavesTheTaskWithItsOwner) {
  Gate gate;
  std::atomic<int> num_run{0};
  HostPool pool({.num_threads = 1, .num_tasks_max = 2});
  ASSERT_TRUE(pool.try_push([&] { gate.pass(); }));
  gate.await_visitor();
  ASSERT_TRUE(pool.try_push([&] { ++num_run; }));
  ASSERT_TRUE(pool.try_push([&] { ++num_run; }));
  HostPool::Task third = [&, owned = std::make_unique<int>(3)] { num_run += *owned; };
  EXPECT_FALSE(pool.try_push(std::move(third)));
  ASSERT_TRUE(static_cast<bool>(third));
  EXPECT_EQ(pool.num_waiting(), 2u);
  gate.open();
  while (!pool.try_push(std::move(third))) std::this_thread::yield();
  while (num_run.load() < 5) std::this_thread::yield();
  EXPECT_EQ(num_run.load(), 5);
}

TEST(HostPool, DestructionRunsWhatWasAccepted) {
  std::atomic<int> num_run{0};
  {
    HostPool pool({.num_threads = 3, .num_tasks_max = 1000});
    for (int i = 0; i < 1000; ++i) ASSERT_TRUE(pool.try_push([&] { ++num_run; }));
  }
  EXPECT_EQ(num_run.load(), 1000);
}

TEST(HostPool, TakesNothingOnceClosed) {
  HostPool pool({});
  pool.close();
  EXPECT_FALSE(pool.try_push([] {}));
}

TEST(HostPool, TasksMayPushTasks) {
  std::atomic<bool> has_run{false};
  HostPool pool({});
  ASSERT_TRUE(pool.try_push([&] { EXPECT_TRUE(pool.try_push([&] { has_run = true; })); }));
  while (!has_run.load()) std::this_thread::yield();
}

}  // namespace
}  // namespace millrace
