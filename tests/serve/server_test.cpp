// The whole server over real sockets, on a model that writes the alphabet: answers, streams,
// refusals, clients that go or stall, overload and the end.
#include "serve/service/server.h"

#include <gtest/gtest.h>

#include <functional>
#include <thread>

#include "serve/fake_model.h"
#include "serve/http_client.h"

namespace millrace {
namespace {

using std::chrono::milliseconds;

std::string alphabet(std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) text += static_cast<char>('a' + i % 26);
  return text;
}

Json json_of(const std::string& text) {
  Result<Json> json = parse_json(text, "reply");
  EXPECT_TRUE(json.ok()) << text;
  return json.ok() ? std::move(json).value() : Json();
}

std::string chat_body(std::size_t max_tokens, const std::string& more = "") {
  return R"({"model":"fake","messages":[{"role":"user","content":"Hi"}],"max_tokens":)" +
         std::to_string(max_tokens) + more + "}";
}

class ServerTest : public ::testing::Test {
 protected:
  void start(const FakeModelOptions& model = {}, ServerOptions options = {}) {
    make(model, options);
    ASSERT_TRUE(directory_->load("fake").ok());
    server_->set_ready();
  }
  void make(const FakeModelOptions& model, ServerOptions options) {
    loader_ = std::make_unique<FakeLoader>(model);
    hub_ = std::make_unique<AnswerHub>(model.scheduler.num_requests_max);
    registry_ = MUST(
        ModelRegistry::create({.bytes_max = 10'000, .listener = hub_.get()}, *loader_, clock_));
    directory_ = std::make_unique<ModelDirectory>(*registry_, *loader_);
    server_ = MUST(Server::create(options, *directory_, *hub_, {}, clock_));
    registry_->start();
    server_->start();
  }
  void TearDown() override {
    if (server_ == nullptr) return;
    server_->stop();
    registry_->shutdown(Shutdown::kCancel);
  }

  std::uint16_t port() const { return server_->http().port(); }
  HttpClient client() { return HttpClient(port()); }
  std::size_t num_live() const {
    std::size_t count = 0;
    for (const ModelStatus& model : registry_->models()) count += model.num_live;
    return count;
  }
  bool await(const std::function<bool()>& condition) {
    for (int i = 0; i < 4000; ++i) {
      if (condition()) return true;
      std::this_thread::sleep_for(milliseconds(5));
    }
    return false;
  }
  // The text of a streamed chat whose request was sent; what is missing says how it failed.
  std::string read_chat_stream(HttpClient& one) {
    const auto head = one.read_head();
    if (!head) return "no reply";
    if (head->status != 200) return "status " + std::to_string(head->status);
    std::string text;
    while (const std::optional<std::string> event = one.read_event()) {
      if (*event == "[DONE]") return one.read_event() ? "after done" : text;
      const Json json = json_of(*event);
      if (!json.contains("choices")) return "error: " + *event;
      if (json["choices"].empty()) continue;  // The usage.
      const Json& delta = json["choices"][0]["delta"];
      if (delta.contains("content") && delta["content"].is_string()) {
        text += delta["content"].get<std::string>();
      }
    }
    return "cut off: " + text;
  }

  SystemClock clock_;
  std::unique_ptr<FakeLoader> loader_;
  std::unique_ptr<AnswerHub> hub_;
  std::unique_ptr<ModelRegistry> registry_;
  std::unique_ptr<ModelDirectory> directory_;
  std::unique_ptr<Server> server_;
};

TEST_F(ServerTest, SaysHowItIsAndWhatItServes) {
  start();
  HttpClient one = client();
  EXPECT_EQ(one.get("/health/live")->status, 200);
  EXPECT_EQ(one.get("/health/ready")->status, 200);
  const auto models = one.get("/v1/models");
  EXPECT_EQ(json_of(models->body)["data"][0]["id"], "fake");
  EXPECT_EQ(json_of(one.get("/v1/models/fake")->body)["id"], "fake");
  EXPECT_EQ(one.get("/v1/models/other")->status, 404);
  EXPECT_EQ(one.get("/nowhere")->status, 404);
  const auto wrong = one.get("/v1/chat/completions");
  EXPECT_EQ(wrong->status, 405);
  EXPECT_EQ(wrong->headers.at("allow"), "POST");
}

TEST_F(ServerTest, EveryReplyHasARequestId) {
  start();
  HttpClient one = client();
  EXPECT_EQ(one.get("/v1/models", "x-request-id: mine-1\r\n")->headers.at("x-request-id"),
            "mine-1");
  const std::string first = one.get("/v1/models")->headers.at("x-request-id");
  EXPECT_NE(first,
            one.get("/v1/models", "x-request-id: two words\r\n")->headers.at("x-request-id"));
  EXPECT_EQ(one.post("/v1/chat/completions", chat_body(1), "x-request-id: mine-2\r\n")
                ->headers.at("x-request-id"),
            "mine-2");
}

TEST_F(ServerTest, AnswersAChatWhole) {
  start();
  HttpClient one = client();
  const auto reply = one.post("/v1/chat/completions", chat_body(30));
  ASSERT_EQ(reply->status, 200) << reply->body;
  const Json json = json_of(reply->body);
  EXPECT_EQ(json["choices"][0]["message"]["content"], alphabet(30));
  EXPECT_EQ(json["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(json["usage"]["completion_tokens"], 30);
  EXPECT_EQ(json["model"], "fake");
}

TEST_F(ServerTest, StreamsAChatWithItsUsage) {
  start();
  HttpClient one = client();
  for (int round = 0; round < 3; ++round) {
    one.send_post("/v1/chat/completions",
                  chat_body(100, R"(,"stream":true,"stream_options":{"include_usage":true})"));
    EXPECT_EQ(read_chat_stream(one), alphabet(100));
  }
}

TEST_F(ServerTest, SeveralChoicesAndPromptsAreOneAnswer) {
  start();
  HttpClient one = client();
  const auto reply =
      one.post("/v1/completions", R"({"model":"fake","prompt":["a","b"],"n":2,"max_tokens":5})");
  ASSERT_EQ(reply->status, 200) << reply->body;
  const Json json = json_of(reply->body);
  ASSERT_EQ(json["choices"].size(), 4u);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(json["choices"][i]["index"], i);
    EXPECT_EQ(json["choices"][i]["text"], "abcde");
  }
  EXPECT_EQ(json["usage"]["completion_tokens"], 20);
  EXPECT_EQ(json["usage"]["prompt_tokens"], 2);
}

TEST_F(ServerTest, StopStringsEndAnAnswerAndItsWork) {
  start();
  HttpClient one = client();
  const auto reply =
      one.post("/v1/chat/completions", chat_body(5000, R"(,"stop":["xyzab","never"])"));
  const Json json = json_of(reply->body);
  EXPECT_EQ(json["choices"][0]["message"]["content"], alphabet(23));
  EXPECT_EQ(json["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(json["usage"]["completion_tokens"], 28);
  EXPECT_TRUE(await([&] { return num_live() == 0; }));
}

TEST_F(ServerTest, WhatCannotBeEnforcedIsRefused) {
  start();
  HttpClient one = client();
  const auto reply =
      one.post("/v1/chat/completions",
               chat_body(5, R"(,"response_format":{"type":"json_schema","json_schema":{"name":"x",)"
                            R"("schema":{"type":"string","minLength":5,"maxLength":2}}})"));
  EXPECT_EQ(reply->status / 100, 4) << reply->status << reply->body;
  EXPECT_EQ(one.post("/v1/chat/completions", chat_body(1))->status, 200);
}

TEST_F(ServerTest, ACompletionMayBeginWithItsPrompt) {
  start();
  HttpClient one = client();
  const auto reply = one.post("/v1/completions",
                              R"({"model":"fake","prompt":"Hello ","echo":true,"max_tokens":3})");
  ASSERT_EQ(reply->status, 200) << reply->body;
  EXPECT_EQ(json_of(reply->body)["choices"][0]["text"], "Hello abc");
}

TEST_F(ServerTest, OtherDialectsAnswerToo) {
  start();
  HttpClient one = client();
  const auto message =
      one.post("/v1/messages",
               R"({"model":"fake","max_tokens":4,"messages":[{"role":"user","content":"Hi"}]})");
  ASSERT_EQ(message->status, 200) << message->body;
  EXPECT_EQ(json_of(message->body)["content"][0]["text"], "abcd");
  const auto response =
      one.post("/v1/responses", R"({"model":"fake","max_output_tokens":4,"input":"Hi"})");
  ASSERT_EQ(response->status, 200) << response->body;
  EXPECT_NE(response->body.find("abcd"), std::string::npos);
  const auto count = one.post("/v1/messages/count_tokens",
                              R"({"model":"fake","messages":[{"role":"user","content":"Hi"}]})");
  ASSERT_EQ(count->status, 200) << count->body;
  EXPECT_GE(json_of(count->body)["input_tokens"], 2);
}

TEST_F(ServerTest, TokensAndTemplatesCanBeAskedFor) {
  start();
  HttpClient one = client();
  const auto tokens = one.post("/tokenize", R"({"model":"fake","prompt":"abc"})");
  ASSERT_EQ(tokens->status, 200) << tokens->body;
  EXPECT_EQ(json_of(tokens->body)["tokens"], Json({97, 98, 99}));
  const auto text = one.post("/detokenize", R"({"model":"fake","tokens":[97,98,99]})");
  EXPECT_EQ(json_of(text->body)["prompt"], "abc");
  const auto prompt = one.post(
      "/apply-template", R"({"model":"fake","messages":[{"role":"user","content":"Hi there"}]})");
  EXPECT_NE(json_of(prompt->body)["prompt"].get<std::string>().find("Hi there"), std::string::npos);
}

TEST_F(ServerTest, RefusesByName) {
  FakeModelOptions model;
  model.context_tokens = 64;
  start(model);
  HttpClient one = client();
  const auto refusal = [&](const std::string& body) {
    const auto reply = one.post("/v1/chat/completions", body);
    return reply ? std::to_string(reply->status) + " " + reply->body : "nothing";
  };
  EXPECT_EQ(refusal("{").substr(0, 3), "400");
  EXPECT_EQ(refusal("").substr(0, 3), "400");
  EXPECT_EQ(refusal("\xff\xfe").substr(0, 3), "400");
  EXPECT_EQ(refusal(std::string(100'000, '[')).substr(0, 1), "4");
  const std::string unknown =
      refusal(R"({"model":"gpt-9","messages":[{"role":"user","content":"Hi"}]})");
  EXPECT_EQ(unknown.substr(0, 3), "404");
  EXPECT_NE(unknown.find("gpt-9"), std::string::npos);
  EXPECT_EQ(refusal(chat_body(1, R"(,"temperature":-1)")).substr(0, 3), "400");
  EXPECT_NE(refusal(chat_body(1, R"(,"temprature":1)")).find("temprature"), std::string::npos);
  const std::string long_prompt =
      refusal(R"({"model":"fake","messages":[{"role":"user","content":")" + std::string(100, 'x') +
              R"("}]})");
  EXPECT_EQ(long_prompt.substr(0, 1), "4") << long_prompt;
  EXPECT_NE(long_prompt.find("64"), std::string::npos) << long_prompt;
  EXPECT_NE(refusal(chat_body(1, R"(,"priority":"nobody")")).find("interactive"),
            std::string::npos);
  EXPECT_EQ(one.get("/health/ready")->status, 200);  // On the same connection, after all that.
}

TEST_F(ServerTest, AnOverlongPromptIsToldInTheDialectsOwnWords) {
  start({.context_tokens = 64});
  HttpClient one = client();
  const std::string hundred(100, 'x');
  const std::string messages = R"({"messages":[{"role":"user","content":")" + hundred + R"("}])";
  const auto error_of = [&](const char* path, const std::string& body) {
    const auto reply = one.post(path, body);
    EXPECT_EQ(reply->status, 400) << path;
    return json_of(reply->body)["error"];
  };
  const Json chat = error_of("/v1/chat/completions", messages + R"(,"max_tokens":7})");
  EXPECT_EQ(chat["code"], "context_length_exceeded");
  EXPECT_EQ(chat["type"], "invalid_request_error");
  EXPECT_EQ(chat["param"], "messages");
  const std::string text = chat["message"];
  EXPECT_NE(text.find("maximum context length is 64 tokens"), std::string::npos) << text;
  EXPECT_NE(text.find("107 tokens (100 in the messages, 7 in the completion)"), std::string::npos)
      << text;
  EXPECT_EQ(error_of("/v1/chat/completions", chat_body(64))["code"], "context_length_exceeded");
  EXPECT_EQ(error_of("/v1/completions", R"({"prompt":")" + hundred + "\"}")["param"], "prompt");
  EXPECT_EQ(error_of("/v1/responses", R"({"input":")" + hundred + "\"}")["param"], "input");
  EXPECT_EQ(error_of("/v1/embeddings", R"({"input":")" + hundred + "\"}")["code"],
            "context_length_exceeded");
  EXPECT_EQ(error_of("/v1/messages", messages + R"(,"max_tokens":7})")["message"],
            "prompt is too long: 100 tokens > 64 maximum");
}

TEST_F(ServerTest, AnOverlongPromptIsCutWhereThatIsAskedFor) {
  start({.context_tokens = 64});
  HttpClient one = client();
  const std::string hundred(100, 'x');
  const auto cut =
      one.post("/v1/chat/completions", R"({"messages":[{"role":"user","content":")" + hundred +
                                           R"("}],"truncate_prompt_tokens":-1})");
  ASSERT_EQ(cut->status, 200) << cut->body;
  EXPECT_EQ(json_of(cut->body)["usage"]["prompt_tokens"], 63);
  const auto response = one.post("/v1/responses", R"({"input":")" + hundred +
                                                      R"(","truncation":"auto",)"
                                                      R"("max_output_tokens":60})");
  ASSERT_EQ(response->status, 200) << response->body;
  EXPECT_EQ(json_of(response->body)["usage"]["input_tokens"], 32);
  EXPECT_EQ(json_of(response->body)["usage"]["output_tokens"], 32);
}

