// `millrace bench serve`: what serving costs. The engine alone and the same engine through HTTP, in
// turns, in one process.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/json.h"
#include "base/random.h"
#include "cli/command.h"
#include "cli/serve_bench_client.h"
#include "cli/served_checkpoint.h"
#include "cli/version.h"
#include "serve/service/server.h"

namespace millrace {
namespace {

constexpr const char* kName = "model";
// How often a client looks for news, of the engine's streams and of its sockets alike: so seldom
// that looking costs nothing, and its error is the same for both.
constexpr Duration kPoll = std::chrono::milliseconds(2);

struct ServeBenchOptions {
  ModelConfig model;
  std::string cpu_isa;
  std::vector<std::size_t> concurrencies{1, 8};
  std::size_t num_prompt = 32;
  std::size_t num_tokens = 64;
  std::size_t num_repeats = 5;
  bool as_json = false;
};

// A served model, and requests to it by both ways.
class ServeBench {
 public:
  static Result<std::unique_ptr<ServeBench>> create(const ServeBenchOptions& options) {
    std::unique_ptr<ServeBench> bench(new ServeBench(options));
    TRY(bench->start());
    return bench;
  }
  ~ServeBench() {
    if (server_ != nullptr) server_->stop();
    if (registry_ != nullptr) registry_->shutdown(Shutdown::kCancel);
  }

  // Tokens per second of so many requests at once, straight from the engine.
  Result<double> engine(std::size_t concurrency) {
    std::vector<TokenStream> streams;
    const std::vector<std::vector<TokenId>> prompts = make_prompts(concurrency);
    const TimePoint begin = clock_.now();
    for (const std::vector<TokenId>& prompt : prompts) {
      Request request;
      request.prompt = prompt;
      request.max_tokens = options_.num_tokens;
      request.sampling.temperature = 0;
      std::vector<TokenStream> of_request = TRY(registry_->submit(kName, std::move(request)));
      streams.push_back(std::move(of_request.front()));
    }
    const auto has_ended = [](const TokenStream& stream) { return stream.has_ended(); };
    while (!std::all_of(streams.begin(), streams.end(), has_ended)) {
      std::this_thread::sleep_for(kPoll);
    }
    return rate(begin, concurrency);
  }

  // The same as streams of completions.
  Result<double> http(std::size_t concurrency) {
    while (clients_.size() < concurrency) {
      clients_.push_back(TRY(ServeBenchClient::connect(server_->http().port())));
    }
    std::vector<std::string> bodies;
    for (const std::vector<TokenId>& prompt : make_prompts(concurrency)) {
      bodies.push_back(OrderedJson{{"model", kName},
                                   {"prompt", prompt},
                                   {"max_tokens", options_.num_tokens},
                                   {"temperature", 0},
                                   {"ignore_eos", true},
                                   {"stream", true},
                                   {"stream_options", {{"include_usage", true}}}}
                           .dump());
    }
    const TimePoint begin = clock_.now();
    for (std::size_t i = 0; i < concurrency; ++i) {
      TRY(clients_[i].post("/v1/completions", bodies[i]));
    }
    for (std::size_t num_done = 0; num_done < concurrency;) {
      std::this_thread::sleep_for(kPoll);
      num_done = 0;
      for (std::size_t i = 0; i < concurrency; ++i) {
        TRY(clients_[i].read());
        num_done += clients_[i].is_done() ? 1 : 0;
      }
    }
    const double result = rate(begin, concurrency);
    for (std::size_t i = 0; i < concurrency; ++i) {
      const std::size_t count = TRY(clients_[i].num_completion_tokens());
      if (count == options_.num_tokens) continue;
      return Error{ErrorCode::kCorruptData, "WRONG: an answer of " + std::to_string(count) +
                                                " tokens, expected " +
                                                std::to_string(options_.num_tokens)};
    }
    return result;
  }

 private:
  explicit ServeBench(const ServeBenchOptions& options)
      : options_(options), config_(config_of(options)), loader_(config_), hub_(64) {}

  static ServerConfig config_of(const ServeBenchOptions& options) {
    ServerConfig config;
    config.models = {options.model};
    config.models[0].name = kName;
    config.models[0].context = options.num_prompt + options.num_tokens;
    config.engine.cpu_isa = options.cpu_isa;
    return config;
  }

  Status start() {
    RegistryOptions registry;
    registry.bytes_max = std::numeric_limits<std::uint64_t>::max();
    registry.listener = &hub_;
    registry_ = TRY(ModelRegistry::create(registry, loader_, clock_));
    directory_.emplace(*registry_, loader_);
    ServerOptions server;
    server.http.port = 0;
    server_ = TRY(Server::create(server, *directory_, hub_, {}, clock_));
    server_->start();
    registry_->start();
    TRY(directory_->load(kName));
    const auto model = TRY(directory_->find(kName));
    vocabulary_ = std::min(model->facts().vocabulary, model->tokenizer().num_tokens());
    server_->set_ready();
    return Ok{};
  }

