// Chat templates against Python's jinja2 as transformers sets it up: published templates and small
// snippets.
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <set>
#include <string>

#include "base/file.h"
#include "base/json.h"
#include "support/shared_data.h"
#include "support/support_table.h"
#include "text/chat_template.h"

namespace millrace {
namespace {

constexpr std::uint64_t kFileBytesMax = 16ull << 20;

OrderedJson read_golden(const std::string& name) {
  const std::string path = std::string(MILLRACE_GOLDEN) + "/templates/" + name;
  // Files of ours, beside the script that made them.
  return MUST(parse_ordered_json(MUST(read_file(path, kFileBytesMax)), path));
}

// Length and FNV-1a hash, as make_templates.py writes them.
std::string digest(const std::string& text) {
  std::uint64_t hash = 0xCBF29CE484222325u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  std::array<char, 64> shown{};
  std::snprintf(shown.data(), shown.size(), "%zu:%016llx", text.size(),
                static_cast<unsigned long long>(hash));
  return shown.data();
}

// A context of jinja2 as the input that our users give.
ChatTemplateInput input_of(const OrderedJson& context, std::int64_t now) {
  ChatTemplateInput input;
  input.unix_seconds = now;
  for (const auto& [key, value] : context.items()) {
    if (key == "messages") {
      input.messages = value;
    } else if (key == "tools") {
      input.tools = value;
    } else if (key == "documents") {
      input.documents = value;
    } else if (key == "add_generation_prompt" && value.is_boolean()) {
      input.generation_prompt = value.get<bool>() ? GenerationPrompt::kOn : GenerationPrompt::kOff;
    } else if (key == "bos_token" && value.is_string()) {
      input.bos_token = value.get<std::string>();
    } else if (key == "eos_token" && value.is_string()) {
      input.eos_token = value.get<std::string>();
    } else {
      input.arguments[key] = value;
    }
  }
  return input;
}

// What we render, or nothing where we refuse.
std::optional<std::string> rendered(const std::string& source, const OrderedJson& context,
                                    std::int64_t now, std::string& error) {
  const Result<ChatTemplate> parsed = ChatTemplate::parse(source);
  if (!parsed.ok()) {
    error = parsed.error().message;
    return std::nullopt;
  }
  Result<std::string> text = parsed.value().render(input_of(context, now));
  if (text.ok()) return std::move(text).value();
  error = text.error().message;
  return std::nullopt;
}

TEST(Templates, SnippetsRenderAsInJinja2) {
  const OrderedJson snippets = read_golden("snippets.json");
  const std::int64_t now = read_golden("conversations.json")["now"];
  std::size_t num_equal = 0;
  for (const OrderedJson& row : snippets) {
    const std::string source = row["template"];
    std::string error;
    const auto got = rendered(source, row.value("context", OrderedJson::object()), now, error);
    const auto want =
        row["output"].is_null() ? std::nullopt : std::optional(row["output"].get<std::string>());
    EXPECT_EQ(got, want) << "template: " << source << "\nour error: " << error;
    num_equal += got == want ? 1 : 0;
  }
  record_support({.area = "template",
                  .name = "snippets of Jinja",
                  .num_equal = num_equal,
                  .num_all = snippets.size(),
                  .note = ""});
}

// How one published template fares: outputs are texts, or refusals where jinja2 refuses.
struct TemplateRow {
  std::size_t num_equal = 0;
  std::size_t num_outputs = 0;
  std::size_t num_texts = 0;
};

TemplateRow check_template(const std::string& name, const std::string& source,
                           const OrderedJson& outputs, const OrderedJson& conversations) {
  TemplateRow row;
  for (const auto& [conversation, want] : outputs.items()) {
    std::string error;
    const auto got =
        rendered(source, conversations["contexts"][conversation], conversations["now"], error);
    const bool equal = want.is_null() ? !got : got && digest(*got) == want.get<std::string>();
    EXPECT_TRUE(equal) << name << ", " << conversation << ": expected "
                       << (want.is_null() ? "a refusal" : want.get<std::string>()) << ", got "
                       << (got ? digest(*got) : error);
    row.num_equal += equal ? 1 : 0;
    row.num_texts += want.is_null() ? 0 : 1;
    ++row.num_outputs;
  }
  return row;
}

// Prints the table of what is supported; every template in the folder is in it.
TEST(Templates, PublishedTemplatesRenderAsInJinja2) {
  MILLRACE_NEEDS_SHARED_DATA("templates");
  const OrderedJson conversations = read_golden("conversations.json");
  const OrderedJson expected = read_golden("expected.json");
  std::set<std::string> names;
  const std::filesystem::path folder = shared_data("templates");
  for (const auto& file : std::filesystem::recursive_directory_iterator(folder)) {
    if (file.path().extension() != ".jinja") continue;
    names.insert(file.path().lexically_relative(folder).string());
  }
  TemplateRow total;
  for (const std::string& name : names) {
    ASSERT_TRUE(expected.contains(name)) << name << " has no expected outputs";
    const std::string source = MUST(read_file(shared_data("templates/" + name), kFileBytesMax));
    const OrderedJson& golden = expected[name];
    ASSERT_EQ(digest(source), golden["source"]) << name << " is not what the values were made from";
    const TemplateRow row = check_template(name, source, golden["outputs"], conversations);
    record_support({.area = "template",
                    .name = name,
                    .num_equal = row.num_equal,
                    .num_all = row.num_outputs,
                    .note = std::to_string(row.num_outputs - row.num_texts) + " are refusals"});
    EXPECT_GT(row.num_texts, 0u) << name << " is refused for every conversation";
    total.num_equal += row.num_equal;
    total.num_outputs += row.num_outputs;
    total.num_texts += row.num_texts;
  }
  EXPECT_EQ(names.size(), expected.size()) << "a template of the golden values is not there";
  std::printf("all %zu templates: %zu / %zu (%zu texts, %zu refusals)\n", names.size(),
              total.num_equal, total.num_outputs, total.num_texts,
              total.num_outputs - total.num_texts);
}

}  // namespace
}  // namespace millrace