TEST_F(ServerTest, AnOperatorsSettingCutsPromptsOnEveryEndpoint) {
  start({.context_tokens = 64, .truncates_prompts = true, .max_tokens = 60});
  HttpClient one = client();
  const std::string hundred(100, 'x');
  const std::string messages = R"({"messages":[{"role":"user","content":")" + hundred + R"("}])";
  EXPECT_EQ(one.post("/v1/chat/completions", messages + "}")->status, 200);
  EXPECT_EQ(one.post("/v1/messages", messages + R"(,"max_tokens":9999})")->status, 200);
  EXPECT_EQ(one.post("/v1/completions", R"({"prompt":")" + hundred + "\"}")->status, 200);
  EXPECT_EQ(one.post("/v1/responses", R"({"input":")" + hundred + "\"}")->status, 200);
}

TEST_F(ServerTest, AnOperatorsDefaultLengthIsNoReasonToRefuse) {
  start({.context_tokens = 64, .max_tokens = 60});
  HttpClient one = client();
  const auto reply =
      one.post("/v1/chat/completions", R"({"messages":[{"role":"user","content":"0123456789"}]})");
  ASSERT_EQ(reply->status, 200) << reply->body;
  EXPECT_EQ(json_of(reply->body)["usage"]["completion_tokens"], 54);
  EXPECT_EQ(json_of(reply->body)["system_fingerprint"].get<std::string>().substr(0, 3), "fp_");
}

