// Bodies of every dialect become requests; what is wrong is refused by name.
#include "serve/api/parse_request.h"

#include <gtest/gtest.h>

#include <string>

#include "serve/api/api_error.h"
#include "serve/api/request_fields.h"

namespace millrace {
namespace {

Result<GenerationRequest> parse(ApiDialect dialect, const std::string& text) {
  const OrderedJson body = TRY(parse_body(text));
  return parse_generation(dialect, body);
}

GenerationRequest good(ApiDialect dialect, const std::string& text) {
  Result<GenerationRequest> request = parse(dialect, text);
  EXPECT_TRUE(request.ok()) << text << "\n" << (request.ok() ? "" : request.error().message);
  return request.ok() ? std::move(request).value() : GenerationRequest{};
}

// A chat of one message with more fields.
std::string chat(const std::string& fields) {
  return R"({"messages":[{"role":"user","content":"hi"}])" + (fields.empty() ? "" : "," + fields) +
         "}";
}
std::string completion(const std::string& fields) {
  return R"({"prompt":"hi")" + (fields.empty() ? "" : "," + fields) + "}";
}
constexpr const char* kTool =
    R"("tools":[{"type":"function","function":{"name":"sum","parameters":{"type":"object"}}},)"
    R"({"type":"function","function":{"name":"now"}}])";

const ChatPrompt& chat_of(const GenerationRequest& request) {
  return std::get<ChatPrompt>(request.prompt);
}

TEST(ParseChat, ReadsWhatOpenAisClientsSend) {
  const GenerationRequest request = good(ApiDialect::kChat, R"({
    "model": "m", "messages": [
      {"role": "developer", "content": "Be brief."},
      {"role": "user", "name": "ann", "content": [{"type": "text", "text": "a"},
                                                  {"type": "text", "text": "b"}]},
      {"role": "assistant", "content": null, "reasoning_content": "hm", "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "sum", "arguments": "{\"x\":1}"}}]},
      {"role": "tool", "tool_call_id": "c1", "content": "2"}],
    "n": 2, "seed": -1, "temperature": 0, "top_p": 0.5, "top_k": 40, "min_p": 0.1,
    "presence_penalty": 1, "frequency_penalty": -1, "repetition_penalty": 1.1,
    "logit_bias": {"5": -100, "7": 2.5}, "logprobs": true, "top_logprobs": 3,
    "max_tokens": 5, "max_completion_tokens": 9, "min_tokens": 2, "stop": ["x", "yz"],
    "stop_token_ids": [4], "ignore_eos": true, "include_stop_str_in_output": true,
    "skip_special_tokens": false, "stream": true, "stream_options": {"include_usage": true},
    "priority": "background", "cache_salt": "s", "timeout": 1.5, "user": "u",
    "metadata": {"k": "v"}, "store": false, "service_tier": "auto", "modalities": ["text"],
    "chat_template_kwargs": {"a": 1}, "reasoning_effort": "low",
    "response_format": {"type": "json_object"}})");
  EXPECT_EQ(request.model, "m");
  EXPECT_EQ(chat_of(request).messages.dump(),
            R"([{"role":"system","content":"Be brief."},)"
            R"({"role":"user","content":"a\nb","name":"ann"},)"
            R"({"role":"assistant","content":"","reasoning_content":"hm","tool_calls":)"
            R"([{"id":"c1","type":"function","function":{"name":"sum","arguments":"{\"x\":1}"}}]},)"
            R"({"role":"tool","tool_call_id":"c1","content":"2","name":"sum"}])");
  EXPECT_EQ(chat_of(request).arguments.dump(), R"({"a":1,"reasoning_effort":"low"})");
  EXPECT_EQ(request.num_choices, 2u);
  EXPECT_EQ(request.sampling.seed, ~std::uint64_t{0});
  EXPECT_EQ(request.sampling.temperature, 0.0f);
  EXPECT_EQ(request.sampling.top_p, 0.5f);
  EXPECT_EQ(request.sampling.top_k, 40u);
  EXPECT_EQ(request.sampling.min_p, 0.1f);
  EXPECT_EQ(request.sampling.presence_penalty, 1.0f);
  EXPECT_EQ(request.sampling.frequency_penalty, -1.0f);
  EXPECT_EQ(request.sampling.repetition_penalty, 1.1f);
  ASSERT_EQ(request.sampling.logit_bias.size(), 2u);
  EXPECT_EQ(request.sampling.logit_bias[1].token, 7u);
  EXPECT_EQ(request.sampling.logit_bias[1].bias, 2.5f);
  EXPECT_EQ(request.sampling.top_logprobs, 3u);
  EXPECT_EQ(request.max_tokens, 9u);
  EXPECT_EQ(request.min_tokens, 2u);
  EXPECT_EQ(request.stops, (std::vector<std::string>{"x", "yz"}));
  EXPECT_EQ(request.stop_ids, std::vector<TokenId>{4});
  EXPECT_TRUE(request.ignores_eos);
  EXPECT_TRUE(request.shows_stop);
  EXPECT_FALSE(request.skips_special_tokens);
  EXPECT_TRUE(request.is_stream);
  EXPECT_TRUE(request.includes_usage);
  EXPECT_EQ(request.class_name, "background");
  EXPECT_EQ(request.cache_salt, "s");
  EXPECT_EQ(request.timeout, std::chrono::milliseconds(1500));
  EXPECT_EQ(request.user, "u");
  EXPECT_EQ(request.metadata.dump(), R"({"k":"v"})");
  EXPECT_EQ(request.format.kind, ResponseFormat::Kind::kJsonObject);
}

