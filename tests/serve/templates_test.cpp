// Published chat templates: which formats they speak of, and calls of tools through them and back.
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <set>
#include <string>

#include "base/file.h"
#include "constrain/grammar_compiler.h"
#include "serve/api/parse_request.h"
#include "serve/output/answer_format.h"
#include "serve/output/constraint_choice.h"
#include "serve/output/render_chat.h"
#include "serve/output/tool_call_parser.h"
#include "support/shared_data.h"

namespace millrace {
namespace {

struct TemplateFile {
  std::string name;
  std::string source;
};

std::vector<TemplateFile> template_files() {
  std::vector<TemplateFile> files;
  const std::string root = shared_data("templates");
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    if (entry.path().extension() != ".jinja") continue;
    files.push_back(
        {entry.path().stem().string(), MUST(read_file(entry.path().string(), 1 << 20))});
  }
  return files;
}

// Every template of the folder that has a format of ours; all others have none.
const std::map<std::string, std::pair<std::string, std::string>>& known_formats() {
  static const std::map<std::string, std::pair<std::string, std::string>> kFormats{
      {"Apertus-8B-Instruct", {"apertus", "apertus"}},
      {"Apriel-1.6-15b-Thinker-fixed", {"tool-calls", "apriel"}},
      {"ByteDance-Seed-OSS", {"seed", "seed"}},
      {"Cohere2MoE", {"command", "command"}},
      {"CohereForAI-c4ai-command-r7b-12-2024-tool_use", {"command", "command"}},
      {"GLM-4.6", {"glm", "think"}},
      {"GigaChat3-10B-A1.8B", {"gigachat", "none"}},
      {"GigaChat3.1-10B-A1.8B", {"gigachat", "none"}},
      {"Kimi-K2-Instruct", {"kimi", "none"}},
      {"Kimi-K2-Thinking", {"kimi", "think"}},
      {"LFM2-8B-A1B", {"lfm", "none"}},
      {"LFM2.5-8B-A1B", {"lfm", "think"}},
      {"MiMo-VL", {"hermes", "none"}},
      {"MiniMax-M1", {"tool-calls", "none"}},
      {"MiniMax-M3", {"minimax-m3", "minimax"}},
      {"Mistral-Small-3.2-24B-Instruct-2506", {"mistral", "none"}},
      {"NVIDIA-Nemotron-Nano-v2", {"nemotron", "think"}},
      {"NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use", {"hermes", "none"}},
      {"Qwen-QwQ-32B", {"hermes", "think"}},
      {"Qwen-Qwen2.5-7B-Instruct", {"hermes", "none"}},
      {"Qwen-Qwen3-Coder-30B-A3B-Instruct", {"qwen3-coder", "none"}},
      {"Qwen3-Coder", {"qwen3-coder", "none"}},
      {"Qwen3.5-4B", {"qwen3-coder", "think"}},
      {"StepFun3.5-Flash", {"qwen3-coder", "think"}},
      {"deepseek-ai-DeepSeek-R1-Distill-Llama-8B", {"deepseek", "think"}},
      {"deepseek-ai-DeepSeek-V3.1", {"deepseek", "think"}},
      {"deepseek-ai-DeepSeek-V3.2", {"dsml", "think"}},
      {"deepseek-ai-DeepSeek-V4", {"dsml", "think"}},
      {"fireworks-ai-llama-3-firefunction-v2", {"functools", "none"}},
      {"google-gemma-4-31B-it", {"gemma", "gemma"}},
      {"google-gemma-4-31B-it-interleaved", {"gemma", "gemma"}},
      {"granite-3.0-instruct", {"phi4", "none"}},
      {"ibm-granite-granite-4.0", {"hermes", "none"}},
      {"ibm-granite-granite-4.1", {"hermes", "none"}},
      {"llama-cpp-rwkv-world", {"none", "think"}},
      {"meetkai-functionary-medium-v3.1", {"function-tag", "none"}},
      {"meta-llama-Llama-3.1-8B-Instruct", {"llama3", "none"}},
      {"meta-llama-Llama-3.2-3B-Instruct", {"llama3", "none"}},
      {"mistralai-Ministral-3-14B-Reasoning-2512", {"mistral", "mistral"}},
      {"moonshotai-Kimi-K2", {"kimi", "none"}},
      {"muse-glimmer", {"atem", "none"}},
      {"openbmb-MiniCPM5-1B", {"minicpm", "think"}},
      {"poolside-Laguna-S-2.1", {"glm", "think"}},
      {"poolside-Laguna-XS.2", {"glm", "think"}},
      {"qwen2.5-instruct", {"hermes", "none"}},
      {"tencent-Hy3", {"hunyuan", "hunyuan"}},
      {"unsloth-mistral-Devstral-Small-2507", {"mistral", "none"}},
      {"upstage-Solar-Open-100B", {"solar", "solar"}},
  };
  return kFormats;
}

TEST(Templates, SpeakOfTheFormatsThatTheirModelsWrite) {
  MILLRACE_NEEDS_SHARED_DATA("templates");
  std::size_t num_known = 0;
  for (const TemplateFile& file : template_files()) {
    const AnswerFormat format = answer_format(file.source);
    const auto known = known_formats().find(file.name);
    const bool is_known = known != known_formats().end();
    num_known += is_known ? 1 : 0;
    EXPECT_EQ(tool_format_name(format.tools), is_known ? known->second.first : "none") << file.name;
    EXPECT_EQ(format.reasoning ? format.reasoning->name : "none",
              is_known ? known->second.second : "none")
        << file.name;
  }
  EXPECT_EQ(num_known, known_formats().size());
}

TEST(Templates, MessagesInChannelsAreKnownByTheirMarks) {
  const AnswerFormat format =
      answer_format("{{ '<|start|>assistant<|channel|>final<|message|>' + message.content }}");
  EXPECT_TRUE(format.has_channels);
  EXPECT_FALSE(format.reasoning);
}

// A conversation in which the assistant called a tool and saw its result, through the parser.
ChatPrompt conversation() {
  const OrderedJson body = MUST(parse_body(R"({"messages":[
    {"role":"user","content":"Add."},
    {"role":"assistant","content":"","tool_calls":[{"id":"abcdefghi","type":"function",
      "function":{"name":"add_up","arguments":"{\"numbers\": [1, 2.5], \"note\": \"a }\\\" \"}"}}]},
    {"role":"tool","tool_call_id":"abcdefghi","content":"three and a half"}],
    "tools":[{"type":"function","function":{"name":"add_up","description":"Adds.","parameters":
      {"type":"object","properties":{"numbers":{"type":"array","items":{"type":"number"}},
       "note":{"type":"string"}},"required":["numbers"]}}}]})"));
  GenerationRequest request = MUST(parse_generation(ApiDialect::kChat, body));
  return std::get<ChatPrompt>(std::move(request.prompt));
}