TEST_F(ServerTest, AModelThatIsNotReadyYetIsNotServed) {
  make({}, {});
  HttpClient one = client();
  EXPECT_EQ(one.get("/health/live")->status, 200);
  EXPECT_EQ(one.get("/health/ready")->status, 503);
  const auto reply = one.post("/v1/chat/completions", chat_body(1));
  EXPECT_EQ(reply->status, 503);
  EXPECT_EQ(reply->headers.count("retry-after"), 1u);
  EXPECT_FALSE(directory_->load("broken").ok());
  ASSERT_TRUE(directory_->load("fake").ok());
  server_->set_ready();
  EXPECT_EQ(one.post("/v1/chat/completions", chat_body(1))->status, 200);
  ASSERT_TRUE(directory_->retire("fake").ok());
  EXPECT_EQ(one.post("/v1/chat/completions", chat_body(1))->status, 404);
}

TEST_F(ServerTest, AClientThatGoesFreesItsWork) {
  FakeModelOptions model;
  model.scheduler.num_sequences_max = 2;  // The others wait in the queue.
  model.scheduler.step_tokens_max = model.scheduler.chunk_tokens_max = 64;
  start(model);
  loader_->step_ms = 2;
  std::vector<HttpClient> clients;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(client());
    const bool streams = i % 2 == 0;
    clients.back().send_post("/v1/chat/completions",
                             chat_body(5000, streams ? R"(,"stream":true,"n":2)" : R"(,"n":2)"));
  }
  ASSERT_TRUE(await([&] { return num_live() == 16; }));
  ASSERT_EQ(clients.front().read_head()->status, 200);
  for (HttpClient& one : clients) one.close();
  EXPECT_TRUE(await([&] { return num_live() == 0; }));
  EXPECT_TRUE(await([&] { return hub_->num_tasks() == 0; }));
  EXPECT_EQ(server_->http().counters().num_gone, 8u);
}

