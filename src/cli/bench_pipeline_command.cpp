// `millrace bench pipeline`: the serial loop against the overlapped one, with and without a
// server's host work, on a model here, with and without a core left free, and on a simulated
// device.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/machine.h"
#include "cli/command.h"
#include "cli/model_session.h"
#include "cli/model_text.h"
#include "cli/pipeline_clients.h"
#include "cli/version.h"
#include "engine/decoder_runner.h"
#include "engine/engine.h"
#include "simulate/step_cost.h"

namespace millrace {
namespace {

constexpr std::size_t kStepTokens = 512;
constexpr std::size_t kBlockTokens = 16;

struct PipelineOptions {
  ModelOptions model;
  std::string device_cost = "h200-llama-3.1-8b";
  PipelineLoad load;
  std::size_t num_repeats = 3;
  bool as_json = false;
};

// What one loop did, over all repeats.
struct LoopTotals {
  double wall_seconds = 0;
  double busy_seconds = 0;
  double work_seconds = 0;
  double clients_seconds = 0;  // of a processor, in the thread that plays the clients
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
  StepLoop loop = StepLoop::kSerial;
  std::unique_ptr<NewsWaiter> news = std::make_unique<NewsWaiter>();
  std::unique_ptr<BlockPool> pool;
  std::unique_ptr<ModelRunner> runner;
  std::unique_ptr<Engine> engine;
};

// On so many threads at most.
SchedulerOptions scheduler_options(std::size_t num_sequences, StepLoop loop,
                                   std::optional<std::uint32_t> threads_max = std::nullopt) {
  SchedulerOptions scheduler;
  scheduler.num_sequences_max = num_sequences;
  scheduler.num_requests_max = 2 * num_sequences;
  scheduler.step_tokens_max = std::max(kStepTokens, 2 * num_sequences);
  scheduler.block_tokens = kBlockTokens;
  scheduler.loop = loop;
  for (ServiceClass& service_class : scheduler.classes) {
    service_class.queued_requests_max = 2 * num_sequences;
    service_class.token_target.reset();
    service_class.threads_max = threads_max;
  }
  return scheduler;
}

Status time_loop(const PipelineLoad& load, Lane& lane, PipelineClients& clients, HostWork work,
                 LoopTotals* totals) {
  const SystemClock clock;
  const EngineStats before = lane.engine->stats();
  const double clients_before = clients.cpu_seconds();
  const TimePoint begin = clock.now();
  TRY(clients.run(*lane.engine, *lane.news, load, work));
  if (totals == nullptr) return Ok{};
  totals->wall_seconds += seconds(clock.now() - begin);
  totals->clients_seconds += clients.cpu_seconds() - clients_before;
  const EngineStats after = lane.engine->stats();
  totals->busy_seconds += after.busy_seconds - before.busy_seconds;
  totals->work_seconds += after.work_seconds - before.work_seconds;
  totals->host.plan += after.host.plan - before.host.plan;
  totals->host.apply += after.host.apply - before.host.apply;
  totals->host.emit += after.host.emit - before.host.emit;
  totals->num_steps += after.num_steps - before.num_steps;
  totals->num_tokens += load.num_sequences * load.num_tokens;
  return Ok{};
}

OrderedJson loop_json(const LoopTotals& totals) {
  const auto steps = static_cast<double>(std::max<std::uint64_t>(1, totals.num_steps));
  return {{"tokens_per_second", static_cast<double>(totals.num_tokens) / totals.wall_seconds},
          {"device_busy", totals.busy_seconds / totals.work_seconds},
          {"step_ms", 1e3 * totals.busy_seconds / steps},
          {"plan_us", 1e6 * totals.host.plan / steps},
          {"apply_us", 1e6 * totals.host.apply / steps},
          {"emit_us", 1e6 * totals.host.emit / steps},
          {"clients_us", 1e6 * totals.clients_seconds / steps}};
}

// Both loops in turns, so that what else the machine does meets both; a first turn is not counted.
Result<OrderedJson> compare(const PipelineOptions& options, const PipelineLoad& load,
                            std::vector<Lane>& lanes, PipelineClients& clients, HostWork work) {
  std::vector<LoopTotals> totals(lanes.size());
  for (std::size_t repeat = 0; repeat <= options.num_repeats; ++repeat) {
    for (std::size_t i = 0; i < lanes.size(); ++i) {
      const std::size_t lane = (i + repeat) % lanes.size();
      TRY(time_loop(load, lanes[lane], clients, work, repeat == 0 ? nullptr : &totals[lane]));
    }
  }
  return OrderedJson{{"sequences", load.num_sequences},
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
  engine.listener = lane.news.get();
  lane.engine = TRY(Engine::create(engine, *lane.pool, *lane.runner, clock));
  lane.engine->start();
  return Ok{};
}

// Both loops on so many threads of the session's team.
Status bench_threads(const PipelineOptions& options, ModelSession& session, std::size_t num_threads,
                     PipelineClients& clients, OrderedJson& rows) {
  std::vector<Lane> lanes(std::size(kLoops));
  for (std::size_t i = 0; i < lanes.size(); ++i) {
    const SchedulerOptions scheduler = scheduler_options(options.load.num_sequences, kLoops[i],
                                                         static_cast<std::uint32_t>(num_threads));
    lanes[i].pool = std::make_unique<BlockPool>(session.cache().num_blocks());
    lanes[i].runner = TRY(
        DecoderRunner::create(session.decoder(), session.context(), session.cache(), scheduler));
    TRY(start_lane(lanes[i], scheduler, session.spec().vocabulary, session.context_tokens()));
  }
  for (const HostWork work : {HostWork::kOff, HostWork::kOn}) {
    rows.push_back(TRY(compare(options, options.load, lanes, clients, work)));
    rows.back()["device"] = session.machine().kernels->isa;
    rows.back()["threads"] = num_threads;
    rows.back()["cores"] = num_usable_cpus();
  }
  return Ok{};
}

Result<OrderedJson> bench_model(PipelineOptions& options, std::optional<ModelText>& text) {
  const Checkpoint checkpoint = TRY(open_model(options.model));
  if (Result<ModelText> loaded = load_model_text(checkpoint); loaded.ok()) {
    text = std::move(loaded).value();
  }
  ModelOptions model = options.model;
  model.context = options.load.num_prompt + options.load.num_tokens;
  SessionDemand demand;
  demand.num_sequences = options.load.num_sequences + 1;
  demand.limits = {.tokens_max = std::max(kStepTokens, 2 * options.load.num_sequences),
                   .logit_rows_max = options.load.num_sequences};
  const auto session = TRY(ModelSession::open(checkpoint, model, demand));
  PipelineClients clients(text ? &*text : nullptr, session->spec().vocabulary);
  OrderedJson rows = OrderedJson::array();
  const std::size_t num_threads = session->machine().num_threads;
  TRY(bench_threads(options, *session, num_threads, clients, rows));
  // Where the team would take every core, once more with one left to the host.
  if (num_threads > 1 && num_threads >= num_usable_cpus()) {
    TRY(bench_threads(options, *session, num_threads - 1, clients, rows));
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
    PipelineLoad load = options.load;
    load.num_sequences = num_sequences;
    const std::size_t context = load.num_prompt + load.num_tokens;
    std::vector<Lane> lanes(std::size(kLoops));
    for (std::size_t i = 0; i < lanes.size(); ++i) {
      lanes[i].pool = std::make_unique<BlockPool>(
          static_cast<std::uint32_t>(num_sequences * (context / kBlockTokens + 2)));
      lanes[i].runner = std::make_unique<SleepingRunner>(cost);
      TRY(start_lane(lanes[i], scheduler_options(num_sequences, kLoops[i]), kVocabulary, context));
    }
    PipelineClients clients(text ? &*text : nullptr, kVocabulary);
    rows.push_back(TRY(compare(options, load, lanes, clients, HostWork::kOn)));
    rows.back()["device"] = "simulated " + options.device_cost;
  }
  return Ok{};
}

std::string where(const OrderedJson& row) {
  std::string text = row["device"].get<std::string>();
  if (!row.contains("threads")) return text + ", a device of its own";
  const auto threads = row["threads"].get<std::size_t>();
  const auto cores = row["cores"].get<std::size_t>();
  text += ", " + std::to_string(threads) + " threads on " + std::to_string(cores) + " cores";
  return text + (threads < cores ? " (host work has a core)"
                                 : " (host work takes its time from the step)");
}

void print_rows(const OrderedJson& rows) {
  for (const OrderedJson& row : rows) {
    std::printf("%s, %zu sequences, host work %s: overlapped %.3f x serial\n", where(row).c_str(),
                row["sequences"].get<std::size_t>(), row["host_work"].get<bool>() ? "on" : "off",
                row["speedup"].get<double>());
    for (const char* loop : {"serial", "overlapped"}) {
      const OrderedJson& one = row[loop];
      std::printf(
          "  %-10s  %9.1f tokens/s  device busy %5.1f %%  step %.3f ms  of the host per step: "
          "plan %.1f us, apply %.1f us, emit %.1f us, clients %.1f us\n",
          loop, one["tokens_per_second"].get<double>(), 100 * one["device_busy"].get<double>(),
          one["step_ms"].get<double>(), one["plan_us"].get<double>(), one["apply_us"].get<double>(),
          one["emit_us"].get<double>(), one["clients_us"].get<double>());
    }
  }
}

// Which of the ways to run the model here was the quickest with host work.
std::string verdict(const OrderedJson& rows) {
  std::string best;
  double most = 0;
  for (const OrderedJson& row : rows) {
    if (!row["host_work"].get<bool>() || !row.contains("threads")) continue;
    for (const char* loop : {"serial", "overlapped"}) {
      const double rate = row[loop]["tokens_per_second"].get<double>();
      if (rate <= most) continue;
      most = rate;
      best = std::string(loop) + " on " + std::to_string(row["threads"].get<std::size_t>()) +
             " of " + std::to_string(row["cores"].get<std::size_t>()) + " cores";
    }
  }
  return best;
}

Status bench_pipeline(PipelineOptions options) {
  std::optional<ModelText> text;
  OrderedJson rows = TRY(bench_model(options, text));
  TRY(bench_device(options, text, rows));
  if (!options.as_json) {
    print_rows(rows);
    std::printf("with host work the model is quickest here %s\n", verdict(rows).c_str());
    return Ok{};
  }
  const OrderedJson record = {{"bench", "pipeline"},
                              {"model", options.model.model},
                              {"prompt", options.load.num_prompt},
                              {"tokens", options.load.num_tokens},
                              {"commit", commit_text()},
                              {"quickest", verdict(rows)},
                              {"rows", rows}};
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
  command->add_option("--sequences", options->load.num_sequences, "At once, on the model")
      ->capture_default_str()
      ->check(CLI::Range(1, 256));
  command->add_option("--prompt", options->load.num_prompt, "Tokens of each prompt")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 16));
  command->add_option("-n,--tokens", options->load.num_tokens, "Generated by each sequence")
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
