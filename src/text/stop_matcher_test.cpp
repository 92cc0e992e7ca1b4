// Stop strings: the match that ends first, hold-back, and equality with a plain search.
#include "text/stop_matcher.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace millrace {
namespace {

StopMatcher matcher(std::vector<std::string> stops) {
  return MUST(StopMatcher::create(std::move(stops)));  // the stops of these tests are well-formed
}

TEST(StopMatcher, HoldsBackOnlyWhatMayBecomeAStop) {
  StopMatcher stops = matcher({"</s>", "User:"});
  EXPECT_EQ(stops.push("Hello <").text, "Hello ");
  EXPECT_EQ(stops.push("b> Us").text, "<b> ");
  EXPECT_EQ(stops.push("e ").text, "Use ");
  const StopMatcher::Output end = stops.push("x</s>tail");
  EXPECT_EQ(end.text, "x");
  EXPECT_EQ(end.stop, std::size_t{0});
  EXPECT_EQ(stops.push("more").text, "");
  EXPECT_EQ(stops.flush(), "");
}

TEST(StopMatcher, FlushReturnsAnUnfinishedStop) {
  StopMatcher stops = matcher({"END"});
  EXPECT_EQ(stops.push("the EN").text, "the ");
  EXPECT_EQ(stops.flush(), "EN");
  EXPECT_EQ(stops.push("D").text, "D");
}

TEST(StopMatcher, TheMatchThatEndsFirstWinsAndTheLongestOfThose) {
  StopMatcher inner = matcher({"abc", "b"});
  EXPECT_EQ(inner.push("xabc").text, "xa");
  StopMatcher longest = matcher({"c", "abc", "bc"});
  const StopMatcher::Output output = longest.push("xabc");
  EXPECT_EQ(output.text, "x");
  EXPECT_EQ(output.stop, std::size_t{1});
}

TEST(StopMatcher, WithoutStopsEverythingPasses) {
  StopMatcher none = matcher({});
  EXPECT_EQ(none.push("anything").text, "anything");
}

TEST(StopMatcher, RefusesBadStops) {
  EXPECT_FALSE(StopMatcher::create({"a", ""}).ok());
  EXPECT_FALSE(StopMatcher::create({std::string(StopMatcher::kStopBytesMax + 1, 'a')}).ok());
  EXPECT_FALSE(StopMatcher::create(std::vector<std::string>(StopMatcher::kStopsMax + 1, "a")).ok());
  const std::string longest(StopMatcher::kStopBytesMax, 'a');
  const std::size_t num_longest = StopMatcher::kTotalBytesMax / longest.size();
  EXPECT_TRUE(StopMatcher::create(std::vector<std::string>(num_longest, longest)).ok());
  EXPECT_FALSE(StopMatcher::create(std::vector<std::string>(num_longest + 1, longest)).ok());
}

struct Found {
  std::string text;
  std::optional<std::size_t> stop;
};

Found plain_search(const std::vector<std::string>& stops, const std::string& text) {
  for (std::size_t end = 1; end <= text.size(); ++end) {
    std::optional<std::size_t> best;
    for (std::size_t i = 0; i < stops.size(); ++i) {
      if (!std::string_view(text).substr(0, end).ends_with(stops[i])) continue;
      if (!best || stops[i].size() > stops[*best].size()) best = i;
    }
    if (best) return {text.substr(0, end - stops[*best].size()), best};
  }
  return {text, std::nullopt};
}

bool is_proper_prefix_of_any(const std::vector<std::string>& stops, const std::string& text) {
  for (const std::string& stop : stops) {
    if (stop.size() > text.size() && stop.starts_with(text)) return true;
  }
  return false;
}

TEST(StopMatcher, EqualsAPlainSearchHoweverTheTextArrives) {
  Random random(5);
  const auto random_text = [&random](std::size_t bytes_max) {
    std::string text;
    for (std::size_t n = random.between(1, bytes_max); n > 0; --n) {
      text.push_back(static_cast<char>('a' + random.below(2)));
    }
    return text;
  };
  for (int round = 0; round < 20000; ++round) {
    std::vector<std::string> stops;
    for (std::size_t n = random.between(1, 3); n > 0; --n) stops.push_back(random_text(5));
    const std::string text = random_text(12);
    StopMatcher stream = matcher(stops);
    Found found;
    std::size_t num_pushed = 0;
    while (num_pushed < text.size() && !found.stop) {
      const std::size_t n = random.between(1, text.size() - num_pushed);
      const StopMatcher::Output output = stream.push(text.substr(num_pushed, n));
      num_pushed += n;
      found.text += output.text;
      found.stop = output.stop;
      const std::string held = text.substr(0, num_pushed).substr(found.text.size());
      ASSERT_TRUE(found.stop || held.empty() || is_proper_prefix_of_any(stops, held));
    }
    found.text += stream.flush();
    const Found want = plain_search(stops, text);
    ASSERT_EQ(found.text, want.text);
    ASSERT_EQ(found.stop.has_value(), want.stop.has_value());
    if (want.stop) {
      ASSERT_EQ(stops[*found.stop], stops[*want.stop]);
    }
  }
}

}  // namespace
}  // namespace millrace