TEST_F(ServerTest, OverloadIsRefusedWithATimeToComeBack) {
  FakeModelOptions model;
  model.scheduler.num_requests_max = 2;
  model.scheduler.num_sequences_max = 2;
  model.scheduler.step_tokens_max = model.scheduler.chunk_tokens_max = 64;
  start(model);
  loader_->step_ms = 2;
  HttpClient first = client();
  first.send_post("/v1/chat/completions", chat_body(5000, R"(,"n":2)"));
  ASSERT_TRUE(await([&] { return num_live() == 2; }));
  HttpClient second = client();
  const auto reply = second.post("/v1/chat/completions", chat_body(1));
  EXPECT_EQ(reply->status, 429) << reply->body;
  EXPECT_GE(std::stoi(reply->headers.at("retry-after")), 1);
}

TEST_F(ServerTest, ARequestsTimeEndsIt) {
  start();
  loader_->step_ms = 5;
  HttpClient one = client();
  const TimePoint begin = clock_.now();
  const auto reply = one.post("/v1/chat/completions", chat_body(8000, R"(,"timeout":0.3)"));
  EXPECT_LT(clock_.now() - begin, std::chrono::seconds(10));
  ASSERT_EQ(reply->status, 200) << reply->body;
  const std::string text = json_of(reply->body)["choices"][0]["message"]["content"];
  EXPECT_LT(text.size(), 8000u);
  EXPECT_EQ(text, alphabet(text.size()));
  EXPECT_TRUE(await([&] { return num_live() == 0; }));
}

