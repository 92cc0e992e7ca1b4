// `millrace bench prefix`: time to the first token with a long prefix cold, cached, pinned at the
// start and brought back from a file.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"
#include "cli/command.h"
#include "cli/model_session.h"
#include "cli/quantity.h"
#include "cli/version.h"
#include "engine/decoder_runner.h"
#include "engine/hot_prompt_store.h"
#include "memory/block_pool.h"

namespace millrace {
namespace {

constexpr std::size_t kStepTokens = 512;
constexpr std::size_t kQuestionTokens = 16;
constexpr std::size_t kAnswerTokens = 4;

struct PrefixBenchOptions {
  ModelOptions model;
  std::size_t prefix_tokens = 512;
  std::size_t num_repeats = 7;
  std::string folder;  // for the file; empty: one of its own below the temporary folder
  bool as_json = false;
};

// One way to come by the prefix.
enum class PrefixCase : std::uint8_t { kCold, kCached, kPinned, kRestored };
constexpr std::array<const char*, 4> kCaseNames = {"cold", "cached", "pinned", "restored"};
constexpr std::array<const char*, 4> kCaseMeanings = {
    "nobody asked before", "a request before began with it", "hot prompt: the first request",
    "hot prompt from a file: the first request after a restart"};

struct Sample {
  double first_token_seconds = 0;
  double start_seconds = 0;  // computing or restoring the hot prompt, before the first request
  std::size_t num_cached = 0;
  std::vector<TokenId> tokens;
};

struct Answer {
  double first_token_seconds = 0;
  std::size_t num_cached = 0;
  std::vector<TokenId> tokens;
};

// A server's life on a model that is loaded: a cache without content and an engine.
class Life {
 public:
  static Result<std::unique_ptr<Life>> begin(ModelSession& session) {
    std::unique_ptr<Life> life(
        new Life(TRY(KvCache::create(session.cache().spec(), session.cache().num_blocks()))));
    EngineOptions options;
    options.scheduler.num_sequences_max = 1;
    options.scheduler.num_requests_max = 2;
    options.scheduler.step_tokens_max = kStepTokens;
    options.scheduler.chunk_tokens_max = kStepTokens;
    options.scheduler.block_tokens = session.cache().spec().block_tokens;
    options.scheduler.hot.pinned_blocks_max = session.cache().num_blocks() / 2;
    options.vocabulary = session.spec().vocabulary;
    options.context_tokens = session.context_tokens();
    life->runner_ = TRY(DecoderRunner::create(session.decoder(), session.context(), life->cache_,
                                              options.scheduler));
    life->engine_ = TRY(Engine::create(options, life->pool_, *life->runner_, life->clock_));
    return life;
  }

  // With a hot prompt; gives how long it took to have it there.
  double warm(HotPromptStore& store) {
    const TimePoint begin = clock_.now();
    store.restore(*engine_);
    engine_->start();
    store.warm([this](std::vector<TokenId> prompt) { return engine_->pin(std::move(prompt)); });
    return seconds(clock_.now() - begin);
  }
  void start() { engine_->start(); }

  Result<Answer> ask(std::vector<TokenId> prompt) {
    Request request;
    request.prompt = std::move(prompt);
    request.max_tokens = kAnswerTokens;
    request.sampling.temperature = 0;
    const TimePoint begin = clock_.now();
    TokenStream stream = TRY(engine_->submit(std::move(request)));
    Answer answer;
    while (const auto token = stream.pop()) {
      if (answer.tokens.empty()) answer.first_token_seconds = seconds(clock_.now() - begin);
      answer.tokens.push_back(token->token);
    }
    const std::optional<Finish> finish = stream.finished();
    if (finish && finish->error) return *finish->error;
    answer.num_cached = finish ? finish->num_cached : 0;
    return answer;
  }

  const KvCache& cache() const { return cache_; }
  Engine& engine() { return *engine_; }

 private:
  explicit Life(KvCache cache) : cache_(std::move(cache)), pool_(cache_.num_blocks()) {}

