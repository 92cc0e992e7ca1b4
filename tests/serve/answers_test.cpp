// One answer in every dialect, whole and streamed, against files: what clients have been shown to
// read. UPDATE_GOLDEN=1 rewrites the files instead.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "base/file.h"
#include "serve/api/answer.h"
#include "serve/api/parse_request.h"

namespace millrace {
namespace {

GenerationRequest request_of(ApiDialect dialect, const std::string& text) {
  const OrderedJson body = MUST(parse_body(text));  // written below
  return MUST(parse_generation(dialect, body));     // written below
}

TokenLogprobs token(TokenId id, const std::string& bytes, float logprob) {
  return {.token = {id, bytes, logprob}, .top = {{id, bytes, logprob}, {9, "\xe2\x82", -3.5f}}};
}

using Events = std::vector<AnswerEvent>;

Events thoughts() {
  return {{0, ReasoningDelta{.text = "Let me "}}, {0, ReasoningDelta{.text = "see."}}};
}

Events text(std::size_t choice) {
  return {{choice, ContentDelta{.text = "H\xc3\xa9", .logprobs = {token(5, "H\xc3\xa9", -0.5f)}}},
          {choice, ContentDelta{.text = "", .logprobs = {token(6, "\xe2\x82", -0.25f)}}},
          {choice, ContentDelta{.text = "\xe2\x82\xac\n", .logprobs = {token(7, "\xac\n", -1)}}}};
}

Events calls() {
  return {{0, ToolCallBegin{.call = 0, .id = "call_a", .name = "sum"}},
          {0, ToolCallDelta{.call = 0, .arguments = "{\"x\": "}},
          {0, ToolCallDelta{.call = 0, .arguments = "1}"}},
          {0, ToolCallEnd{.call = 0}},
          {0, ToolCallBegin{.call = 1, .id = "call_b", .name = "now"}},
          {0, ToolCallDelta{.call = 1, .arguments = "{}"}},
          {0, ToolCallEnd{.call = 1}}};
}

Events ended(std::size_t choice, AnswerEnd end) {
  ChoiceFinished finished{.end = end};
  if (end == AnswerEnd::kStopString) finished.stop_string = "STOP";
  return {{choice, finished}};
}

Events joined(const std::vector<Events>& parts) {
  Events all;
  for (const Events& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

constexpr Usage kUsage{.num_prompt = 20, .num_cached = 16, .num_completion = 9, .num_reasoning = 3};

std::string written(const GenerationRequest& request, const Events& events) {
  const auto writer = make_answer_writer(
      request, {.id = "abc123", .unix_seconds = 1700000000, .model = "small", .num_prompt = 20});
  std::string out;
  writer->begin(out);
  for (const AnswerEvent& event : events) writer->write(event, out);
  writer->finish(kUsage, out);
  return out;
}

std::string failed(const GenerationRequest& request) {
  const auto writer = make_answer_writer(
      request, {.id = "abc123", .unix_seconds = 1700000000, .model = "small", .num_prompt = 20});
  std::string out;
  writer->begin(out);
  writer->write({0, ContentDelta{.text = "Hel"}}, out);
  writer->fail(api_error(Error{ErrorCode::kUnavailable, "the model failed"}), out);
  return out;
}

void expect_file(const std::string& name, const std::string& text) {
  const std::string path = std::string(MILLRACE_GOLDEN) + "/" + name;
  if (std::getenv("UPDATE_GOLDEN") != nullptr) MUST(write_file(path, text));  // asked to
  EXPECT_EQ(MUST(read_file(path, 1 << 20)), text) << name;  // a file beside the test
}

void expect_both(const std::string& name, ApiDialect dialect, const std::string& fields,
                 const Events& events) {
  expect_file(name + ".json", written(request_of(dialect, "{" + fields + "}"), events));
  const std::string usage = dialect == ApiDialect::kMessages || dialect == ApiDialect::kResponses
                                ? ""
                                : R"(,"stream_options":{"include_usage":true})";
  const GenerationRequest streamed =
      request_of(dialect, "{" + fields + ",\"stream\":true" + usage + "}");
  expect_file(name + ".sse", written(streamed, events));
  expect_file(name + "_failed.sse", failed(streamed));
}

constexpr const char* kMessages = R"("messages":[{"role":"user","content":"hi"}])";

TEST(Answers, Chat) {
  expect_both("chat", ApiDialect::kChat,
              std::string(kMessages) + R"(,"n":2,"logprobs":true,"top_logprobs":2)",
              joined({thoughts(), text(0), calls(), ended(0, AnswerEnd::kToolCalls), text(1),
                      ended(1, AnswerEnd::kLength)}));
}

TEST(Answers, Completions) {
  expect_both(
      "completions", ApiDialect::kCompletions, R"("prompt":["a","b"],"logprobs":2)",
      joined({text(0), ended(0, AnswerEnd::kStopString), text(1), ended(1, AnswerEnd::kDeadline)}));
}

TEST(Answers, Responses) {
  expect_both("responses", ApiDialect::kResponses,
              R"("input":"a","max_output_tokens":50,"top_logprobs":2,)"
              R"("tools":[{"type":"function","name":"sum","parameters":{"type":"object"}}])",
              joined({thoughts(), text(0), calls(), ended(0, AnswerEnd::kToolCalls)}));
  const GenerationRequest request = request_of(ApiDialect::kResponses, R"({"input":"a"})");
  expect_file("responses_cut.json",
              written(request, joined({text(0), ended(0, AnswerEnd::kLength)})));
}

TEST(Answers, Messages) {
  expect_both("messages", ApiDialect::kMessages, kMessages,
              joined({thoughts(), text(0), calls(), ended(0, AnswerEnd::kToolCalls)}));
  const GenerationRequest request =
      request_of(ApiDialect::kMessages, "{" + std::string(kMessages) + "}");
  expect_file("messages_stopped.json",
              written(request, joined({text(0), ended(0, AnswerEnd::kStopString)})));
}

// Calls that were cut short are still an answer.
TEST(Answers, ACallThatIsNoJsonYetStaysReadable) {
  const GenerationRequest request =
      request_of(ApiDialect::kMessages, "{" + std::string(kMessages) + "}");
  const std::string body =
      written(request, {{0, ToolCallBegin{.call = 0, .id = "c", .name = "sum"}},
                        {0, ToolCallDelta{.call = 0, .arguments = "{\"x\": "}},
                        {0, ToolCallEnd{.call = 0}},
                        {0, ChoiceFinished{.end = AnswerEnd::kLength}}});
  EXPECT_EQ(OrderedJson::parse(body)["content"][0]["input"].dump(), R"({"arguments":"{\"x\": "})");
}

}  // namespace
}  // namespace millrace