TEST_F(ServerTest, AcceptedRequestsOutliveADrain) {
  start();
  loader_->step_ms = 1;
  std::vector<HttpClient> clients;
  for (int i = 0; i < 40; ++i) {
    clients.push_back(client());
    clients.back().send_post("/v1/chat/completions",
                             chat_body(300, i % 2 == 0 ? R"(,"stream":true)" : ""));
  }
  HttpClient kept = client();
  EXPECT_EQ(kept.get("/health/ready")->status, 200);
  ASSERT_TRUE(await([&] { return num_live() == 40; }));
  server_->begin_drain();
  EXPECT_FALSE(server_->is_drained());
  const auto refused = kept.post("/v1/chat/completions", chat_body(1));
  EXPECT_EQ(refused->status, 503);
  EXPECT_EQ(refused->headers.at("connection"), "close");
  EXPECT_EQ(client().get("/health/ready")->status, 503);
  EXPECT_EQ(client().get("/health/live")->status, 200);
  for (std::size_t i = 0; i < clients.size(); ++i) {
    if (i % 2 == 0) {
      EXPECT_EQ(read_chat_stream(clients[i]), alphabet(300));
    } else {
      const auto reply = clients[i].read_reply();
      ASSERT_TRUE(reply.has_value());
      EXPECT_EQ(json_of(reply->body)["choices"][0]["message"]["content"], alphabet(300));
    }
  }
  EXPECT_TRUE(await([&] { return server_->is_drained(); }));
}

