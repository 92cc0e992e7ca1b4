// The simulated world around a real engine.
#include "sim/serving_sim.h"

#include <unistd.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "base/check.h"
#include "engine/engine.h"
#include "sim/sim_request.h"

namespace millrace {
namespace {

// Of the simulation that runs; read by the handler of SIGABRT.
std::string g_trace;  // NOLINT: a signal handler has nothing else to hold on to

struct World {
  EngineOptions engine;
  std::uint32_t num_blocks = 0;
  std::size_t num_requests = 0;
  double arrival_chance = 0;
  double failure_chance = 0;
  double deadline_chance = 0;
  std::size_t prompt_max = 0;
  std::size_t generated_max = 0;
  std::uint64_t shutdown_at_step = UINT64_MAX;
  Shutdown shutdown = Shutdown::kDrain;
};

World draw_world(Random& random) {
  World world;
  SchedulerOptions& scheduler = world.engine.scheduler;
  scheduler.block_tokens = std::size_t{1} << random.below(5);
  scheduler.num_requests_max = random.between(random.chance(0.3) ? 1 : 10, 40);
  scheduler.num_sequences_max = random.between(1, 8);
  scheduler.step_tokens_max = scheduler.num_sequences_max + random.below(32);
  scheduler.chunk_tokens_max = random.between(1, 32);
  world.engine.vocabulary = random.between(2, 50);
  world.engine.context_tokens = random.between(4, 150);
  world.engine.seed = random.next();
  // Often tiny: a few sequences' worth.
  const std::size_t slots = random.between(4, random.chance(0.5) ? 60 : 400);
  world.num_blocks =
      static_cast<std::uint32_t>(std::max<std::size_t>(1, slots / scheduler.block_tokens));
  world.num_requests = random.between(1, 40);
  world.arrival_chance = random.chance(0.3) ? 1.0 : 0.02 + random.uniform() * 0.5;
  world.failure_chance = random.chance(0.3) ? 0.05 : 0.0;
  world.deadline_chance = random.chance(0.3) ? 0.3 : 0.0;
  // Most requests fit the context and the pool, some do not; short prompts with long answers are
  // what preemption is made of.
  const std::size_t fitting = std::min(world.engine.context_tokens, slots);
  world.prompt_max = random.between(1, random.chance(0.5) ? 8 : fitting);
  world.generated_max = random.between(1, fitting);
  if (random.chance(0.2)) {
    world.shutdown_at_step = random.below(100);
    world.shutdown = random.chance(0.5) ? Shutdown::kCancel : Shutdown::kDrain;
  }
  return world;
}

class Simulation {
 public:
  explicit Simulation(const SimOptions& options)
      : options_(options),
        random_(options.seed),
        world_(draw_world(random_)),
        pool_(world_.num_blocks),
        runner_({.seed = options.seed,
                 .num_blocks = world_.num_blocks,
                 .block_tokens = world_.engine.scheduler.block_tokens,
                 .vocabulary = world_.engine.vocabulary,
                 .failure_chance = world_.failure_chance,
                 .fault = options.fault,
                 .pool = &pool_,
                 .trace = &g_trace}),
        engine_(MUST(Engine::create(world_.engine, pool_, runner_, clock_))) {}  // drawn in limits

  SimReport run();

 private:
  void arrive();
  Request draw_request();
  void submit_one();
  void step();
  void finish();
  void fail(const std::string& what) {
    if (report_.failure.empty()) report_.failure = what;
  }
  std::size_t num_live() const;
  bool is_shut() const { return report_.num_steps >= world_.shutdown_at_step; }

