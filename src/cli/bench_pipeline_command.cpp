// `millrace bench pipeline`: the serial loop against the overlapped one, with and without a
// server's host work, on a model here and on a simulated device.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "cli/command.h"
#include "cli/model_session.h"
#include "cli/model_text.h"
#include "cli/version.h"
#include "engine/decoder_runner.h"
#include "engine/engine.h"
#include "simulate/step_cost.h"
#include "text/detokenizer.h"

namespace millrace {
namespace {

constexpr std::size_t kStepTokens = 512;
constexpr std::size_t kBlockTokens = 16;

struct PipelineOptions {
  ModelOptions model;
  std::string device_cost = "h200-llama-3.1-8b";
  std::size_t num_sequences = 8;
  std::size_t num_prompt = 32;
  std::size_t num_tokens = 64;
  std::size_t num_repeats = 3;
  bool as_json = false;
};

// What one loop did, over all repeats.
struct LoopTotals {
  double wall_seconds = 0;
  double busy_seconds = 0;
  double work_seconds = 0;
  HostSeconds host;
  std::uint64_t num_steps = 0;
  std::uint64_t num_tokens = 0;
};

// A device that is not here: a step takes as long as the cost model says, one after the other, and
// no time of ours.
class SleepingRunner final : public ModelRunner {
 public:
  explicit SleepingRunner(const StepCost& cost) : cost_(cost) {}

  Status run(const StepPlan& plan, StepResult& result) override {
    begin(plan);
    return finish(result);
  }
  void begin(const StepPlan& plan) override {
    const Duration elapsed(static_cast<Duration::rep>(cost_.seconds(plan.shape) * 1e9));
    const TimePoint start = std::max(clock_.now(), last_end_);
    last_end_ = start + elapsed;
    steps_[num_begun_++ % kBegunMax] = {&plan, last_end_, elapsed};
  }
  Status finish(StepResult& result) override {
    const Step& step = steps_[num_finished_++ % kBegunMax];
    std::this_thread::sleep_until(step.end);
    for (std::size_t i = 0; i < step.plan->chunks.size(); ++i) {
      if (!step.plan->chunks[i].samples) continue;
      result.samples[i] = {.outcome = SampleOutcome::kToken,
                           .token = static_cast<TokenId>(100 + num_finished_ % 100)};
    }
    result.elapsed = step.elapsed;
    return Ok{};
  }
  void abandon() override { num_finished_ = num_begun_; }

 private:
  struct Step {
    const StepPlan* plan = nullptr;
    TimePoint end{};
    Duration elapsed{0};
  };
  const StepCost& cost_;
  const SystemClock clock_;
  std::array<Step, kBegunMax> steps_;
  std::size_t num_begun_ = 0;
  std::size_t num_finished_ = 0;
  TimePoint last_end_{};
};

// One engine with its thread, on a runner of its own.
struct Lane {
  std::unique_ptr<BlockPool> pool;
  std::unique_ptr<ModelRunner> runner;
  std::unique_ptr<Engine> engine;
};

enum class HostWork : std::uint8_t { kOff, kOn };

// Plays the server's part for every sequence: tokenises its prompt, detokenises and frames tokens.
class Clients {
 public:
  Clients(const PipelineOptions& options, const ModelText* text, std::size_t vocabulary)
      : options_(options), text_(text), vocabulary_(vocabulary) {}

