// Shares, lending, and that nobody banks credit.
#include "engine/fair_share.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "base/random.h"

namespace millrace {
namespace {

constexpr ClassId kFirst{0};
constexpr ClassId kSecond{1};
constexpr std::array<double, 2> kParts = {0.7, 0.3};

constexpr std::uint64_t kCreditMax = 10'000;

ClassSet both() {
  ClassSet set;
  set.insert(kFirst);
  set.insert(kSecond);
  return set;
}

TEST(ClassSet, HoldsWhatWasInserted) {
  ClassSet set;
  EXPECT_TRUE(set.empty());
  set.insert(kSecond);
  EXPECT_TRUE(set.contains(kSecond));
  EXPECT_FALSE(set.contains(kFirst));
  set.erase(kSecond);
  EXPECT_TRUE(set.empty());
}

TEST(FairShare, SplitsWorkByShareWhateverTheSizesOfThePieces) {
  FairShare shares(kParts, kCreditMax);
  Random random(1);
  std::uint64_t largest = 0;
  for (int i = 0; i < 10'000; ++i) {
    const ClassId id = *shares.furthest_behind(both());
    const std::uint64_t work = id == kFirst ? random.between(1, 20) : random.between(50, 400);
    largest = std::max(largest, work);
    shares.charge(id, work);
    shares.settle(both());
    // Whoever is served was behind, so the counters differ by one piece at most.
    const double gap = std::abs(shares.counter(kFirst) - shares.counter(kSecond));
    ASSERT_LE(gap, static_cast<double>(largest) / 0.3 + 1e-6);
  }
  const auto first = static_cast<double>(shares.work_done(kFirst));
  const auto second = static_cast<double>(shares.work_done(kSecond));
  EXPECT_NEAR(first / (first + second), 0.7, 0.001);
}

TEST(FairShare, AnIdleClassBanksNoCredit) {
  FairShare shares(kParts, kCreditMax);
  ClassSet first_only;
  first_only.insert(kFirst);
  for (int i = 0; i < 1000; ++i) {
    shares.charge(kFirst, 10);
    shares.settle(first_only);
  }
  EXPECT_EQ(shares.counter(kFirst), shares.counter(kSecond));
}

TEST(FairShare, ATrickleThatIsServedAtOnceBanksNoCredit) {
  FairShare shares(kParts, kCreditMax);
  ClassSet first_only;
  first_only.insert(kFirst);
  for (int i = 0; i < 1000; ++i) {
    shares.charge(kFirst, 10);
    shares.charge(kSecond, 1);  // all that it wanted
    shares.settle(first_only);
  }
  EXPECT_EQ(shares.counter(kFirst), shares.counter(kSecond));
}

TEST(FairShare, BorrowingWhatNobodyWantsIsNoDebt) {
  FairShare shares(kParts, kCreditMax);
  shares.charge(kSecond, 1'000'000);
  shares.settle({});
  EXPECT_EQ(shares.counter(kFirst), shares.counter(kSecond));
  EXPECT_EQ(shares.furthest_behind(both()), kFirst);
}

TEST(FairShare, WhatABackloggedClassIsOwedStays) {
  FairShare shares(kParts, kCreditMax);
  shares.charge(kSecond, 300);
  shares.settle(both());
  EXPECT_EQ(shares.furthest_behind(both()), kFirst);
  shares.charge(kFirst, 699);
  EXPECT_EQ(shares.furthest_behind(both()), kFirst);
  shares.charge(kFirst, 2);
  EXPECT_EQ(shares.furthest_behind(both()), kSecond);
  EXPECT_EQ(shares.furthest_behind({}), std::nullopt);
}

TEST(FairShare, NobodyIsOwedMoreThanTheMost) {
  FairShare shares(kParts, kCreditMax);
  shares.charge(kSecond, 1'000'000);
  shares.settle(both());
  EXPECT_EQ(shares.furthest_behind(both()), kFirst);
  shares.charge(kFirst, kCreditMax - 1);
  EXPECT_EQ(shares.furthest_behind(both()), kFirst);
  shares.charge(kFirst, 2);
  EXPECT_EQ(shares.furthest_behind(both()), kSecond);
}

TEST(FairShare, NewPartsHoldFromThenOn) {
  FairShare shares(kParts, kCreditMax);
  shares.set_parts(std::array<double, 2>{0.5, 0.5});
  for (int i = 0; i < 1000; ++i) {
    shares.charge(*shares.furthest_behind(both()), 7);
    shares.settle(both());
  }
  EXPECT_EQ(shares.work_done(kFirst), shares.work_done(kSecond));
}

TEST(FairShareDeathTest, APartOfNothingIsABug) {
  EXPECT_DEATH(FairShare(std::array<double, 2>{1.0, 0.0}, kCreditMax), "part > 0");
}

TEST(ServiceClasses, DefaultsAreSeventyThirty) {
  const auto classes = default_service_classes();
  EXPECT_TRUE(check_classes(classes).ok());
  EXPECT_EQ(classes[0].name, "interactive");
  const std::vector<double> parts = share_parts(classes);
  EXPECT_DOUBLE_EQ(parts[0], 0.7);
  EXPECT_DOUBLE_EQ(parts[1], 0.3);
}

TEST(ServiceClasses, NameTheFieldThatIsWrong) {
  const auto message = [](auto&& change) {
    auto classes = default_service_classes();
    change(classes);
    const Status status = check_classes(classes);
    return status.ok() ? std::string() : status.error().message;
  };
  EXPECT_EQ(message([](auto& classes) { classes[1].share = 0; }),
            "class background: share is 0.000000, expected a number above 0");
  EXPECT_EQ(message([](auto& classes) { classes[1].name = "interactive"; }),
            "class interactive is named twice, expected names that differ");
  EXPECT_EQ(message([](auto& classes) { classes.clear(); }),
            "number of classes is 0, expected 1 to 16");
  EXPECT_EQ(message([](auto& classes) { classes[0].blocks_max = 0; }),
            "class interactive: blocks_max is 0, expected at least 1");
  EXPECT_EQ(message([](auto& classes) { classes[0].cache_priority = 8; }),
            "class interactive: cache_priority is 8, expected 0 to 7");
  EXPECT_EQ(message([](auto& classes) { classes[0].share_min = 0.95; }),
            "class interactive: share_min is 0.950000 with share_max 0.900000, "
            "expected 0 to share_max, which is at most 1");
  EXPECT_EQ(message([](auto& classes) { classes[0].token_target = Duration{0}; }),
            "class interactive: token_target is 0.000000 s, expected above 0");
}

}  // namespace
}  // namespace millrace