TEST(ParseChat, SaysNothingMeansTheDefaults) {
  ParseOptions options;
  options.sampling.temperature = 0.7f;
  options.sampling.top_k = 20;
  const OrderedJson body = MUST(parse_body(chat(R"("top_k":-1,"stop":null)")));
  const GenerationRequest request = MUST(parse_generation(ApiDialect::kChat, body, options));
  EXPECT_EQ(request.sampling.temperature, 0.7f);
  EXPECT_FALSE(request.sampling.top_k);
  EXPECT_FALSE(request.sampling.top_logprobs);
  EXPECT_EQ(request.num_choices, 1u);
  EXPECT_FALSE(request.max_tokens);
  EXPECT_FALSE(request.is_stream);
  EXPECT_TRUE(request.stops.empty());
  EXPECT_EQ(request.tool_choice.mode, ToolChoice::Mode::kNone);
  EXPECT_EQ(request.format.kind, ResponseFormat::Kind::kText);
  EXPECT_EQ(chat_of(request).generation_prompt, GenerationPrompt::kOn);
}

TEST(ParseChat, ReadsToolsAndTheirChoice) {
  using Mode = ToolChoice::Mode;
  const auto choice = [](const std::string& text) {
    return good(ApiDialect::kChat, chat(kTool + (text.empty() ? "" : ",\"tool_choice\":" + text)))
        .tool_choice;
  };
  EXPECT_EQ(choice("").mode, Mode::kAuto);
  EXPECT_EQ(choice("\"auto\"").mode, Mode::kAuto);
  EXPECT_EQ(choice("\"none\"").mode, Mode::kNone);
  EXPECT_EQ(choice("\"required\"").mode, Mode::kRequired);
  const ToolChoice named = choice(R"({"type":"function","function":{"name":"now"}})");
  EXPECT_EQ(named.mode, Mode::kRequired);
  EXPECT_EQ(named.names, std::vector<std::string>{"now"});
  const ToolChoice allowed = choice(R"({"type":"allowed_tools","allowed_tools":{"mode":"auto",)"
                                    R"("tools":[{"type":"function","function":{"name":"sum"}}]}})");
  EXPECT_EQ(allowed.mode, Mode::kAuto);
  EXPECT_EQ(allowed.names, std::vector<std::string>{"sum"});
  // Tools that may not be called are not shown to the model.
  EXPECT_TRUE(
      chat_of(good(ApiDialect::kChat, chat(std::string(kTool) + R"(,"tool_choice":"none")")))
          .tools.is_null());
  EXPECT_FALSE(good(ApiDialect::kChat, chat(std::string(kTool) + R"(,"parallel_tool_calls":false)"))
                   .calls_in_parallel);
}

