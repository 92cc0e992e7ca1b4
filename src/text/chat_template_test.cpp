// Chat templates: what the public interface promises, limits and errors included.
#include "text/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace millrace {
namespace {

using ::testing::HasSubstr;

Result<std::string> render(std::string_view source, const ChatTemplateInput& input = {},
                           const ChatTemplateLimits& limits = {}) {
  const ChatTemplate parsed = TRY(ChatTemplate::parse(source, limits));
  return parsed.render(input);
}

std::string text_of(std::string_view source, const ChatTemplateInput& input = {}) {
  const Result<std::string> text = render(source, input);
  return text.ok() ? text.value() : "error: " + text.error().message;
}

Error error_of(std::string_view source, const ChatTemplateLimits& limits = {}) {
  const Result<std::string> text = render(source, {}, limits);
  if (text.ok()) return Error{ErrorCode::kUnavailable, "rendered as: " + text.value()};
  return text.error();
}

constexpr std::string_view kChatMl =
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

ChatTemplateInput one_message() {
  ChatTemplateInput input;
  input.messages = OrderedJson::parse(R"([{"role": "user", "content": "Hi"}])");
  return input;
}

TEST(ChatTemplateTest, RendersMessagesAndAGenerationPrompt) {
  ChatTemplateInput input = one_message();
  EXPECT_EQ(text_of(kChatMl, input), "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
  input.generation_prompt = GenerationPrompt::kOff;
  EXPECT_EQ(text_of(kChatMl, input), "<|im_start|>user\nHi<|im_end|>\n");
}

TEST(ChatTemplateTest, GivesTheVariablesThatTransformersGives) {
  EXPECT_EQ(text_of("{{ messages }}{{ tools }}{{ documents }}{{ add_generation_prompt }}"),
            "[]NoneNoneTrue");
  EXPECT_EQ(text_of("{{ bos_token is defined }}{{ eos_token is defined }}"), "FalseFalse");
  ChatTemplateInput input;
  input.bos_token = "<s>";
  input.eos_token = "</s>";
  input.arguments = OrderedJson::parse(R"({"enable_thinking": false, "tools": 3})");
  EXPECT_EQ(text_of("{{ bos_token }}{{ eos_token }}{{ enable_thinking }}{{ tools }}", input),
            "<s></s>False3");
}

TEST(ChatTemplateTest, ShowsTheTimeThatIsPassedIn) {
  ChatTemplateInput input;
  input.unix_seconds = 951'782'400;  // 2000-02-29
  EXPECT_EQ(text_of("{{ strftime_now('%d %b %Y, %A %H:%M:%S, day %j') }}", input),
            "29 Feb 2000, Tuesday 00:00:00, day 060");
  input.unix_seconds = -1;
  EXPECT_EQ(text_of("{{ strftime_now('%Y-%m-%d %H:%M:%S %a') }}", input),
            "1969-12-31 23:59:59 Wed");
}

TEST(ChatTemplateTest, PassesOnWhatATemplateRaises) {
  const Error error = error_of("{{ raise_exception('roles must alternate') }}");
  EXPECT_EQ(error.code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(error.message, "roles must alternate");
}

TEST(ChatTemplateTest, NamesTheLineOfASyntaxError) {
  const Error error = error_of("a\n\n{% if x %}\n{{ 1 + }}");
  EXPECT_EQ(error.code, ErrorCode::kCorruptData);
  EXPECT_THAT(error.message, HasSubstr("line 4"));
  EXPECT_THAT(error.message, HasSubstr("expected an expression, got end of print statement"));
  EXPECT_THAT(error_of("{% if x %}\n").message, HasSubstr("expected 'elif' or 'else' or 'endif'"));
  EXPECT_THAT(error_of("\n{% frobnicate %}").message, HasSubstr("unknown tag 'frobnicate'"));
}

TEST(ChatTemplateTest, NamesTheLineOfAFailure) {
  const Error error = error_of("{% set x = 1 %}\n\n{{ x.a.b }}");
  EXPECT_EQ(error.code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(error.message, "chat template line 3: 'int object' has no attribute 'a'");
}

TEST(ChatTemplateTest, RefusesByName) {
  for (const char* source :
       {"{% include 'x' %}", "{% import 'x' as x %}", "{% from 'x' import y %}",
        "{% extends 'x' %}", "{% block x %}{% endblock %}", "{% autoescape true %}"}) {
    const Error error = error_of(source);
    EXPECT_EQ(error.code, ErrorCode::kUnsupported) << source;
    EXPECT_THAT(error.message, HasSubstr("is not for chat templates")) << source;
  }
  for (const char* source : {"{{ 1|frobnicate }}", "{% if true %}{{ 1|frobnicate }}{% endif %}",
                             "{{ 1 is frobnicate }}"}) {
    const Error error = error_of(source);
    EXPECT_EQ(error.code, ErrorCode::kUnsupported) << source;
    EXPECT_THAT(error.message, HasSubstr("named 'frobnicate'")) << source;
  }
  EXPECT_EQ(error_of("{{ [1]|random }}").code, ErrorCode::kUnsupported);
  EXPECT_EQ(error_of("{{ lipsum() }}").code, ErrorCode::kUnsupported);
}

TEST(ChatTemplateTest, KeepsTheSandboxShut) {
  for (const char* source :
       {"{{ ''.__class__.__mro__ }}", "{{ messages.append(1) }}", "{{ {}.update({'a': 1}) }}",
        "{{ [1].pop() }}", "{{ range.__globals__.x }}", "{{ '{0.__class__.x}'.format(1) }}"}) {
    EXPECT_EQ(error_of(source).code, ErrorCode::kInvalidArgument) << source;
  }
}

TEST(ChatTemplateTest, StopsBombsInTheSource) {
  const auto repeated = [](std::string_view part, std::size_t times) {
    std::string text;
    for (std::size_t i = 0; i < times; ++i) text += part;
    return text;
  };
  EXPECT_EQ(error_of(std::string(300'000, 'x')).code, ErrorCode::kTooLarge);
  EXPECT_EQ(error_of("{{ " + repeated("(", 50'000)).code, ErrorCode::kTooLarge);
  EXPECT_EQ(error_of("{{ " + repeated("[", 50'000)).code, ErrorCode::kTooLarge);
  EXPECT_EQ(error_of("{{ " + repeated("-", 50'000) + "1 }}").code, ErrorCode::kTooLarge);
  EXPECT_EQ(error_of("{{ " + repeated("not ", 50'000) + "1 }}").code, ErrorCode::kTooLarge);
  EXPECT_EQ(error_of("{{ 1" + repeated("+1", 50'000) + " }}").code, ErrorCode::kTooLarge);
  EXPECT_EQ(error_of("{{ 1" + repeated("|abs", 50'000) + " }}").code, ErrorCode::kTooLarge);
  EXPECT_EQ(error_of("{{ a" + repeated(".a", 50'000) + " }}").code, ErrorCode::kTooLarge);
  EXPECT_EQ(error_of("{{ 1" + repeated(" if 1 else 1", 20'000) + " }}").code, ErrorCode::kTooLarge);
  EXPECT_EQ(error_of(repeated("{% if a %}", 20'000)).code, ErrorCode::kTooLarge);
  EXPECT_EQ(error_of(repeated("{% for a in b %}", 10'000)).code, ErrorCode::kTooLarge);
  // Many names in many branches: resolving them must not take quadratic time.
  EXPECT_EQ(text_of(repeated("{% if a %}{% set b = c %}{% endif %}", 5'000)), "");
}

// The deepest expressions and calls that the limits allow fit on the stack.
TEST(ChatTemplateTest, GoesAsDeepAsItMay) {
  std::string nested = "1";
  for (int i = 0; i < 60; ++i) nested = "[" + nested + "]";
  EXPECT_EQ(text_of("{{ " + nested + " }}"), nested);
  EXPECT_EQ(text_of("{% macro f(n) %}{% if n > 0 %}{{ n }},{{ f(n - 1) }}{% endif %}{% endmacro %}"
                    "{{ f(60)|length }}"),
            "171");
}

TEST(ChatTemplateTest, RendersFromSeveralThreadsAtOnce) {
  const Result<ChatTemplate> parsed = ChatTemplate::parse(kChatMl);
  ASSERT_TRUE(parsed.ok());
  std::vector<std::string> texts(4);
  std::vector<std::thread> threads;
  for (std::string& text : texts) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        const Result<std::string> rendered = parsed.value().render(one_message());
        if (rendered.ok()) text = rendered.value();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& text : texts) EXPECT_EQ(text, text_of(kChatMl, one_message()));
}

TEST(ChatTemplateTest, RefusesInputThatIsNoText) {
  ChatTemplateInput input;
  input.messages = OrderedJson::array({OrderedJson{{"role", "user"}, {"content", "\xFF"}}});
  const Result<std::string> text = render("{{ messages }}", input);
  ASSERT_FALSE(text.ok());
  EXPECT_THAT(text.error().message, HasSubstr("not UTF-8"));
  EXPECT_EQ(error_of("\xC3").code, ErrorCode::kCorruptData);
}

TEST(ChatTemplateTest, KnowsWhatATemplateDoes) {
  const ChatTemplateFacts plain = MUST(ChatTemplate::parse(kChatMl)).facts();  // parses, see above
  EXPECT_TRUE(plain.shows_system_message);
  EXPECT_TRUE(plain.shows_tool_results);
  EXPECT_FALSE(plain.shows_tools);
  EXPECT_FALSE(plain.shows_tool_calls);
  EXPECT_FALSE(plain.needs_content_parts);
  const Result<ChatTemplate> rich = ChatTemplate::parse(
      "{{ tools|tojson }}{% for m in messages %}{% for part in m.content %}{{ part.text }}"
      "{% endfor %}{% for call in m.tool_calls or [] %}{{ call.function.name }}"
      "{% for key, value in call.function.arguments.items() %}{{ key }}{% endfor %}{% endfor %}"
      "{% endfor %}");
  ASSERT_TRUE(rich.ok());
  EXPECT_TRUE(rich.value().facts().shows_tools);
  EXPECT_TRUE(rich.value().facts().shows_tool_calls);
  EXPECT_TRUE(rich.value().facts().needs_content_parts);
  EXPECT_TRUE(rich.value().facts().needs_argument_objects);
}

}  // namespace
}  // namespace millrace
