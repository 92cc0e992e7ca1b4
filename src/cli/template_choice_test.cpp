// Choosing among a model's templates, and settings that are no JSON.
#include "cli/template_choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace {
namespace {

using ::testing::HasSubstr;

std::string chosen(const NamedTemplates& templates, const TemplateWish& wish) {
  const Result<std::string> source = choose_template(templates, wish);
  return source.ok() ? source.value() : "error: " + source.error().message;
}

TEST(TemplateChoiceTest, TakesTheDefaultUnlessANameOrToolsAskForAnother) {
  const NamedTemplates templates = {{"rag", "R"}, {"default", "D"}, {"tool_use", "T"}};
  EXPECT_EQ(chosen(templates, {}), "D");
  EXPECT_EQ(chosen(templates, {.name = "default", .has_tools = true}), "D");
  EXPECT_EQ(chosen(templates, {.name = "", .has_tools = true}), "T");
  EXPECT_EQ(chosen(templates, {.name = "rag", .has_tools = true}), "R");
  EXPECT_EQ(chosen({{"", "nameless"}, {"default", "D"}}, {}), "nameless");
  EXPECT_EQ(chosen({{"", "nameless"}}, {.name = "", .has_tools = true}), "nameless");
}

TEST(TemplateChoiceTest, NamesWhatThereIsWhenItIsNotWhatWasAskedFor) {
  EXPECT_THAT(chosen({{"", "D"}, {"rag", "R"}}, {.name = "tool_use"}),
              HasSubstr("no chat template 'tool_use', only: default, rag"));
  EXPECT_THAT(chosen({{"rag", "R"}}, {}), HasSubstr("no chat template by default, only: rag"));
  EXPECT_THAT(chosen({}, {}), HasSubstr("give one with --chat-template"));
}

TEST(TemplateChoiceTest, ReadsVariablesAsJson) {
  const Result<OrderedJson> variables =
      parse_template_variables({"enable_thinking=false", "date=\"a=b\"", "list=[1, {}]"});
  ASSERT_TRUE(variables.ok());
  EXPECT_EQ(variables.value().dump(), R"({"enable_thinking":false,"date":"a=b","list":[1,{}]})");
  EXPECT_EQ(parse_template_variables({"x"}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(parse_template_variables({"=1"}).error().message, HasSubstr("NAME=JSON"));
  EXPECT_THAT(parse_template_variables({"x=yes"}).error().message, HasSubstr("--set x"));
}

}  // namespace
}  // namespace millrace