  // Other ones each time, so that no prefix is found in the cache.
  std::vector<std::vector<TokenId>> make_prompts(std::size_t count) {
    std::vector<std::vector<TokenId>> prompts(count);
    for (std::vector<TokenId>& prompt : prompts) {
      for (std::size_t i = 0; i < options_.num_prompt; ++i) {
        prompt.push_back(static_cast<TokenId>(random_.below(vocabulary_)));
      }
    }
    return prompts;
  }

  double rate(TimePoint begin, std::size_t concurrency) const {
    const double seconds = std::chrono::duration<double>(clock_.now() - begin).count();
    return static_cast<double>(concurrency * options_.num_tokens) / seconds;
  }

  const ServeBenchOptions options_;
  const ServerConfig config_;
  SystemClock clock_;
  Random random_{1};
  CheckpointLoader loader_;
  AnswerHub hub_;
  std::unique_ptr<ModelRegistry> registry_;
  std::optional<ModelDirectory> directory_;
  std::unique_ptr<Server> server_;
  std::vector<ServeBenchClient> clients_;
  std::size_t vocabulary_ = 1;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

double deviation(const std::vector<double>& values) {
  const double centre = median(values);
  std::vector<double> distances;
  for (const double value : values) distances.push_back(std::abs(value - centre));
  return median(distances);
}

// In turns, the first one first every other time, so that a drift of the machine hits both.
Result<OrderedJson> compare(ServeBench& bench, std::size_t concurrency, std::size_t num_repeats) {
  TRY(bench.engine(concurrency));  // Pages and caches warm up.
  TRY(bench.http(concurrency));
  std::vector<double> engine;
  std::vector<double> http;
  std::vector<double> ratios;
  for (std::size_t i = 0; i < num_repeats; ++i) {
    if (i % 2 == 1) http.push_back(TRY(bench.http(concurrency)));
    engine.push_back(TRY(bench.engine(concurrency)));
    if (i % 2 == 0) http.push_back(TRY(bench.http(concurrency)));
    ratios.push_back(http.back() / engine.back());
  }
  return OrderedJson{{"concurrency", concurrency},
                     {"engine_tokens_per_second", median(engine)},
                     {"http_tokens_per_second", median(http)},
                     {"ratio", median(ratios)},
                     {"ratio_mad", deviation(ratios)}};
}

Status bench_serve(const ServeBenchOptions& options) {
  const std::unique_ptr<ServeBench> bench = TRY(ServeBench::create(options));
  OrderedJson rows = OrderedJson::array();
  for (const std::size_t concurrency : options.concurrencies) {
    rows.push_back(TRY(compare(*bench, concurrency, options.num_repeats)));
    if (options.as_json) continue;
    const OrderedJson& row = rows.back();
    std::printf("%zu at once: engine %.2f tokens/s, through HTTP %.2f, ratio %.4f (MAD %.4f)\n",
                concurrency, row["engine_tokens_per_second"].get<double>(),
                row["http_tokens_per_second"].get<double>(), row["ratio"].get<double>(),
                row["ratio_mad"].get<double>());
    std::fflush(stdout);
  }
  if (!options.as_json) return Ok{};
  const OrderedJson record = {{"bench", "serve"},
                              {"model", options.model.path},
                              {"prompt", options.num_prompt},
                              {"tokens", options.num_tokens},
                              {"repeats", options.num_repeats},
                              {"commit", commit_text()},
                              {"rows", rows}};
  std::printf("%s\n", record.dump().c_str());
  return Ok{};
}

}  // namespace

void add_bench_serve_command(CLI::App& bench, Action& action) {
  auto options = std::make_shared<ServeBenchOptions>();
  CLI::App* command = bench.add_subcommand(
      "serve", "What serving costs: the engine alone and through HTTP, in turns");
  command->add_option("model", options->model.path, "Checkpoint")->required();
  command->add_option("--weight-format", options->model.weight_format, "As in `millrace serve`");
  command->add_option("--cpu-isa", options->cpu_isa, "As in `millrace serve`");
  command->add_option("--threads", options->model.threads, "Compute threads");
  command->add_option("--concurrency", options->concurrencies, "Requests at once")
      ->capture_default_str()
      ->delimiter(',')
      ->check(CLI::Range(1, 64));
  command->add_option("--prompt", options->num_prompt, "Tokens of each prompt")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  command->add_option("--tokens", options->num_tokens, "Tokens of each answer")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  command->add_option("--repeats", options->num_repeats, "Timed pairs of runs, after a warm-up")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  command->add_flag("--json", options->as_json, "One JSON object");
  command->callback([options, &action] { action = [options] { return bench_serve(*options); }; });
}

}  // namespace millrace