TEST(ParseChat, ReadsEveryWayToAskForAForm) {
  using Kind = ResponseFormat::Kind;
  const auto format = [](const std::string& text) {
    return good(ApiDialect::kChat, chat(text)).format;
  };
  EXPECT_EQ(format(R"("response_format":{"type":"text"})").kind, Kind::kText);
  const char* const schemas[] = {
      R"("response_format":{"type":"json_schema","json_schema":)"
      R"({"name":"n","strict":true,"schema":{"a":1}}})",
      R"("response_format":{"type":"json_object","schema":{"a":1}})",
      R"("guided_json":{"a":1})",
      R"("guided_json":"{\"a\":1}")",
      R"("structured_outputs":{"json":{"a":1}})",
      R"("json_schema":{"a":1})",
  };
  for (const char* const text : schemas) {
    EXPECT_EQ(format(text).kind, Kind::kJsonSchema) << text;
    EXPECT_EQ(format(text).schema.dump(), R"({"a":1})") << text;
  }
  for (const char* const text :
       {R"("guided_regex":"a+")", R"("structured_outputs":{"regex":"a+"})"}) {
    EXPECT_EQ(format(text).kind, Kind::kRegex);
    EXPECT_EQ(format(text).pattern, "a+");
  }
  for (const char* const text : {R"("grammar":"a+")", R"("guided_grammar":"a+")"}) {
    EXPECT_EQ(format(text).kind, Kind::kGrammar);
    EXPECT_EQ(format(text).pattern, "a+");
  }
  const ResponseFormat styled =
      format(R"("guided_json":{"a":1},"structured_outputs":{"disable_any_whitespace":true,)"
             R"("disable_additional_properties":true,"finish_at_limit":false})");
  EXPECT_EQ(styled.kind, Kind::kJsonSchema);
  EXPECT_EQ(styled.style, (JsonStyle{.whitespace = JsonWhitespace::kSpaced,
                                     .unnamed_properties = UnnamedProperties::kForbidden}));
  EXPECT_EQ(styled.at_token_limit, AtTokenLimit::kCut);
  EXPECT_EQ(format(R"("guided_choice":["a","b"])").choices, (std::vector<std::string>{"a", "b"}));
}

TEST(ParseChat, ContinuesTheLastMessage) {
  const char* const messages = R"({"messages":[{"role":"user","content":"a"},)"
                               R"({"role":"assistant","content":"b"}],)";
  const GenerationRequest request =
      good(ApiDialect::kChat, messages + std::string(R"("continue_final_message":true})"));
  EXPECT_TRUE(chat_of(request).continues_final_message);
  EXPECT_EQ(chat_of(request).generation_prompt, GenerationPrompt::kOff);
}

TEST(ParseCompletions, ReadsEveryFormOfAPrompt) {
  const auto prompt = [](const std::string& text) {
    return good(ApiDialect::kCompletions, "{\"prompt\":" + text + "}").prompt;
  };
  EXPECT_EQ(std::get<TextPrompts>(prompt("\"a\"")), TextPrompts{"a"});
  EXPECT_EQ(std::get<TextPrompts>(prompt(R"(["a","b"])")), (TextPrompts{"a", "b"}));
  EXPECT_EQ(std::get<TokenPrompts>(prompt("[1,2]")), (TokenPrompts{{1, 2}}));
  EXPECT_EQ(std::get<TokenPrompts>(prompt("[[1],[2,3]]")), (TokenPrompts{{1}, {2, 3}}));
  const GenerationRequest request =
      good(ApiDialect::kCompletions, completion(R"("logprobs":2,"n":3,"best_of":3,"suffix":"")"));
  EXPECT_EQ(request.sampling.top_logprobs, 2u);
  EXPECT_EQ(request.max_tokens, 16u);
  EXPECT_EQ(request.num_choices, 3u);
  EXPECT_TRUE(good(ApiDialect::kCompletions, completion(R"("echo":true)")).echoes_prompt);
  const GenerationRequest scored =
      good(ApiDialect::kCompletions, completion(R"("echo":true,"logprobs":2,"max_tokens":0)"));
  EXPECT_EQ(scored.prompt_logprobs, 2u);
  EXPECT_EQ(scored.max_tokens, 1u);
  EXPECT_FALSE(scored.generates || scored.shows_prompt_logprobs);
  const GenerationRequest shown =
      good(ApiDialect::kCompletions, completion(R"("prompt_logprobs":0)"));
  EXPECT_TRUE(shown.shows_prompt_logprobs && shown.generates);
}