  Status run(Engine& engine, std::size_t num_sequences, HostWork work) {
    std::vector<Client> clients;
    for (std::size_t i = 0; i < num_sequences; ++i) {
      Client client;
      client.stream.emplace(TRY(engine.submit(TRY(make_request(i, work)))));
      if (text_ != nullptr) client.detokenizer.emplace(text_->tokenizer);
      clients.push_back(std::move(client));
    }
    if (work == HostWork::kOff) {
      for (Client& client : clients) {
        while (!client.stream->has_ended()) {
          std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
      }
      return Ok{};
    }
    read_all(clients);
    return Ok{};
  }
  std::size_t num_bytes() const { return num_bytes_; }

 private:
  struct Client {
    std::optional<TokenStream> stream;
    std::optional<Detokenizer> detokenizer;
    bool has_ended = false;
  };

  Result<Request> make_request(std::size_t number, HostWork work) const {
    Request request;
    request.max_tokens = options_.num_tokens;
    request.sampling.temperature = 0;
    request.salt.low = number + 1;
    if (work == HostWork::kOn && text_ != nullptr) {
      const std::string prompt(4 * options_.num_prompt, 'a');
      request.prompt = TRY(text_->tokenizer.encode(prompt));
    }
    request.prompt.resize(options_.num_prompt, static_cast<TokenId>(number % vocabulary_));
    return request;
  }

  // As a server's host thread does, woken for news of any stream.
  void read_all(std::vector<Client>& clients) {
    for (std::size_t num_left = clients.size(); num_left > 0;) {
      bool has_news = false;
      for (Client& client : clients) {
        while (const auto token = client.stream->try_pop()) {
          has_news = true;
          const std::string piece = client.detokenizer ? client.detokenizer->push(token->token)
                                                       : std::to_string(token->token);
          const OrderedJson frame = {
              {"object", "chat.completion.chunk"},
              {"choices", {{{"index", 0}, {"delta", {{"content", piece}}}}}}};
          num_bytes_ += ("data: " + frame.dump() + "\n\n").size();
        }
        if (client.has_ended || !client.stream->finished()) continue;
        client.has_ended = true;
        --num_left;
      }
      if (!has_news) std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  }

  const PipelineOptions& options_;
  const ModelText* text_;
  std::size_t vocabulary_;
  std::size_t num_bytes_ = 0;
};

SchedulerOptions scheduler_options(std::size_t num_sequences, StepLoop loop) {
  SchedulerOptions scheduler;
  scheduler.num_sequences_max = num_sequences;
  scheduler.num_requests_max = 2 * num_sequences;
  scheduler.step_tokens_max = std::max(kStepTokens, 2 * num_sequences);
  scheduler.block_tokens = kBlockTokens;
  scheduler.loop = loop;
  for (ServiceClass& service_class : scheduler.classes) {
    service_class.queued_requests_max = 2 * num_sequences;
    service_class.token_target.reset();
  }
  return scheduler;
}

Status time_loop(const PipelineOptions& options, Lane& lane, Clients& clients,
                 std::size_t num_sequences, HostWork work, LoopTotals* totals) {
  const SystemClock clock;
  const EngineStats before = lane.engine->stats();
  const TimePoint begin = clock.now();
  TRY(clients.run(*lane.engine, num_sequences, work));
  if (totals == nullptr) return Ok{};
  totals->wall_seconds += seconds(clock.now() - begin);
  const EngineStats after = lane.engine->stats();
  totals->busy_seconds += after.busy_seconds - before.busy_seconds;
  totals->work_seconds += after.work_seconds - before.work_seconds;
  totals->host.plan += after.host.plan - before.host.plan;
  totals->host.apply += after.host.apply - before.host.apply;
  totals->host.emit += after.host.emit - before.host.emit;
  totals->num_steps += after.num_steps - before.num_steps;
  totals->num_tokens += num_sequences * options.num_tokens;
  return Ok{};
}

OrderedJson loop_json(const LoopTotals& totals) {
  const auto steps = static_cast<double>(std::max<std::uint64_t>(1, totals.num_steps));
  return {{"tokens_per_second", static_cast<double>(totals.num_tokens) / totals.wall_seconds},
          {"device_busy", totals.busy_seconds / totals.work_seconds},
          {"step_ms", 1e3 * totals.busy_seconds / steps},
          {"plan_us", 1e6 * totals.host.plan / steps},
          {"apply_us", 1e6 * totals.host.apply / steps},
          {"emit_us", 1e6 * totals.host.emit / steps}};
}

// Both loops in turns, so that what else the machine does meets both; a first turn is not counted.
Result<OrderedJson> compare(const PipelineOptions& options, std::vector<Lane>& lanes,
                            Clients& clients, std::size_t num_sequences, HostWork work) {
  std::vector<LoopTotals> totals(lanes.size());
  for (std::size_t repeat = 0; repeat <= options.num_repeats; ++repeat) {
    for (std::size_t i = 0; i < lanes.size(); ++i) {
      const std::size_t lane = (i + repeat) % lanes.size();
      TRY(time_loop(options, lanes[lane], clients, num_sequences, work,
                    repeat == 0 ? nullptr : &totals[lane]));
    }
  }
  return OrderedJson{{"sequences", num_sequences},
                     {"host_work", work == HostWork::kOn},
                     {"serial", loop_json(totals[0])},
                     {"overlapped", loop_json(totals[1])},
                     {"speedup", totals[0].wall_seconds / totals[1].wall_seconds}};
}

constexpr StepLoop kLoops[] = {StepLoop::kSerial, StepLoop::kOverlapped};

Status start_lane(Lane& lane, const SchedulerOptions& scheduler, std::size_t vocabulary,
                  std::size_t context_tokens) {
  static const SystemClock clock;
  EngineOptions engine;
  engine.scheduler = scheduler;
  engine.vocabulary = vocabulary;
  engine.context_tokens = context_tokens;
  lane.engine = TRY(Engine::create(engine, *lane.pool, *lane.runner, clock));
  lane.engine->start();
  return Ok{};
}

Result<OrderedJson> bench_model(PipelineOptions& options, std::optional<ModelText>& text) {
  const Checkpoint checkpoint = TRY(open_model(options.model));
  if (Result<ModelText> loaded = load_model_text(checkpoint); loaded.ok()) {
    text = std::move(loaded).value();
  }
  ModelOptions model = options.model;
  model.context = options.num_prompt + options.num_tokens;
  SessionDemand demand;
  demand.num_sequences = options.num_sequences + 1;
  demand.limits = {.tokens_max = std::max(kStepTokens, 2 * options.num_sequences),
                   .logit_rows_max = options.num_sequences};
  const auto session = TRY(ModelSession::open(checkpoint, model, demand));
  std::vector<Lane> lanes(2);
  for (std::size_t i = 0; i < lanes.size(); ++i) {
    const SchedulerOptions scheduler = scheduler_options(options.num_sequences, kLoops[i]);
    lanes[i].pool = std::make_unique<BlockPool>(session->cache().num_blocks());
    lanes[i].runner = TRY(
        DecoderRunner::create(session->decoder(), session->context(), session->cache(), scheduler));
    TRY(start_lane(lanes[i], scheduler, session->spec().vocabulary, session->context_tokens()));
  }
  Clients clients(options, text ? &*text : nullptr, session->spec().vocabulary);
  OrderedJson rows = OrderedJson::array();
  for (const HostWork work : {HostWork::kOff, HostWork::kOn}) {
    rows.push_back(TRY(compare(options, lanes, clients, options.num_sequences, work)));
    rows.back()["device"] = session->machine().kernels->isa;
    rows.back()["threads"] = session->machine().num_threads;
  }
  return rows;
}

Status bench_device(const PipelineOptions& options, const std::optional<ModelText>& text,
                    OrderedJson& rows) {
  Result<StepCost> found = find_builtin_step_cost(options.device_cost);
  if (!found.ok()) found = read_step_cost(options.device_cost);
  const StepCost cost = TRY(std::move(found));
  constexpr std::size_t kVocabulary = std::size_t{1} << 18;  // of any tokeniser here
  for (const std::size_t num_sequences : {std::size_t{32}, std::size_t{128}, std::size_t{256}}) {
    const std::size_t context = options.num_prompt + options.num_tokens;
    std::vector<Lane> lanes(2);
    for (std::size_t i = 0; i < lanes.size(); ++i) {
      lanes[i].pool = std::make_unique<BlockPool>(
          static_cast<std::uint32_t>(num_sequences * (context / kBlockTokens + 2)));
      lanes[i].runner = std::make_unique<SleepingRunner>(cost);
      TRY(start_lane(lanes[i], scheduler_options(num_sequences, kLoops[i]), kVocabulary, context));
    }
    Clients clients(options, text ? &*text : nullptr, kVocabulary);
    rows.push_back(TRY(compare(options, lanes, clients, num_sequences, HostWork::kOn)));
    rows.back()["device"] = "simulated " + options.device_cost;
  }
  return Ok{};
}

void print_rows(const OrderedJson& rows) {
  for (const OrderedJson& row : rows) {
    std::printf("%s, %zu sequences, host work %s: overlapped %.3f x serial\n",
                row["device"].get<std::string>().c_str(), row["sequences"].get<std::size_t>(),
                row["host_work"].get<bool>() ? "on" : "off", row["speedup"].get<double>());
    for (const char* loop : {"serial", "overlapped"}) {
      const OrderedJson& one = row[loop];
      std::printf(
          "  %-10s  %9.1f tokens/s  device busy %5.1f %%  step %.3f ms  plan %.1f us, apply "
          "%.1f us, emit %.1f us\n",
          loop, one["tokens_per_second"].get<double>(), 100 * one["device_busy"].get<double>(),
          one["step_ms"].get<double>(), one["plan_us"].get<double>(), one["apply_us"].get<double>(),
          one["emit_us"].get<double>());
    }
  }
}

Status bench_pipeline(PipelineOptions options) {
  std::optional<ModelText> text;
  OrderedJson rows = TRY(bench_model(options, text));
  TRY(bench_device(options, text, rows));
  if (!options.as_json) {
    print_rows(rows);
    return Ok{};
  }
  const OrderedJson record = {{"bench", "pipeline"},          {"model", options.model.model},
                              {"prompt", options.num_prompt}, {"tokens", options.num_tokens},
                              {"commit", commit_text()},      {"rows", rows}};
  std::printf("%s\n", record.dump().c_str());
  return Ok{};
}

}  // namespace

void add_bench_pipeline_command(CLI::App& bench, Action& action) {
  CLI::App* command = bench.add_subcommand(
      "pipeline", "Planning while the device runs against planning after it, and host work beside");
  auto options = std::make_shared<PipelineOptions>();
  command->add_option("path", options->model.model, "The model; the same as --model")
      ->type_name("PATH");
  add_model_options(*command, options->model);
  command
      ->add_option("--device", options->device_cost,
                   "Step cost of the simulated device: a file of millrace bench cost-model, or the "
                   "name of a built-in one")
      ->capture_default_str();
  command->add_option("--sequences", options->num_sequences, "At once, on the model")
      ->capture_default_str()
      ->check(CLI::Range(1, 256));
  command->add_option("--prompt", options->num_prompt, "Tokens of each prompt")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 16));
  command->add_option("-n,--tokens", options->num_tokens, "Generated by each sequence")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 16));
  command->add_option("--repeats", options->num_repeats, "Timed turns of each loop")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  command->add_flag("--json", options->as_json, "One JSON object");
  command->callback(
      [options, &action] { action = [options] { return bench_pipeline(*options); }; });
}

}  // namespace millrace