TEST_F(ServerTest, WhatADrainDoesNotWaitForIsToldSo) {
  start();
  loader_->step_ms = 5;
  HttpClient streaming = client();
  streaming.send_post("/v1/chat/completions", chat_body(8000, R"(,"stream":true)"));
  HttpClient whole = client();
  whole.send_post("/v1/chat/completions", chat_body(8000));
  ASSERT_EQ(streaming.read_head()->status, 200);
  ASSERT_TRUE(await([&] { return num_live() == 2; }));
  server_->begin_drain();
  registry_->shutdown(Shutdown::kCancel);
  EXPECT_EQ(whole.read_reply()->status, 503);
  std::string events;
  while (const std::optional<std::string> event = streaming.read_event()) events += *event;
  EXPECT_NE(events.find("shutting down"), std::string::npos) << events;
  EXPECT_TRUE(await([&] { return server_->is_drained(); }));
}

TEST_F(ServerTest, AClientThatDoesNotReadSlowsNobody) {
  ServerOptions options;
  options.limits.sessions.stream_buffer_bytes_max = 4096;
  start({}, options);
  HttpClient stuck = client();
  stuck.set_receive_buffer(16384);
  stuck.send_post("/v1/chat/completions", chat_body(4000, R"(,"stream":true)"));
  for (int i = 0; i < 20; ++i) {
    HttpClient one = client();
    one.send_post("/v1/chat/completions", chat_body(50, R"(,"stream":true)"));
    EXPECT_EQ(read_chat_stream(one), alphabet(50));
  }
  EXPECT_EQ(read_chat_stream(stuck), alphabet(4000));  // Nothing was lost meanwhile.
}

TEST_F(ServerTest, FiveHundredStreamsAtOnce) {
  FakeModelOptions model;
  model.num_blocks = 16384;
  ServerOptions options;
  options.http.num_io_threads = 2;
  options.num_host_threads = 2;
  start(model, options);
  constexpr std::size_t kNumStreams = 500;
  std::vector<HttpClient> clients;
  for (std::size_t i = 0; i < kNumStreams; ++i) {
    clients.push_back(client());
    ASSERT_TRUE(clients.back().is_connected()) << i;
    clients.back().send_post("/v1/chat/completions", chat_body(40, R"(,"stream":true)"));
  }
  for (HttpClient& one : clients) ASSERT_EQ(read_chat_stream(one), alphabet(40));
  EXPECT_TRUE(await([&] { return hub_->num_tasks() == 0 && num_live() == 0; }));
}

}  // namespace
}  // namespace millrace