std::string without_system(const std::string& text, const std::string& mark) {
  const std::size_t at = text.find(mark);
  return at == std::string::npos ? text : text.substr(at + mark.size());
}

// What the template makes of the assistant's calls is what its model writes: it parses again.
TEST(Templates, CallsThatWereMadeComeBackAsTheyWere) {
  MILLRACE_NEEDS_SHARED_DATA("templates");
  const ChatPrompt prompt = conversation();
  std::size_t num_round_trips = 0;
  for (const TemplateFile& file : template_files()) {
    const Result<ChatTemplate> chat_template = ChatTemplate::parse(file.source);
    if (!chat_template.ok()) continue;
    const ChatTemplateFacts facts = chat_template.value().facts();
    if (!facts.shows_tool_calls) continue;
    const Result<RenderedChat> chat =
        render_chat(chat_template.value(), facts, prompt, {.bos_token = "", .eos_token = ""});
    EXPECT_TRUE(chat.ok()) << file.name << ": " << (chat.ok() ? "" : chat.error().message);
    if (!chat.ok()) continue;
    const std::string& text = chat.value().text;
    EXPECT_NE(text.find("add_up"), std::string::npos) << file.name;
    if (facts.shows_tool_results) {
      EXPECT_NE(text.find("three and a half"), std::string::npos) << file.name;
    }
    const ToolFormat format = answer_format(file.source).tools;
    // A bare object is a call only where an answer begins, and a template shows much before it.
    if (format == ToolFormat::kNone || format == ToolFormat::kLlama3) continue;
    if (format == ToolFormat::kPythonic) continue;
    ToolCallParser parser({.format = format, .tools = prompt.tools, .id_seed = 1});
    ToolCallParser::Output parts;
    parser.push(without_system(text, "Add."), parts);
    parser.flush(parts);
    std::string name;
    std::string arguments;
    for (const AnswerEventKind& part : parts) {
      if (const auto* begin = std::get_if<ToolCallBegin>(&part)) name += begin->name;
      if (const auto* delta = std::get_if<ToolCallDelta>(&part)) arguments += delta->arguments;
    }
    EXPECT_EQ(name, "add_up") << file.name << "\n" << text;
    const Result<Json> parsed = parse_json(arguments, "arguments");
    EXPECT_TRUE(parsed.ok()) << file.name << ": " << arguments;
    if (!parsed.ok()) continue;
    EXPECT_EQ(parsed.value(), Json::parse(R"({"numbers": [1, 2.5], "note": "a }\" "})"))
        << file.name;
    ++num_round_trips;
  }
  EXPECT_GE(num_round_trips, 15u);
}