TEST(ParseResponses, ItemsBecomeMessages) {
  const GenerationRequest request = good(ApiDialect::kResponses, R"({"model":"m",
    "instructions":"Be brief.","input":[
      {"role":"user","content":[{"type":"input_text","text":"a"}]},
      {"type":"reasoning","id":"r","summary":[],"content":[{"type":"reasoning_text","text":"hm"}]},
      {"type":"message","role":"assistant","content":[{"type":"output_text","text":"b"}]},
      {"type":"function_call","call_id":"c1","name":"sum","arguments":"{}"},
      {"type":"function_call","call_id":"c2","name":"now","arguments":"{}"},
      {"type":"function_call_output","call_id":"c2","output":"3"}],
    "tools":[{"type":"function","name":"sum","parameters":{"type":"object"},"strict":true}],
    "tool_choice":{"type":"function","name":"sum"},"max_output_tokens":7,"store":false,
    "reasoning":{"effort":"none"},"include":["message.output_text.logprobs"],"top_logprobs":2,
    "text":{"format":{"type":"json_schema","name":"n","schema":{"a":1}}}})");
  EXPECT_EQ(chat_of(request).messages.dump(),
            R"([{"role":"system","content":"Be brief."},{"role":"user","content":"a"},)"
            R"({"role":"assistant","content":"b","reasoning_content":"hm","tool_calls":)"
            R"([{"id":"c1","type":"function","function":{"name":"sum","arguments":"{}"}},)"
            R"({"id":"c2","type":"function","function":{"name":"now","arguments":"{}"}}]},)"
            R"({"role":"tool","tool_call_id":"c2","content":"3","name":"now"}])");
  EXPECT_EQ(chat_of(request).tools.dump(),
            R"([{"type":"function","function":{"name":"sum","parameters":{"type":"object"},)"
            R"("strict":true}}])");
  EXPECT_EQ(request.tool_choice.names, std::vector<std::string>{"sum"});
  EXPECT_EQ(request.max_tokens, 7u);
  EXPECT_EQ(request.sampling.top_logprobs, 2u);
  EXPECT_EQ(request.format.schema.dump(), R"({"a":1})");
  EXPECT_EQ(chat_of(request).arguments.dump(), R"({"enable_thinking":false,"thinking":false})");
}

TEST(ParseMessages, BlocksBecomeMessages) {
  const GenerationRequest request = good(ApiDialect::kMessages, R"({"model":"m","max_tokens":7,
    "system":[{"type":"text","text":"Be brief.","cache_control":{"type":"ephemeral"}}],
    "messages":[{"role":"user","content":"a"},
      {"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":""},
        {"type":"text","text":"b"},{"type":"tool_use","id":"c1","name":"sum","input":{"x":1}}]},
      {"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":
        [{"type":"text","text":"2"}]},{"type":"text","text":"go on"}]}],
    "tools":[{"name":"sum","description":"adds","input_schema":{"type":"object"}}],
    "tool_choice":{"type":"any","disable_parallel_tool_use":true},
    "stop_sequences":["x"],"top_k":5,"metadata":{"user_id":"u"},
    "thinking":{"type":"enabled","budget_tokens":1024}})");
  EXPECT_EQ(chat_of(request).messages.dump(),
            R"([{"role":"system","content":"Be brief."},{"role":"user","content":"a"},)"
            R"({"role":"assistant","content":"b","reasoning_content":"hm","tool_calls":)"
            R"([{"id":"c1","type":"function","function":{"name":"sum","arguments":"{\"x\":1}"}}]},)"
            R"({"role":"tool","tool_call_id":"c1","content":"2","name":"sum"},)"
            R"({"role":"user","content":"go on"}])");
  EXPECT_EQ(chat_of(request).tools.dump(),
            R"([{"type":"function","function":{"name":"sum","description":"adds",)"
            R"("parameters":{"type":"object"}}}])");
  EXPECT_EQ(request.tool_choice.mode, ToolChoice::Mode::kRequired);
  EXPECT_FALSE(request.calls_in_parallel);
  EXPECT_EQ(request.stops, std::vector<std::string>{"x"});
  EXPECT_EQ(chat_of(request).arguments.dump(), R"({"enable_thinking":true,"thinking":true})");

  const GenerationRequest prefilled =
      good(ApiDialect::kMessages,
           R"({"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]})");
  EXPECT_TRUE(chat_of(prefilled).continues_final_message);
}

struct Refusal {
  ApiDialect dialect;
  std::string body;
  ErrorCode code;
  std::string message;
};

