// Adapters and embeddings through the whole server, on a tiny model with golden adapters.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>

#include "base/json.h"
#include "engine/adapter_store.h"
#include "engine/decoder_runner.h"
#include "formats/safetensors.h"
#include "serve/http_client.h"
#include "serve/service/server.h"
#include "support/test_model.h"
#include "text/byte_tokenizer.h"

namespace millrace {
namespace {

constexpr std::size_t kRankMax = 32;

std::string golden(const std::string& path) {
  return std::string(MILLRACE_GOLDEN) + "/" + path;
}

class GoldenModel final : public ServedModel {
 public:
  GoldenModel()
      : model_(MUST(TestModel::load(golden("models/llama3"),  // a file of ours
                                    {.num_blocks = 256, .adapter_rank_max = kRankMax}))),
        pool_(model_->kv_cache().num_blocks()) {
    engine_.scheduler = {.step_tokens_max = 128};
    engine_.vocabulary = model_->spec().vocabulary;
    engine_.context_tokens = 200;
    engine_.pooled_width = model_->spec().hidden;
    engine_.adapter_rank_max = kRankMax;
    runner_ = MUST(DecoderRunner::create(  // planned for it
        model_->decoder(), model_->context(), model_->kv_cache(), engine_.scheduler));
  }
  BlockPool& pool() override { return pool_; }
  ModelRunner& runner() override { return *runner_; }
  EngineOptions engine_options() const override { return engine_; }
  const ModelSpec& spec() const { return model_->spec(); }

 private:
  std::unique_ptr<TestModel> model_;
  BlockPool pool_;
  EngineOptions engine_;
  std::unique_ptr<DecoderRunner> runner_;
};

class GoldenLoader final : public ModelLoader, public ModelCatalog {
 public:
  Result<std::uint64_t> num_bytes(const std::string&) override { return std::uint64_t{1000}; }
  Result<std::unique_ptr<ServedModel>> load(const std::string&) override {
    auto model = std::make_unique<GoldenModel>();
    store_ = std::make_shared<AdapterStore>(
        model->spec(), AdapterStoreOptions{.adapters_max = 4, .rank_max = kRankMax});
    return std::unique_ptr<ServedModel>(std::move(model));
  }
  Result<ModelFacts> facts(const std::string&) override {
    Tokenizer tokenizer = TRY(Tokenizer::create(byte_tokenizer_spec()));
    ModelFacts facts{.tokenizer = std::move(tokenizer)};
    facts.vocabulary = 96;
    facts.context_tokens = 200;
    facts.adapters = store_;
    facts.pooling = pooling;
    return facts;
  }
  Pooling pooling = Pooling::kMean;