// What a template shows of a call is what the grammar of forced calls lets its model write.
TEST(Templates, ForcedCallsAreWrittenAsTheTemplateShowsThem) {
  MILLRACE_NEEDS_SHARED_DATA("templates");
  std::vector<VocabularyToken> tokens = {{.bytes = "</s>", .is_special = true}};
  for (int byte = 0; byte < 256; ++byte) {
    tokens.push_back({.bytes = std::string(1, static_cast<char>(byte))});
  }
  const std::vector<TokenId> stops = {0};
  const SystemClock clock;
  GrammarCompiler compiler(MUST(TokenVocabulary::create(tokens, stops, tokens.size())), clock);
  const ChatPrompt prompt = conversation();
  GenerationRequest request;
  request.prompt = prompt;
  request.tool_choice = {.mode = ToolChoice::Mode::kRequired};
  // Apriel shows ids behind its calls; those of Solar have ten characters, this one nine.
  const std::set<std::string> unlike = {"Apriel-1.6-15b-Thinker-fixed", "upstage-Solar-Open-100B"};
  std::set<std::string> formats;
  for (const TemplateFile& file : template_files()) {
    const Result<ChatTemplate> chat_template = ChatTemplate::parse(file.source);
    if (!chat_template.ok() || !chat_template.value().facts().shows_tool_calls) continue;
    const AnswerFormat format = answer_format(file.source);
    const CallMarks marks = call_marks(format.tools);
    const Result<RenderedChat> chat =
        render_chat(chat_template.value(), chat_template.value().facts(), prompt,
                    {.bos_token = "", .eos_token = ""});
    if (!chat.ok() || marks.opens.empty()) continue;
    const std::string text = without_system(chat.value().text, "Add.");
    const std::size_t begin = text.find(marks.opens.front());
    if (begin == std::string::npos) continue;
    const auto spec = constraint_choice(request, {.reasoning = std::nullopt, .tools = format.tools},
                                        ReasoningStart::kOver);
    if (!spec.ok()) continue;
    const auto constraint = compiler.compile(*spec.value());
    ASSERT_TRUE(constraint.ok()) << file.name << ": " << constraint.error().message;
    const std::unique_ptr<LogitConstraint> state = constraint.value()->fork();
    std::vector<std::uint32_t> mask(9);
    bool is_whole = false;
    std::size_t at = begin;
    for (; at <= text.size(); ++at) {
      std::fill(mask.begin(), mask.end(), ~0u);
      state->mask(mask);
      is_whole = is_whole || (mask[0] & 1u) != 0;
      if (at == text.size()) break;
      const TokenId id = static_cast<TokenId>(static_cast<std::uint8_t>(text[at])) + 1;
      if ((mask[id / 32] >> (id % 32) & 1u) == 0) break;
      state->advance(id);
    }
    EXPECT_EQ(is_whole, !unlike.contains(file.name))
        << file.name << " after " << text.substr(begin, at - begin) << " | " << text.substr(at, 40);
    if (is_whole) formats.insert(std::string(tool_format_name(format.tools)));
  }
  EXPECT_GE(formats.size(), 16u);
}

// JSONTestSuite against bodies: what is no JSON is refused as the client's mistake, what is JSON
// gets past the parser, and no other file does worse.
TEST(Bodies, JsonTestSuite) {
  MILLRACE_NEEDS_SHARED_DATA("eval/json-parse-suite");
  std::size_t num_files = 0;
  const std::string root = shared_data("eval/json-parse-suite");
  for (const auto& entry : std::filesystem::directory_iterator(root)) {
    const std::string name = entry.path().filename().string();
    const std::string text = MUST(read_file(entry.path().string(), 1 << 20));
    const Result<OrderedJson> value = parse_ordered_json(text, "body", {.depth_max = 48});
    if (name[0] != 'i') {
      EXPECT_EQ(value.ok(), name[0] == 'y') << name;
    }
    const Result<OrderedJson> body = parse_body(text);
    const bool is_object = value.ok() && value.value().is_object();
    EXPECT_EQ(body.ok(), is_object) << name;
    if (!body.ok()) {
      const ErrorCode code = body.error().code;
      EXPECT_TRUE(code == ErrorCode::kInvalidArgument || code == ErrorCode::kTooLarge) << name;
    }
    // As a part of a request, too.
    const std::string request =
        R"({"messages":[{"role":"user","content":"x"}],"metadata":)" + text + "}";
    const Result<OrderedJson> chat = parse_body(request);
    EXPECT_TRUE(chat.ok() || name[0] != 'y') << name;
    if (chat.ok()) static_cast<void>(parse_generation(ApiDialect::kChat, chat.value()).ok());
    ++num_files;
  }
  EXPECT_GE(num_files, 300u);
}

}  // namespace
}  // namespace millrace
