// Bounded queues by class, waits foretold from the pace, and many threads at the door.
#include "engine/admission.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace millrace {
namespace {

constexpr ClassId kFirst{0};
constexpr ClassId kSecond{1};

std::vector<ServiceClass> small_classes() {
  auto classes = default_service_classes();
  for (ServiceClass& service_class : classes) {
    service_class.queued_requests_max = 3;
    service_class.queued_tokens_max = 100;
  }
  return classes;
}

std::string message(const Status& status) {
  return status.ok() ? "" : status.error().message;
}

TEST(Admission, BoundsRequestsByClass) {
  Admission door(small_classes());
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(door.try_enter(kFirst, 10, {}).ok());
  const Status fourth = door.try_enter(kFirst, 10, {});
  EXPECT_EQ(fourth.error().code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(message(fourth),
            "class interactive has 3 requests waiting, at most 3 may; come back in 1.0 s");
  EXPECT_TRUE(door.try_enter(kSecond, 10, {}).ok());
  door.leave(kFirst, 10);
  EXPECT_TRUE(door.try_enter(kFirst, 10, {}).ok());
  EXPECT_EQ(door.num_requests(kFirst), 3u);
  EXPECT_EQ(door.num_tokens(kFirst), 30u);
}

TEST(Admission, BoundsTokensByClassButLetsOneLongPromptWait) {
  Admission door(small_classes());
  EXPECT_TRUE(door.try_enter(kFirst, 5000, {}).ok());
  EXPECT_EQ(message(door.try_enter(kFirst, 1, {})),
            "class interactive has 5000 tokens waiting and 1 more exceed 100; come back in 1.0 s");
  door.leave(kFirst, 5000);
  EXPECT_TRUE(door.try_enter(kFirst, 60, {}).ok());
  EXPECT_FALSE(door.try_enter(kFirst, 41, {}).ok());
  EXPECT_TRUE(door.try_enter(kFirst, 40, {}).ok());
}

TEST(Admission, RefusesWhatWouldWaitTooLong) {
  auto classes = small_classes();
  classes[1].queue_wait_max = std::chrono::seconds(4);
  Admission door(classes);
  ASSERT_TRUE(door.try_enter(kSecond, 50, {}).ok());
  EXPECT_EQ(door.wait(kSecond), Duration{0});  // not known yet
  door.note_pace(kSecond, 10);
  EXPECT_EQ(door.wait(kSecond), std::chrono::seconds(5));
  EXPECT_EQ(door.retry_after(kSecond), std::chrono::milliseconds(2500));
  EXPECT_EQ(message(door.try_enter(kSecond, 1, {})),
            "class background has a wait of 5.0 s, at most 4.0 s are allowed; come back in 2.5 s");
  door.note_pace(kSecond, 20);
  EXPECT_EQ(message(door.try_enter(kSecond, 1, std::chrono::seconds(1))),
            "class background has a wait of 2.5 s, the deadline is in 1.0 s; come back in 1.2 s");
  EXPECT_TRUE(door.try_enter(kSecond, 1, std::chrono::seconds(3)).ok());
  door.note_pace(kSecond, 1e-9);
  EXPECT_EQ(door.retry_after(kSecond), std::chrono::seconds(60));
}

TEST(Admission, ManyThreadsNeverExceedTheLimit) {
  Admission door(small_classes());
  std::atomic<int> num_inside{0};
  std::atomic<int> num_inside_max{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back([&] {
      for (int j = 0; j < 2000; ++j) {
        if (!door.try_enter(kFirst, 7, {}).ok()) continue;
        const int inside = ++num_inside;
        int most = num_inside_max;
        while (inside > most && !num_inside_max.compare_exchange_weak(most, inside)) {
        }
        --num_inside;
        door.leave(kFirst, 7);
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_LE(num_inside_max, 3);
  EXPECT_GE(num_inside_max, 1);
  EXPECT_EQ(door.num_requests(kFirst), 0u);
  EXPECT_EQ(door.num_tokens(kFirst), 0u);
}

}  // namespace
}  // namespace millrace
