// Ordered JSON keeps its order and its limits, however many members an object has.
#include "base/json.h"

#include <gtest/gtest.h>

#include <string>

namespace millrace {
namespace {

TEST(OrderedJsonParser, KeepsTheOrderAndEveryKindOfValue) {
  const std::string text = R"({"z":[1,-2,2.5,true,false,null,"s",{},[]],"a":{"y":1,"x":2}})";
  EXPECT_EQ(MUST(parse_ordered_json(text, "test")).dump(), text);
  EXPECT_EQ(MUST(parse_ordered_json(" 7 ", "test")), OrderedJson(7));
}

TEST(OrderedJsonParser, TheLastOfEqualKeysCountsInTheFirstPlace) {
  const OrderedJson value =
      MUST(parse_ordered_json(R"({"b":1,"a":2,"b":3,"c":4,"a":5,"b":6})", "test"));
  EXPECT_EQ(value.dump(), R"({"b":6,"a":5,"c":4})");
}

TEST(OrderedJsonParser, AnObjectOfManyMembersTakesNoQuadraticTime) {
  std::string text = "{";
  for (int i = 0; i < 400'000; ++i) text += "\"key" + std::to_string(i) + "\":0,";
  text += "\"last\":1}";
  EXPECT_EQ(MUST(parse_ordered_json(text, "test")).size(), 400'001u);
}

TEST(OrderedJsonParser, RefusesWhatIsNoJsonAndWhatIsTooMuch) {
  for (const char* text :
       {"", "{", "[1,]", "{\"a\":1,}", "nul", "NaN", "1e999", "\"\xff\"", "1 2"}) {
    const Result<OrderedJson> value = parse_ordered_json(text, "test");
    ASSERT_FALSE(value.ok()) << text;
    EXPECT_EQ(value.error().code, ErrorCode::kCorruptData) << text;
    EXPECT_EQ(value.error().message.rfind("test: not valid JSON: ", 0), 0u) << text;
  }
  EXPECT_EQ(parse_ordered_json("[[[]]]", "test", {.depth_max = 2}).error().code,
            ErrorCode::kTooLarge);
  EXPECT_EQ(parse_ordered_json("[    ]", "test", {.bytes_max = 5}).error().code,
            ErrorCode::kTooLarge);
}

}  // namespace
}  // namespace millrace