  SimOptions options_;
  Random random_;
  World world_;
  ManualClock clock_;
  BlockPool pool_;
  TruthRunner runner_;
  std::unique_ptr<Engine> engine_;
  std::vector<SimClient> clients_;
  std::size_t num_arrived_ = 0;
  SimReport report_;
};

Request Simulation::draw_request() {
  Request request;
  const std::size_t num_prompt = random_.below(40) == 0 ? 0 : random_.between(1, world_.prompt_max);
  for (std::size_t i = 0; i < num_prompt; ++i) {
    request.prompt.push_back(static_cast<TokenId>(random_.below(world_.engine.vocabulary)));
  }
  if (random_.chance(0.8)) request.max_tokens = random_.between(1, world_.generated_max);
  if (random_.chance(0.4)) {
    request.stop_ids.push_back(static_cast<TokenId>(random_.below(world_.engine.vocabulary)));
  }
  if (random_.chance(0.3)) {
    request.sampling.top_logprobs = static_cast<std::uint32_t>(
        random_.below(std::min(kTopLogprobsMax, world_.engine.vocabulary)));
  }
  if (random_.chance(world_.deadline_chance)) {
    request.deadline = clock_.now() + std::chrono::milliseconds(random_.below(300));
  }
  return request;
}

std::size_t Simulation::num_live() const {
  const auto is_live = [](const SimClient& client) { return client.is_live; };
  return static_cast<std::size_t>(std::count_if(clients_.begin(), clients_.end(), is_live));
}

void Simulation::submit_one() {
  const Request request = draw_request();
  const SchedulerOptions& scheduler = world_.engine.scheduler;
  const Result<Request> checked = checked_request(request, engine_->request_limits());
  Result<TokenStream> stream = engine_->submit(request);
  if (!stream.ok()) {
    ++report_.num_refused;
    const ErrorCode code = stream.error().code;
    const bool is_expected =
        !checked.ok() ? code == checked.error().code
        : is_shut()   ? code == ErrorCode::kUnavailable || code == ErrorCode::kResourceExhausted
                      : code == ErrorCode::kResourceExhausted;
    if (!is_expected) fail("refused for the wrong reason: " + stream.error().message);
    return;
  }
  if (!checked.ok()) fail("accepted a request that cannot run");
  if (is_shut()) fail("accepted a request after shutdown");
  ++report_.num_requests;
  SimClient client;
  client.request = checked.value();
  client.request.id = stream.value().id();
  client.stream = std::move(stream).value();
  const std::uint64_t habit = random_.below(10);
  client.habit = habit < 5   ? ClientHabit::kReads
                 : habit < 7 ? ClientHabit::kSlow
                 : habit < 8 ? ClientHabit::kDrops
                             : ClientHabit::kCancels;
  client.leaves_at_step = report_.num_steps + random_.below(40);
  client.solo = solo_run(client.request, options_.seed, world_.engine.vocabulary);
  client.ends_by_step = report_.num_steps + steps_bound(scheduler, client.request);
  for (const SimClient& other : clients_) {
    if (other.is_live) client.ends_by_step += steps_bound(scheduler, other.request);
  }
  clients_.push_back(std::move(client));
}

void Simulation::arrive() {
  if (num_arrived_ == world_.num_requests || !random_.chance(world_.arrival_chance)) return;
  const std::size_t burst = random_.chance(0.1) ? random_.between(1, 20) : 1;
  for (std::size_t i = 0; i < burst && num_arrived_ < world_.num_requests; ++i) {
    ++num_arrived_;
    submit_one();
  }
}

void Simulation::step() {
  if (report_.num_steps == world_.shutdown_at_step) engine_->shutdown(world_.shutdown);
  arrive();
  clock_.advance(std::chrono::milliseconds(random_.below(10)));
  g_trace += "step " + std::to_string(report_.num_steps) + " free " +
             std::to_string(pool_.num_free()) + ":";
  engine_->step();
  ++report_.num_steps;
  if (g_trace.back() == ':') g_trace += "\n";
  if (options_.invariant_checks == InvariantChecks::kOn) engine_->scheduler().check_invariants();
  report_.num_preemptions += engine_->scheduler().last_plan().preempted.size();
  for (SimClient& client : clients_) {
    client.behave(report_.num_steps, random_);
    if (client.is_live && client.stream && report_.num_steps >= client.ends_by_step) {
      fail("request " + std::to_string(client.request.id.value) + " starved beyond step " +
           std::to_string(client.ends_by_step));
    }
  }
}

void Simulation::finish() {
  if (engine_->scheduler().num_live() != 0) fail("requests are left over");
  if (pool_.num_free() != pool_.num_blocks()) fail("blocks are left over");
  for (SimClient& client : clients_) {
    if (!client.stream) continue;
    while (client.take()) {
    }
    const std::string verdict = client.verdict();
    const bool was_shut = world_.shutdown == Shutdown::kCancel && is_shut();
    const bool is_cancelled =
        client.stream->finished() && client.stream->finished()->reason == FinishReason::kCancelled;
    if (!verdict.empty() && !(was_shut && is_cancelled)) fail(verdict);
    if (const auto end = client.stream->finished()) {
      if (end->reason == FinishReason::kError && client.solo.reason != FinishReason::kError &&
          world_.failure_chance == 0) {
        fail("a request failed although nothing did");
      }
      ++report_.num_ends[static_cast<std::size_t>(end->reason)];
    }
  }
  report_.num_slots_checked = runner_.num_slots_checked();
}

SimReport Simulation::run() {
  // Far above the sum of all bounds: a simulation that gets here hangs.
  constexpr std::uint64_t kStepsMax = 50'000;
  g_trace.clear();
  while (report_.failure.empty()) {
    step();
    const bool is_done = num_arrived_ == world_.num_requests &&
                         engine_->scheduler().num_live() == 0 && num_live() == 0;
    if (is_done) break;
    if (report_.num_steps == kStepsMax) fail("the simulation does not end");
  }
  if (report_.failure.empty()) finish();
  return report_;
}

}  // namespace

SimReport run_simulation(const SimOptions& options) {
  Simulation simulation(options);
  return simulation.run();
}

void print_sim_trace() {
  const ssize_t ignored = ::write(STDERR_FILENO, g_trace.data(), g_trace.size());
  static_cast<void>(ignored);
}

}  // namespace millrace