  SystemClock clock_;
  KvCache cache_;
  BlockPool pool_;
  std::unique_ptr<DecoderRunner> runner_;
  std::unique_ptr<Engine> engine_;
};

std::vector<TokenId> draw_tokens(std::size_t count, std::size_t vocabulary, Random& random) {
  std::vector<TokenId> tokens(count);
  for (TokenId& token : tokens) token = static_cast<TokenId>(random.below(vocabulary));
  return tokens;
}

std::vector<TokenId> joined(std::vector<TokenId> prefix, const std::vector<TokenId>& question) {
  prefix.insert(prefix.end(), question.begin(), question.end());
  return prefix;
}

// What every sample starts from.
struct Setting {
  ModelSession& session;
  const std::string path;  // of the file
  std::vector<TokenId> prefix;
};

Status check_warm(const HotPromptReport& report) {
  if (!report.refused.empty()) return report.refused.front();
  if (report.file_refused) return *report.file_refused;
  return Ok{};
}

Result<Sample> take_sample(const Setting& setting, PrefixCase which,
                           const std::vector<TokenId>& question, Random& random) {
  const std::unique_ptr<Life> life = TRY(Life::begin(setting.session));
  Sample sample;
  if (which == PrefixCase::kPinned || which == PrefixCase::kRestored) {
    const std::string path = which == PrefixCase::kRestored ? setting.path : "";
    HotPromptStore store({setting.prefix}, life->cache(), setting.session.snapshot_key(), path);
    sample.start_seconds = life->warm(store);
    TRY(check_warm(store.report()));
  } else {
    life->start();
    if (which == PrefixCase::kCached) {
      const std::vector<TokenId> other =
          draw_tokens(kQuestionTokens, setting.session.spec().vocabulary, random);
      static_cast<void>(TRY(life->ask(joined(setting.prefix, other))));
    }
  }
  Answer answer = TRY(life->ask(joined(setting.prefix, question)));
  sample.first_token_seconds = answer.first_token_seconds;
  sample.num_cached = answer.num_cached;
  sample.tokens = std::move(answer.tokens);
  return sample;
}

// Writes the file that restored samples read; gives its size.
Result<std::uint64_t> write_file_of(const Setting& setting, double& save_seconds) {
  const std::unique_ptr<Life> life = TRY(Life::begin(setting.session));
  HotPromptStore store({setting.prefix}, life->cache(), setting.session.snapshot_key(),
                       setting.path);
  life->warm(store);
  TRY(check_warm(store.report()));
  const SystemClock clock;
  const TimePoint begin = clock.now();
  TRY(store.save(life->engine()));
  save_seconds = seconds(clock.now() - begin);
  return TRY(file_identity(setting.path)).num_bytes;
}

using Samples = std::array<std::vector<Sample>, kCaseNames.size()>;

double median_of(const std::vector<Sample>& samples, double Sample::*member) {
  std::vector<double> values;
  for (const Sample& sample : samples) values.push_back(sample.*member);
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

OrderedJson case_record(const Samples& samples, std::size_t which) {
  const std::vector<Sample>& of_case = samples[which];
  const auto less = [](const Sample& a, const Sample& b) {
    return a.first_token_seconds < b.first_token_seconds;
  };
  const double median = median_of(of_case, &Sample::first_token_seconds);
  return {{"case", kCaseNames[which]},
          {"meaning", kCaseMeanings[which]},
          {"cached_tokens", of_case.front().num_cached},
          {"first_token_seconds", median},
          {"least", std::min_element(of_case.begin(), of_case.end(), less)->first_token_seconds},
          {"most", std::max_element(of_case.begin(), of_case.end(), less)->first_token_seconds},
          {"times_cold", median_of(samples[0], &Sample::first_token_seconds) / median},
          {"start_seconds", median_of(of_case, &Sample::start_seconds)}};
}

void print_record(const OrderedJson& record) {
  std::printf("%-9s %8s %12s %21s %8s %12s\n", "prefix", "cached", "first token", "least - most",
              "x cold", "at the start");
  for (const OrderedJson& row : record["cases"]) {
    std::printf("%-9s %8zu %9.1f ms %8.1f - %7.1f ms %7.1fx %9.1f ms  %s\n",
                row["case"].get<std::string>().c_str(), row["cached_tokens"].get<std::size_t>(),
                1e3 * row["first_token_seconds"].get<double>(), 1e3 * row["least"].get<double>(),
                1e3 * row["most"].get<double>(), row["times_cold"].get<double>(),
                1e3 * row["start_seconds"].get<double>(),
                row["meaning"].get<std::string>().c_str());
  }
  std::printf(
      "%zu + %zu tokens, file of %s written in %.1f ms, %zu threads, %s, cache %s, %s\n",
      record["prefix_tokens"].get<std::size_t>(), kQuestionTokens,
      show_bytes(record["file_bytes"].get<std::uint64_t>()).c_str(),
      1e3 * record["save_seconds"].get<double>(), record["threads"].get<std::size_t>(),
      record["isa"].get<std::string>().c_str(), record["kv_dtype"].get<std::string>().c_str(),
      record["same_answers"].get<bool>() ? "the same answers in all cases" : "THE ANSWERS DIFFER");
}

// Alternating, so that what else the machine does meanwhile falls on all cases alike.
Result<bool> take_samples(const Setting& setting, std::size_t num_repeats, Samples& samples) {
  Random random(1);
  bool is_same = true;
  for (std::size_t repeat = 0; repeat < num_repeats + 1; ++repeat) {
    const std::vector<TokenId> question =
        draw_tokens(kQuestionTokens, setting.session.spec().vocabulary, random);
    std::vector<TokenId> first;
    for (std::size_t i = 0; i < kCaseNames.size(); ++i) {
      Sample sample = TRY(take_sample(setting, static_cast<PrefixCase>(i), question, random));
      if (i == 0) first = sample.tokens;
      is_same = is_same && sample.tokens == first;
      if (repeat > 0) samples[i].push_back(std::move(sample));  // The first one warms up.
    }
  }
  return is_same;
}

Status bench_prefix(PrefixBenchOptions options) {
  const Checkpoint checkpoint = TRY(open_model(options.model));
  options.model.context = options.prefix_tokens + kQuestionTokens + kAnswerTokens;
  SessionDemand demand;
  demand.num_sequences = 4;  // Room for the prefix, pinned, beside a request as long.
  demand.limits = {.tokens_max = kStepTokens, .logit_rows_max = 1};
  const auto session = TRY(ModelSession::open(checkpoint, options.model, demand));
  const std::filesystem::path folder = options.folder.empty()
                                           ? std::filesystem::temp_directory_path() /
                                                 ("millrace-bench-" + std::to_string(::getpid()))
                                           : std::filesystem::path(options.folder);
  Random random(2);
  const Setting setting{*session, (folder / "prefix.kv").string(),
                        draw_tokens(options.prefix_tokens, session->spec().vocabulary, random)};
  double save_seconds = 0;
  const std::uint64_t file_bytes = TRY(write_file_of(setting, save_seconds));
  Samples samples;
  const Result<bool> is_same = take_samples(setting, options.num_repeats, samples);
  std::error_code ignored;
  std::filesystem::remove(setting.path, ignored);
  if (options.folder.empty()) std::filesystem::remove(folder, ignored);
  if (!is_same.ok()) return is_same.error();
  OrderedJson record = {{"bench", "prefix"},
                        {"model", options.model.model},
                        {"prefix_tokens", options.prefix_tokens},
                        {"question_tokens", kQuestionTokens},
                        {"repeats", options.num_repeats},
                        {"file_bytes", file_bytes},
                        {"save_seconds", save_seconds},
                        {"same_answers", is_same.value()},
                        {"threads", session->machine().num_threads},
                        {"isa", session->machine().kernels->isa},
                        {"kv_dtype", dtype_name(session->machine().kv_dtype)},
                        {"commit", commit_text()}};
  for (std::size_t i = 0; i < samples.size(); ++i) {
    record["cases"].push_back(case_record(samples, i));
  }
  if (options.as_json) {
    std::printf("%s\n", record.dump().c_str());
  } else {
    print_record(record);
  }
  if (is_same.value()) return Ok{};
  return Error{ErrorCode::kUnavailable, "a cached prefix changed the answer"};
}

}  // namespace

void add_bench_prefix_command(CLI::App& bench, Action& action) {
  CLI::App* command = bench.add_subcommand(
      "prefix", "Time to the first token: prefix cold, cached, pinned, restored from a file");
  auto options = std::make_shared<PrefixBenchOptions>();
  command->add_option("path", options->model.model, "The model; the same as --model")
      ->type_name("PATH");
  add_model_options(*command, options->model);
  command->add_option("--prefix-tokens", options->prefix_tokens, "Of the prefix, random ids")
      ->check(CLI::Range(16, 1 << 20))
      ->capture_default_str();
  command->add_option("--repeats", options->num_repeats, "Of each case, in turns")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command
      ->add_option("--folder", options->folder,
                   "For the file, mode 0700 (default: one below the temporary folder)")
      ->type_name("DIR");
  command->add_flag("--json", options->as_json, "One JSON object");
  command->callback([options, &action] { action = [options] { return bench_prefix(*options); }; });
}

}  // namespace millrace