std::vector<Refusal> refusals() {
  constexpr ApiDialect kChat = ApiDialect::kChat;
  constexpr ApiDialect kText = ApiDialect::kCompletions;
  constexpr ApiDialect kResponses = ApiDialect::kResponses;
  constexpr ApiDialect kMessages = ApiDialect::kMessages;
  constexpr ErrorCode kInvalid = ErrorCode::kInvalidArgument;
  constexpr ErrorCode kUnsupported = ErrorCode::kUnsupported;
  constexpr ErrorCode kTooLarge = ErrorCode::kTooLarge;
  const std::string tool(kTool);
  return {
      {kChat, "{", kInvalid, "the body: not valid JSON"},
      {kChat, "[]", kInvalid, "the body is an array of 0, expected an object"},
      {kChat, std::string(100, '['), kTooLarge, "the body: JSON nested 100 deep exceeds 48"},
      {kChat, "{}", kInvalid, "messages is missing"},
      {kChat, R"({"messages":[]})", kInvalid, "messages is an array of 0, expected at least one"},
      {kChat, R"({"messages":[1]})", kInvalid, "messages[0] is 1, expected an object"},
      {kChat, R"({"messages":[{"content":"x"}]})", kInvalid, "messages[0].role is missing"},
      {kChat, R"({"messages":[{"role":"king","content":"x"}]})", kInvalid,
       R"(messages[0].role is "king", expected system,)"},
      {kChat, R"({"messages":[{"role":"user"}]})", kInvalid, "messages[0].content is missing"},
      {kChat, R"({"messages":[{"role":"user","content":[{"type":"image_url","image_url":{}}]}]})",
       kUnsupported, R"(messages[0].content[0].type "image_url" is not supported)"},
      {kChat, R"({"messages":[{"role":"user","content":[{"type":"input_audio"}]}]})", kUnsupported,
       R"(messages[0].content[0].type "input_audio" is not supported)"},
      {kChat, R"({"messages":[{"role":"tool","content":"x"}]})", kInvalid,
       "messages[0].tool_call_id is missing"},
      {kChat, R"({"messages":[{"role":"assistant","content":null}]})", kInvalid,
       "messages[0].content is missing"},
      {kChat, chat(R"("colour":1)"), kInvalid, "colour is no field of /v1/chat/completions"},
      {kChat, chat(R"("store":true)"), kUnsupported, "store is not supported"},
      {kChat, chat(R"("audio":{})"), kUnsupported, "audio is not supported"},
      {kChat, chat(R"("functions":[])"), kUnsupported, "functions is not supported"},
      {kChat, chat(R"("use_beam_search":true)"), kUnsupported, "use_beam_search is not supported"},
      {kChat, chat(R"("temperature":"hot")"), kInvalid,
       R"(temperature is "hot", expected a number)"},
      {kChat, chat(R"("temperature":101)"), kInvalid, "temperature is 101, expected 0 to 100"},
      {kChat, chat(R"("top_p":0)"), kInvalid, "top_p is 0, expected above 0 and at most 1"},
      {kChat, chat(R"("top_k":-2)"), kInvalid, "top_k is -2, expected a whole number from 1"},
      {kChat, chat(R"("n":0)"), kInvalid, "n is 0, expected a whole number from 1 to 128"},
      {kChat, chat(R"("n":1.5)"), kInvalid, "n is 1.5, expected a whole number"},
      {kChat, chat(R"("n":1000)"), kInvalid, "n is 1000"},
      {kChat, chat(R"("seed":1.5)"), kInvalid, "seed is 1.5"},
      {kChat, chat(R"("seed":99999999999999999999)"), kInvalid, "seed is"},
      {kChat, chat(R"("max_tokens":0)"), kInvalid, "max_tokens is 0"},
      {kChat, chat(R"("max_tokens":1e400)"), kInvalid, "the body: not valid JSON"},
      {kChat, chat(R"("max_tokens":3,"min_tokens":4)"), kInvalid, "min_tokens is 4"},
      {kChat, chat(R"("stop":[""])"), kInvalid, "stop[0] is \"\""},
      {kChat, chat(R"("stop":7)"), kInvalid, "stop is 7, expected a string or"},
      {kChat, chat("\"stop\":\"" + std::string(2000, 'x') + "\""), kTooLarge,
       "stop has 2000 bytes"},
      {kChat, chat(R"("top_logprobs":2)"), kInvalid, "top_logprobs is 2, expected logprobs"},
      {kChat, chat(R"("logprobs":true,"top_logprobs":21)"), kInvalid, "top_logprobs is 21"},
      {kChat, chat(R"("logit_bias":{"x":1})"), kInvalid, R"(logit_bias has the key "x")"},
      {kChat, chat(R"("logit_bias":{"1":200})"), kInvalid, "logit_bias is 200"},
      {kChat, chat(R"("stream_options":{})"), kInvalid, "stream_options is there"},
      {kChat, chat(R"("stream":true,"stream_options":{"x":1})"), kUnsupported,
       "stream_options.x is not supported"},
      {kChat, chat(R"("priority":3)"), kInvalid, "priority is 3, expected the name"},
      {kChat, chat(R"("timeout":0)"), kInvalid, "timeout is 0"},
      {kChat, chat(R"("tool_choice":"required")"), kInvalid, "tool_choice asks for a call"},
      {kChat, chat(tool + R"(,"tool_choice":"maybe")"), kInvalid, "tool_choice is \"maybe\""},
      {kChat, chat(tool + R"(,"tool_choice":{"type":"function","function":{"name":"x"}})"),
       kInvalid, "tool_choice names x, which is not among tools"},
      {kChat, chat(R"("tools":[{"type":"custom","custom":{}}])"), kUnsupported,
       R"(tools[0].type "custom" is not supported)"},
      {kChat, chat(R"("tools":[{"type":"function","function":{"name":"a b"}}])"), kInvalid,
       "tools[0].function.name is \"a b\""},
      {kChat,
       chat(R"("tools":[{"type":"function","function":{"name":"a"}},)"
            R"({"type":"function","function":{"name":"a"}}])"),
       kInvalid, "tools has two of the name a"},
      {kChat, chat(R"("response_format":{"type":"xml"})"), kInvalid, "response_format.type is"},
      {kChat, chat(R"("response_format":{"type":"json_schema"})"), kInvalid,
       "response_format.schema is missing"},
      {kChat, chat(R"("guided_regex":"a","grammar":"b")"), kInvalid,
       "grammar and guided_regex both say"},
      {kChat, chat(R"("guided_json":"{")"), kInvalid, "guided_json: not valid JSON"},
      {kChat, chat(R"("structured_outputs":{"structural_tag":{}})"), kUnsupported,
       "structured_outputs.structural_tag is not supported"},
      {kChat, chat(R"("continue_final_message":true)"), kInvalid, "continue_final_message is true"},
      {kChat, chat(R"("reasoning_effort":"huge")"), kInvalid, "reasoning_effort is \"huge\""},
      {kText, "{}", kInvalid, "prompt is missing"},
      {kText, R"({"prompt":[]})", kInvalid, "prompt is an array of 0"},
      {kText, R"({"prompt":[1,"a"]})", kInvalid, "prompt[1] is \"a\", expected a token id"},
      {kText, R"({"prompt":["a",1]})", kInvalid, "prompt[1] is 1, expected a string"},
      {kText, R"({"prompt":[[1],[]]})", kInvalid, "prompt[1] is an array of 0"},
      {kText, R"({"prompt":[-1]})", kInvalid, "prompt[0] is -1"},
      {kText, R"({"prompt":[4294967296]})", kInvalid, "prompt[0] is 4294967296"},
      {kText, completion(R"("best_of":2)"), kUnsupported, "best_of is 2, only the value of n"},
      {kText, completion(R"("suffix":"x")"), kUnsupported, "suffix is not supported"},
      {kText, completion(R"("prompt_logprobs":1,"stream":true)"), kUnsupported,
       "prompt_logprobs with stream"},
      {kText, completion(R"("messages":[])"), kInvalid, "messages is no field of /v1/completions"},
      {kResponses, R"({"input":"a","previous_response_id":"r"})", kUnsupported,
       "previous_response_id is not supported"},
      {kResponses, R"({"input":"a","store":true})", kUnsupported, "store is not supported"},
      {kResponses, R"({"input":"a","background":true})", kUnsupported, "background is not"},
      {kResponses, R"({"input":"a","tools":[{"type":"web_search"}]})", kUnsupported,
       R"(tools[0].type "web_search" is not supported)"},
      {kResponses, R"({"input":[{"type":"item_reference","id":"x"}]})", kUnsupported,
       R"(input[0].type "item_reference" is not supported)"},
      {kResponses, R"({"input":[]})", kInvalid, "input is an array of 0"},
      {kMessages, R"({"messages":[{"role":"system","content":"x"}]})", kInvalid,
       R"(messages[0].role is "system", expected user or assistant)"},
      {kMessages, R"({"messages":[{"role":"user","content":[{"type":"image"}]}]})", kUnsupported,
       R"(messages[0].content[0].type "image" in a message of user is not supported)"},
      {kMessages, R"({"messages":[{"role":"user","content":"x"}],"mcp_servers":[{}]})",
       kUnsupported, "mcp_servers is not supported"},
  };
}

TEST(ParseRequest, RefusesByName) {
  for (const Refusal& refusal : refusals()) {
    const Result<GenerationRequest> request = parse(refusal.dialect, refusal.body);
    ASSERT_FALSE(request.ok()) << refusal.body;
    EXPECT_EQ(request.error().message.substr(0, refusal.message.size()), refusal.message)
        << refusal.body;
    EXPECT_EQ(request.error().code, refusal.code) << request.error().message;
  }
}

TEST(ParseRequest, LimitsAnswers) {
  std::string prompts = "[";
  for (int i = 0; i < 600; ++i) prompts += (i == 0 ? "" : ",") + std::string("\"a\"");
  const auto request = parse(ApiDialect::kCompletions, "{\"n\":2,\"prompt\":" + prompts + "]}");
  ASSERT_FALSE(request.ok());
  EXPECT_EQ(request.error().message,
            "n of 2 for 600 prompts makes 1200 answers, at most 1024 are allowed");
}

TEST(ParseEmbedding, ReadsAndWrites) {
  const auto parse_it = [](const std::string& text) {
    return parse_embedding(MUST(parse_body(text)));
  };
  const EmbeddingRequest request = MUST(parse_it(
      R"({"model":"m","input":["a","b"],"encoding_format":"base64","dimensions":2,"user":"u"})"));
  EXPECT_EQ(std::get<TextPrompts>(request.input), (TextPrompts{"a", "b"}));
  // 3 and 4 of a longer vector, normalised: 0.6 and 0.8.
  EXPECT_EQ(
      embedding_body(request, "m", {{3, 4, 12}, {1}}, 5),
      R"({"object":"list","data":[{"object":"embedding","index":0,"embedding":"mpkZP83MTD8="},)"
      R"({"object":"embedding","index":1,"embedding":"AACAPw=="}],"model":"m",)"
      R"("usage":{"prompt_tokens":5,"total_tokens":5}})");
  const EmbeddingRequest floats = MUST(parse_it(R"({"input":[[1,2]]})"));
  EXPECT_EQ(std::get<TokenPrompts>(floats.input), (TokenPrompts{{1, 2}}));
  EXPECT_EQ(embedding_body(floats, "m", {{0.5f, 1}}, 2),
            R"({"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5,1.0]}],)"
            R"("model":"m","usage":{"prompt_tokens":2,"total_tokens":2}})");
  EXPECT_FALSE(parse_it(R"({"input":"a","encoding_format":"hex"})").ok());
  EXPECT_FALSE(parse_it(R"({"input":"a","temperature":1})").ok());
  EXPECT_FALSE(parse_it(R"({"input":[]})").ok());
}

