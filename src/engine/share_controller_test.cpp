// Decisions of the controller: who gets, within which bounds, and what it says about it.
#include "engine/share_controller.h"

#include <gtest/gtest.h>

#include <array>
#include <numeric>
#include <optional>
#include <vector>

#include "base/random.h"

namespace millrace {
namespace {

constexpr ClassObservation kCalm{.num_waiting = 0, .response_ratio = 0.3, .queue_ratio = 0};
constexpr ClassObservation kLate{.num_waiting = 12, .response_ratio = 1.8, .queue_ratio = 1.5};
constexpr ClassObservation kQueued{.num_waiting = 40, .response_ratio = 0.5, .queue_ratio = 3};

class ShareControllerTest : public ::testing::Test {
 protected:
  ShareControllerTest() { decide({}, {}); }

  std::optional<ShareDecision> decide(ClassObservation interactive, ClassObservation background) {
    now_ += std::chrono::seconds(1);
    const std::array<ClassObservation, 2> observations = {interactive, background};
    EXPECT_TRUE(controller_.is_due(now_));
    return controller_.decide(now_, observations);
  }

  const std::vector<ServiceClass> classes_ = default_service_classes();
  TimePoint now_{};
  ShareController controller_{{}, classes_};
};

TEST_F(ShareControllerTest, GivesToWhoIsLateUpToTheBounds) {
  const std::optional<ShareDecision> decision = decide(kLate, kCalm);
  ASSERT_TRUE(decision.has_value());
  EXPECT_EQ(decision->reason, ShareReason::kLate);
  EXPECT_EQ(decision->to, ClassId{0});
  EXPECT_NEAR(controller_.parts()[0], 0.75, 1e-9);
  EXPECT_EQ(describe(*decision, classes_),
            "moved 0.05 of all from background to interactive, which has 0.75 now: first tokens "
            "take 1.8 x their target, 12 wait, the queue 1.5 x; background 0.3 x");
  for (int i = 0; i < 20; ++i) decide(kLate, kCalm);
  EXPECT_NEAR(controller_.parts()[0], 0.9, 1e-9);
  EXPECT_NEAR(controller_.parts()[1], 0.1, 1e-9);
  EXPECT_FALSE(decide(kLate, kCalm).has_value());
}

TEST_F(ShareControllerTest, ALongQueueIsAReasonBeforeAnybodyIsLate) {
  const std::optional<ShareDecision> decision = decide(kCalm, kQueued);
  ASSERT_TRUE(decision.has_value());
  EXPECT_EQ(decision->reason, ShareReason::kQueue);
  EXPECT_EQ(decision->to, ClassId{1});
  EXPECT_NEAR(controller_.parts()[1], 0.35, 1e-9);
}

TEST_F(ShareControllerTest, TwoThatAreLateKeepWhatTheyHave) {
  EXPECT_FALSE(decide(kLate, kLate).has_value());
  EXPECT_NEAR(controller_.parts()[0], 0.7, 1e-9);
}

TEST_F(ShareControllerTest, GoesBackWhenNobodyIsPressed) {
  decide(kLate, kCalm);
  decide(kLate, kCalm);
  const std::optional<ShareDecision> decision = decide(kCalm, kCalm);
  ASSERT_TRUE(decision.has_value());
  EXPECT_EQ(decision->reason, ShareReason::kCalm);
  EXPECT_EQ(describe(*decision, classes_),
            "moved 0.01 of all from interactive to background, which has 0.21 now: nobody is "
            "pressed, back to the default");
  for (int i = 0; i < 20; ++i) decide(kCalm, kCalm);
  EXPECT_NEAR(controller_.parts()[0], 0.7, 2e-3);
  EXPECT_FALSE(decide(kCalm, kCalm).has_value());
}

TEST_F(ShareControllerTest, IsDueOncePerInterval) {
  EXPECT_FALSE(controller_.is_due(now_ + std::chrono::milliseconds(999)));
}

TEST(ShareController, PartsStayWithinTheirBoundsAndAddUpWhateverIsSeen) {
  Random random(1);
  for (int round = 0; round < 200; ++round) {
    std::vector<ServiceClass> classes(random.between(1, 5));
    for (ServiceClass& service_class : classes) {
      service_class.share = 0.1 + random.uniform();
    }
    const std::vector<double> configured = share_parts(classes);
    for (std::size_t i = 0; i < classes.size(); ++i) {
      classes[i].share_min = configured[i] * random.uniform();
      classes[i].share_max = configured[i] + (1 - configured[i]) * random.uniform();
    }
    ShareController controller({}, classes);
    std::vector<ClassObservation> observations(classes.size());
    TimePoint now{};
    for (int i = 0; i < 100; ++i) {
      for (ClassObservation& seen : observations) {
        seen.response_ratio = 4 * random.uniform();
        seen.queue_ratio = 4 * random.uniform();
      }
      now += std::chrono::seconds(1);
      static_cast<void>(controller.decide(now, observations));
      const auto parts = controller.parts();
      ASSERT_NEAR(std::accumulate(parts.begin(), parts.end(), 0.0), 1.0, 1e-9);
      for (std::size_t c = 0; c < classes.size(); ++c) {
        ASSERT_GE(parts[c], classes[c].share_min - 1e-9);
        ASSERT_LE(parts[c], classes[c].share_max + 1e-9);
        ASSERT_GT(parts[c], 0);
      }
    }
  }
}

}  // namespace
}  // namespace millrace
