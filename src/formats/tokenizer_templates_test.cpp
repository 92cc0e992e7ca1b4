// The chat templates of a model's folder: one in a string, several by name, files beside them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "formats/test_support.h"
#include "formats/tokenizer_folder.h"

namespace millrace {
namespace {

constexpr std::string_view kVocabulary =
    R"({"model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}})";

using Templates = std::map<std::string, std::string>;

// By name; the nameless one under "".
Templates templates_in(const TemporaryFolder& folder) {
  const Result<TokenizerSpec> spec = load_tokenizer_spec(folder.path());
  if (!spec.ok()) {
    ADD_FAILURE() << spec.error().message;
    return {};
  }
  Templates templates;
  for (const auto& named : spec.value().chat_templates) templates[named.name] = named.source;
  return templates;
}

void write(const TemporaryFolder& folder, const std::string& name, std::string_view text) {
  ASSERT_TRUE(write_file(folder / name, text).ok());
}

TEST(TokenizerTemplatesTest, OneInTheConfigurationGivesWayToTheFile) {
  const TemporaryFolder folder;
  write(folder, "tokenizer.json", kVocabulary);
  EXPECT_EQ(templates_in(folder), Templates{});
  write(folder, "tokenizer_config.json", R"({"chat_template": "in the configuration"})");
  EXPECT_EQ(templates_in(folder), (Templates{{"", "in the configuration"}}));
  write(folder, "chat_template.jinja", "in a file");
  EXPECT_EQ(templates_in(folder), (Templates{{"", "in a file"}}));
}

TEST(TokenizerTemplatesTest, SeveralByNameAndFilesBesideThem) {
  const TemporaryFolder folder;
  write(folder, "tokenizer.json", kVocabulary);
  write(folder, "tokenizer_config.json",
        R"({"chat_template": [{"name": "default", "template": "D"},
                              {"name": "rag", "template": "R"}]})");
  EXPECT_EQ(templates_in(folder), (Templates{{"", "D"}, {"rag", "R"}}));
  std::filesystem::create_directory(folder / "additional_chat_templates");
  write(folder, "additional_chat_templates/rag.jinja", "R from a file");
  write(folder, "additional_chat_templates/tool_use.jinja", "T");
  write(folder, "additional_chat_templates/notes.txt", "not a template");
  EXPECT_EQ(templates_in(folder),
            (Templates{{"", "D"}, {"rag", "R from a file"}, {"tool_use", "T"}}));
}

TEST(TokenizerTemplatesTest, RefusesMoreFilesThanAnyModelHas) {
  const TemporaryFolder folder;
  write(folder, "tokenizer.json", kVocabulary);
  std::filesystem::create_directory(folder / "additional_chat_templates");
  for (int i = 0; i < 65; ++i) {
    write(folder, "additional_chat_templates/" + std::to_string(i) + ".jinja", "x");
  }
  const Result<TokenizerSpec> spec = load_tokenizer_spec(folder.path());
  ASSERT_FALSE(spec.ok());
  EXPECT_EQ(spec.error().code, ErrorCode::kTooLarge);
  EXPECT_THAT(spec.error().message, ::testing::HasSubstr("more than 64 chat templates"));
}

}  // namespace
}  // namespace millrace