TEST(ParseTokenize, TextsConversationsAndIds) {
  const auto parse_it = [](const std::string& text) {
    return parse_tokenize(MUST(parse_body(text)));
  };
  const TokenizeRequest request =
      MUST(parse_it(R"({"prompt":"a","add_special_tokens":false,"return_token_strs":true})"));
  EXPECT_EQ(std::get<std::string>(request.prompt), "a");
  EXPECT_FALSE(request.adds_special_tokens);
  EXPECT_EQ(tokenize_body({7, 8}, {"x", "y"}, request, 100),
            R"({"count":2,"max_model_len":100,"tokens":[7,8],"token_strs":["x","y"]})");
  EXPECT_EQ(std::get<std::string>(MUST(parse_it(R"({"content":"b"})")).prompt), "b");
  const TokenizeRequest conversation =
      MUST(parse_it(R"({"messages":[{"role":"user","content":"a"}]})"));
  EXPECT_EQ(std::get<ChatPrompt>(conversation.prompt).messages.size(), 1u);
  EXPECT_FALSE(parse_it("{}").ok());
  EXPECT_FALSE(parse_it(R"({"prompt":"a","content":"b"})").ok());
  EXPECT_EQ(MUST(parse_detokenize(MUST(parse_body(R"({"tokens":[1,2]})")))).tokens,
            (std::vector<TokenId>{1, 2}));
  EXPECT_FALSE(parse_detokenize(MUST(parse_body("{}"))).ok());
  EXPECT_EQ(detokenize_body("a"), R"({"prompt":"a","content":"a"})");
}