 private:
  std::shared_ptr<AdapterStore> store_;
};

Json json_of(const std::string& text) {
  Result<Json> json = parse_json(text, "reply");
  EXPECT_TRUE(json.ok()) << text;
  return json.ok() ? std::move(json).value() : Json();
}

class ServerAdaptersTest : public ::testing::Test {
 protected:
  void start(Pooling pooling = Pooling::kMean) {
    loader_.pooling = pooling;
    hub_ = std::make_unique<AnswerHub>(64);
    registry_ =
        MUST(ModelRegistry::create({.bytes_max = 10'000, .listener = hub_.get()}, loader_, clock_));
    directory_ = std::make_unique<ModelDirectory>(*registry_, loader_);
    server_ = MUST(Server::create({}, *directory_, *hub_, {}, clock_));
    registry_->start();
    server_->start();
    ASSERT_TRUE(directory_->load("base").ok());
    server_->set_ready();
  }
  void TearDown() override {
    server_->stop();
    registry_->shutdown(Shutdown::kCancel);
  }
  Status load(const std::string& name) {
    return directory_->load_adapter("base", name, golden("adapters/" + name));
  }
  static Json facts(const std::string& name) {
    return MUST(read_json_file(golden("adapters/" + name + "/golden.json")));  // ours
  }
  static std::vector<float> expected(const std::string& name, const std::string& what) {
    const auto source =
        MUST(SafetensorsFolder::open_file(golden("adapters/" + name + "/expected.safetensors")));
    const SourceTensor tensor = MUST(source->tensor(what));  // ours
    std::vector<float> values(tensor.shape.num_elements());
    std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
    return values;
  }
  std::optional<ClientReply> complete(const std::string& model) {
    const Json body = {{"model", model},
                       {"prompt", facts("llama-all")["prompt"]},
                       {"max_tokens", 1},
                       {"temperature", 0}};
    return HttpClient(server_->http().port()).post("/v1/completions", body.dump());
  }
  std::optional<ClientReply> embed(const std::string& model, const Json& input) {
    const Json body = {{"model", model}, {"input", input}};
    return HttpClient(server_->http().port()).post("/v1/embeddings", body.dump());
  }
  static void expect_normal_vector(const Json& found, std::vector<float> want) {
    double squares = 0;
    for (const float x : want) squares += double{x} * double{x};
    ASSERT_EQ(found.size(), want.size());
    for (std::size_t i = 0; i < want.size(); ++i) {
      EXPECT_NEAR(found[i].get<double>(), double{want[i]} / std::sqrt(squares), 1e-5) << i;
    }
  }

  SystemClock clock_;
  GoldenLoader loader_;
  std::unique_ptr<AnswerHub> hub_;
  std::unique_ptr<ModelRegistry> registry_;
  std::unique_ptr<ModelDirectory> directory_;
  std::unique_ptr<Server> server_;
};

TEST_F(ServerAdaptersTest, AnAdapterIsAModelByName) {
  start();
  EXPECT_EQ(complete("llama-all")->status, 404);
  ASSERT_TRUE(load("llama-all").ok());
  EXPECT_EQ(load("llama-all").error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(directory_->load_adapter("base", "base", golden("adapters/llama-all")).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(directory_->load_adapter("none", "x", "x").error().code, ErrorCode::kNotFound);

  const auto plain = complete("base");
  const auto adapted = complete("llama-all");
  ASSERT_EQ(plain->status, 200) << plain->body;
  ASSERT_EQ(adapted->status, 200) << adapted->body;
  EXPECT_EQ(json_of(plain->body)["model"], "base");
  EXPECT_EQ(json_of(adapted->body)["model"], "llama-all");
  // What PEFT says comes next; tokens are bytes here.
  const auto next = [](const std::string& name) {
    const std::vector<float> logits = expected(name, "logits");
    const auto last = logits.end() - 96;
    return std::string(1, static_cast<char>(std::max_element(last, logits.end()) - last));
  };
  EXPECT_EQ(json_of(plain->body)["choices"][0]["text"], next("plain-llama3"));
  EXPECT_EQ(json_of(adapted->body)["choices"][0]["text"], next("llama-all"));

  const Json models = json_of(HttpClient(server_->http().port()).get("/v1/models")->body);
  ASSERT_EQ(models["data"].size(), 2u);
  EXPECT_EQ(models["data"][1]["id"], "llama-all");
  EXPECT_EQ(models["data"][1]["parent"], "base");
  EXPECT_EQ(json_of(HttpClient(server_->http().port()).get("/v1/models/llama-all")->body)["parent"],
            "base");

  ASSERT_TRUE(directory_->unload_adapter("llama-all").ok());
  EXPECT_EQ(directory_->unload_adapter("llama-all").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(complete("llama-all")->status, 404);
  EXPECT_EQ(complete("base")->status, 200);
}

TEST_F(ServerAdaptersTest, EmbeddingsAreNormalisedMeans) {
  start();
  ASSERT_TRUE(load("llama-all").ok());
  const Json prompt = facts("llama-all")["prompt"];
  const auto reply = embed("base", {prompt, {1, 2, 3}, prompt});
  ASSERT_EQ(reply->status, 200) << reply->body;
  const Json json = json_of(reply->body);
  ASSERT_EQ(json["data"].size(), 3u);
  EXPECT_EQ(json["usage"]["prompt_tokens"], 2 * prompt.size() + 3);
  EXPECT_EQ(json["model"], "base");
  expect_normal_vector(json["data"][0]["embedding"], expected("plain-llama3", "mean"));
  EXPECT_EQ(json["data"][0]["embedding"], json["data"][2]["embedding"]);
  EXPECT_NE(json["data"][0]["embedding"], json["data"][1]["embedding"]);
  // With an adapter, by its name.
  const Json adapted = json_of(embed("llama-all", prompt)->body);
  EXPECT_EQ(adapted["model"], "llama-all");
  expect_normal_vector(adapted["data"][0]["embedding"], expected("llama-all", "mean"));
}

TEST_F(ServerAdaptersTest, EmbeddingsOfTheLastTokenWhereTheModelSaysSo) {
  start(Pooling::kLast);
  const auto reply = embed("base", facts("plain-llama3")["prompt"]);
  ASSERT_EQ(reply->status, 200) << reply->body;
  expect_normal_vector(json_of(reply->body)["data"][0]["embedding"],
                       expected("plain-llama3", "last"));
}

// What evaluation harnesses ask for: the prompt back, with how likely each of its tokens was.
TEST_F(ServerAdaptersTest, AnEchoedPromptHasItsLogProbabilities) {
  start();
  const Json prompt = facts("plain-llama3")["prompt"];
  const auto ask = [&](const Json& fields) {
    Json body = {{"model", "base"}, {"prompt", prompt}, {"temperature", 0}};
    body.update(fields);
    return HttpClient(server_->http().port()).post("/v1/completions", body.dump());
  };
  const auto reply = ask({{"echo", true}, {"logprobs", 1}, {"max_tokens", 1}});
  ASSERT_EQ(reply->status, 200) << reply->body;
  const Json choice = json_of(reply->body)["choices"][0];
  const Json& logprobs = choice["logprobs"];
  const std::vector<float> logits = expected("plain-llama3", "logits");
  ASSERT_EQ(logprobs["token_logprobs"].size(), prompt.size() + 1);
  ASSERT_EQ(logprobs["top_logprobs"].size(), prompt.size() + 1);
  ASSERT_EQ(logprobs["text_offset"].size(), prompt.size() + 1);
  EXPECT_TRUE(logprobs["token_logprobs"][0].is_null());
  EXPECT_TRUE(logprobs["top_logprobs"][0].is_null());
  for (std::size_t i = 0; i + 1 < prompt.size(); ++i) {
    const float* const row = logits.data() + i * 96;
    double sum = 0;
    for (std::size_t v = 0; v < 96; ++v) sum += std::exp(double{row[v]});
    const double own = double{row[prompt[i + 1].get<std::size_t>()]} - std::log(sum);
    const double best = double{*std::max_element(row, row + 96)} - std::log(sum);
    EXPECT_NEAR(logprobs["token_logprobs"][i + 1].get<double>(), own, 1e-4) << i;
    double top = -1e9;
    for (const auto& [token, value] : logprobs["top_logprobs"][i + 1].items()) {
      top = std::max(top, value.get<double>());
    }
    EXPECT_NEAR(top, best, 1e-4) << i;
  }
  std::string text;
  for (const Json& token : logprobs["tokens"]) text += token.get<std::string>();
  EXPECT_EQ(text, choice["text"].get<std::string>());
  EXPECT_EQ(logprobs["text_offset"][prompt.size()], prompt.size());  // Tokens are bytes here.
  EXPECT_EQ(json_of(reply->body)["usage"]["completion_tokens"], 1);

  // Nothing but the prompt; several prompts; streamed; vLLM's form.
  const Json alone = json_of(ask({{"echo", true}, {"logprobs", 0}, {"max_tokens", 0}})->body);
  EXPECT_EQ(alone["choices"][0]["logprobs"]["token_logprobs"].size(), prompt.size());
  EXPECT_EQ(alone["usage"]["completion_tokens"], 0);
  EXPECT_EQ(alone["choices"][0]["finish_reason"], "length");
  const auto several = ask({{"prompt", {prompt, {1, 2, 3}}},
                            {"echo", true},
                            {"logprobs", 1},
                            {"max_tokens", 1},
                            {"stream", true},
                            {"n", 2}});
  ASSERT_EQ(several->status, 200) << several->body;
  std::map<int, std::size_t> num_entries;
  for (std::size_t at = 0; (at = several->body.find("data: {", at)) != std::string::npos; ++at) {
    const std::size_t end = several->body.find('\n', at);
    const Json frame = json_of(several->body.substr(at + 6, end - at - 6));
    for (const Json& each : frame["choices"]) {
      if (each["logprobs"].is_null()) continue;
      num_entries[each["index"].get<int>()] += each["logprobs"]["tokens"].size();
    }
  }
  const std::size_t num_long = prompt.size() + 1;
  EXPECT_EQ(num_entries,
            (std::map<int, std::size_t>{{0, num_long}, {1, num_long}, {2, 4}, {3, 4}}));
  const Json vllm = json_of(ask({{"prompt_logprobs", 1}, {"max_tokens", 2}})->body)["choices"][0];
  ASSERT_EQ(vllm["prompt_logprobs"].size(), prompt.size());
  EXPECT_TRUE(vllm["prompt_logprobs"][0].is_null());
  const Json own = vllm["prompt_logprobs"][1][std::to_string(prompt[1].get<int>())];
  EXPECT_EQ(own["logprob"], logprobs["token_logprobs"][1]);
  EXPECT_GE(own["rank"].get<int>(), 1);
  EXPECT_EQ(ask({{"prompt_logprobs", 1}, {"stream", true}})->status, 400);
  EXPECT_EQ(ask({{"max_tokens", 0}})->status, 400);
}

// More inputs than are in flight at once, and inputs that cannot be.
TEST_F(ServerAdaptersTest, EmbeddingsOfManyAndOfTooLongInputs) {
  start();
  Json inputs = Json::array();
  for (int i = 0; i < 150; ++i) inputs.push_back({i % 96, 2, 3, 4});
  const auto many = embed("base", inputs);
  ASSERT_EQ(many->status, 200) << many->body;
  const Json data = json_of(many->body)["data"];
  ASSERT_EQ(data.size(), 150u);
  EXPECT_EQ(data[0]["embedding"], data[96]["embedding"]);
  EXPECT_NE(data[0]["embedding"], data[1]["embedding"]);
  const auto too_long = embed("base", Json(std::vector<int>(201, 1)));
  EXPECT_EQ(too_long->status / 100, 4) << too_long->body;
  EXPECT_NE(
      too_long->body.find("maximum context length is 200 tokens, however you requested 201 tokens"),
      std::string::npos)
      << too_long->body;
  EXPECT_EQ(embed("base", {{1, 2}, {500}})->status, 400);
  EXPECT_EQ(embed("other", {1, 2})->status, 404);
}

}  // namespace
}  // namespace millrace