TEST(ApiErrors, EveryCodeHasAStatusAndABodyInBothForms) {
  using Code = ErrorCode;
  const std::pair<Code, int> statuses[] = {
      {Code::kInvalidArgument, 400},  {Code::kUnauthenticated, 401},
      {Code::kPermissionDenied, 403}, {Code::kNotFound, 404},
      {Code::kTooLarge, 400},         {Code::kResourceExhausted, 429},
      {Code::kDeadlineExceeded, 408}, {Code::kCancelled, 499},
      {Code::kUnsupported, 400},      {Code::kCorruptData, 500},
      {Code::kUnavailable, 503}};
  for (const auto& [code, status] : statuses) {
    const ApiError error = api_error(Error{code, "something is wrong"});
    EXPECT_EQ(error.status, status);
    EXPECT_EQ(error.retry_after.has_value(), status == 429 || status == 503);
  }
  const ApiError error =
      api_error(Error{Code::kInvalidArgument, "messages[0].role is 1, expected a string"});
  EXPECT_EQ(error_body(error, ErrorForm::kOpenAi),
            R"({"error":{"message":"messages[0].role is 1, expected a string",)"
            R"("type":"invalid_request_error","param":"messages[0].role","code":null}})");
  EXPECT_EQ(error_body(error, ErrorForm::kAnthropic),
            R"({"type":"error","error":{"type":"invalid_request_error",)"
            R"("message":"messages[0].role is 1, expected a string"}})");
  EXPECT_EQ(api_error(Error{Code::kNotFound, "model x is not here"}).param, "model");
  EXPECT_EQ(api_error(Error{Code::kCorruptData, "model x is not here"}).param, "");
}

TEST(ApiErrors, AFieldThatNobodyKnowsIsNamed) {
  const Result<GenerationRequest> unknown = parse(ApiDialect::kChat, chat(R"("colour":1)"));
  ASSERT_FALSE(unknown.ok());
  const ApiError error = api_error(unknown.error());
  EXPECT_EQ(error.status, 400);
  EXPECT_EQ(error.param, "colour");
  EXPECT_EQ(error.code, "unknown_parameter");
  const Result<GenerationRequest> refused = parse(ApiDialect::kChat, chat(R"("audio":{})"));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(api_error(refused.error()).param, "audio");
  EXPECT_EQ(api_error(refused.error()).code, "unsupported_parameter");
}

TEST(ParseGeneration, PromptsMayBeCutToWhatFits) {
  EXPECT_TRUE(
      good(ApiDialect::kResponses, R"({"input":"a","truncation":"auto"})").truncates_prompt);
  EXPECT_FALSE(
      good(ApiDialect::kResponses, R"({"input":"a","truncation":"disabled"})").truncates_prompt);
  EXPECT_FALSE(parse(ApiDialect::kResponses, R"({"input":"a","truncation":"some"})").ok());
  EXPECT_TRUE(good(ApiDialect::kChat, chat(R"("truncate_prompt_tokens":-1)")).truncates_prompt);
  EXPECT_FALSE(parse(ApiDialect::kChat, chat(R"("truncate_prompt_tokens":-2)")).ok());
}

TEST(ParseGeneration, VerbosityAndEffortAreTheTemplatesVariables) {
  const auto arguments = [](const GenerationRequest& request) {
    return chat_of(request).arguments.dump();
  };
  EXPECT_EQ(arguments(good(ApiDialect::kChat, chat(R"("verbosity":"low")"))),
            R"({"verbosity":"low"})");
  EXPECT_EQ(arguments(good(ApiDialect::kResponses, R"({"input":"a","text":{"verbosity":"high"}})")),
            R"({"verbosity":"high"})");
  EXPECT_FALSE(parse(ApiDialect::kChat, chat(R"("verbosity":"loud")")).ok());
}

TEST(ParseAnthropic, TheOldNameOfAFormatIsReadToo) {
  const GenerationRequest request =
      good(ApiDialect::kMessages, R"({"messages":[{"role":"user","content":"a"}],"max_tokens":1,
      "output_format":{"type":"json_schema","schema":{"type":"object"}}})");
  EXPECT_EQ(request.format.kind, ResponseFormat::Kind::kJsonSchema);
}

TEST(RequestFields, AFieldWithoutAWishIsNoWish) {
  EXPECT_TRUE(
      parse(ApiDialect::kChat, chat(R"("audio":null,"length_penalty":1,"bad_words":[])")).ok());
  EXPECT_TRUE(is_request_field("messages"));
  EXPECT_FALSE(is_request_field("colour"));
}

}  // namespace
}  // namespace millrace
