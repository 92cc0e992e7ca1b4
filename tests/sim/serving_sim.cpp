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
  bool has_poison = false;
  double constraint_chance = 0;
  double deadline_chance = 0;
  double step_seconds = 0;
  double reuse_chance = 0;  // that a prompt begins like one before it
  std::size_t prompt_max = 0;
  std::size_t generated_max = 0;
  std::uint64_t shutdown_at_step = UINT64_MAX;
  Shutdown shutdown = Shutdown::kDrain;
};

// One to three classes with all sorts of shares, targets and caps.
std::vector<ServiceClass> draw_classes(Random& random, std::uint32_t num_blocks) {
  std::vector<ServiceClass> classes(random.between(1, 3));
  for (std::size_t i = 0; i < classes.size(); ++i) {
    classes[i].name = std::to_string(i);
    classes[i].share = 0.05 + random.uniform();
    classes[i].first_token_target = std::chrono::milliseconds(random.between(1, 200));
    if (random.chance(0.3)) classes[i].token_target = std::chrono::milliseconds(20);
    if (random.chance(0.2)) {
      classes[i].blocks_max = static_cast<std::uint32_t>(random.between(1, num_blocks));
    }
    if (random.chance(0.3)) {
      classes[i].threads_max = static_cast<std::uint32_t>(random.between(1, 3));
    }
    if (random.chance(0.2)) classes[i].queued_requests_max = random.between(1, 10);
    if (random.chance(0.2)) classes[i].queued_tokens_max = random.between(1, 200);
    if (random.chance(0.2)) classes[i].queue_wait_max = std::chrono::milliseconds(500);
    classes[i].cache_priority = static_cast<std::uint8_t>(random.below(3));
  }
  return classes;
}

World draw_world(Random& random, StepLoop loop) {
  World world;
  SchedulerOptions& scheduler = world.engine.scheduler;
  scheduler.loop = loop;
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
  scheduler.classes = draw_classes(random, world.num_blocks);
  scheduler.prompt_tokens_min = random.between(1, 16);
  scheduler.reclaim_steps = random.between(1, 8);
  if (random.chance(0.5)) {
    scheduler.controller = ShareControllerOptions{.interval = std::chrono::milliseconds(20)};
    for (ServiceClass& service_class : scheduler.classes) {
      service_class.share_min = 0.05;
    }
  }
  if (random.chance(0.2)) scheduler.prefix_reuse = PrefixReuse::kOff;
  if (random.chance(0.5)) world.step_seconds = 0.02 * random.uniform();
  world.num_requests = random.between(1, 40);
  world.arrival_chance = random.chance(0.3) ? 1.0 : 0.02 + random.uniform() * 0.5;
  world.failure_chance = random.chance(0.3) ? 0.05 : 0.0;
  world.has_poison = random.chance(0.3);
  world.constraint_chance = random.chance(0.3) ? random.uniform() : 0.0;
  world.deadline_chance = random.chance(0.3) ? 0.3 : 0.0;
  world.reuse_chance = random.chance(0.7) ? 0.8 : 0.0;
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

// Half of the worlds keep some prefixes hot. Drawn apart, so that the other half stays as it is.
void draw_hot(Random& random, World& world) {
  if (world.num_blocks < 2 || random.chance(0.5)) return;
  HotPrefixOptions& hot = world.engine.scheduler.hot;
  hot.pinned_blocks_max = random.between(1, world.num_blocks / 2);
  if (random.chance(0.7)) hot.found_blocks_max = random.between(1, hot.pinned_blocks_max);
  hot.found_tokens_min = random.between(1, 8);
  hot.requests_min = static_cast<std::uint32_t>(random.between(2, 4));
  hot.half_life = std::chrono::milliseconds(random.between(20, 1000));
}

class Simulation {
 public:
  explicit Simulation(const SimOptions& options)
      : options_(options),
        random_(options.seed),
        hot_random_(mix64(options.seed + 1)),
        world_(draw_world(random_, options.loop)),
        pool_(world_.num_blocks),
        runner_({.seed = options.seed,
                 .num_blocks = world_.num_blocks,
                 .block_tokens = world_.engine.scheduler.block_tokens,
                 .vocabulary = world_.engine.vocabulary,
                 .failure_chance = world_.failure_chance,
                 .has_poison = world_.has_poison,
                 .step_seconds = world_.step_seconds,
                 .fault = options.fault,
                 .pool = &pool_,
                 .trace = &g_trace}),
        engine_(make_engine()) {
    runner_.watch(engine_->scheduler().prefix_index());
  }

  SimReport run();

 private:
  std::unique_ptr<Engine> make_engine() {
    draw_hot(hot_random_, world_);
    return MUST(Engine::create(world_.engine, pool_, runner_, clock_));  // drawn in limits
  }
  bool has_hot() const { return world_.engine.scheduler.hot.pinned_blocks_max > 0; }
  void restore();
  void pin_one();
  void arrive();
  Request draw_request();
  void submit_one();
  void add_client(const Request& request, TokenStream stream, std::size_t num_choices);
  void note_order(SimClient& client);
  std::uint64_t ends_by_step(const SimClient& client) const;
  void step();
  void finish();
  void fail(const std::string& what) {
    if (report_.failure.empty()) report_.failure = what;
  }
  std::size_t num_live() const;
  // Not because of the request.
  bool is_refusal_of_now(const Error& error) const {
    return error.code == ErrorCode::kResourceExhausted ||
           (is_shut() && error.code == ErrorCode::kUnavailable);
  }
  bool is_shut() const { return report_.num_steps >= world_.shutdown_at_step; }

  SimOptions options_;
  Random random_;
  Random hot_random_;
  World world_;
  ManualClock clock_;
  BlockPool pool_;
  TruthRunner runner_;
  std::unique_ptr<Engine> engine_;
  std::vector<SimClient> clients_;
  std::vector<TokenId> restored_;  // a prefix that was there from the start
  std::size_t num_arrived_ = 0;
  std::uint64_t num_steps_max_ = 0;  // of any request as the elder
  SimReport report_;
};

Request Simulation::draw_request() {
  Request request;
  const std::size_t num_prompt = random_.below(40) == 0 ? 0 : random_.between(1, world_.prompt_max);
  request.service_class.index =
      static_cast<std::uint32_t>(random_.below(world_.engine.scheduler.classes.size()));
  if (random_.below(200) == 0) request.service_class.index = 3;  // there is none
  request.salt.low = random_.below(8) == 0 ? 1 : 0;
  if (!clients_.empty() && num_prompt > 0 && random_.chance(world_.reuse_chance)) {
    // A conversation that returns, or a part of it.
    const SimClient& before = clients_[random_.below(clients_.size())];
    request.prompt = before.request.prompt;
    request.prompt.insert(request.prompt.end(), before.solo.tokens.begin(),
                          before.solo.tokens.end());
    if (random_.chance(0.3)) request.prompt.resize(random_.between(1, request.prompt.size()));
    if (random_.chance(0.8)) request.salt = before.request.salt;
  }
  if (!restored_.empty() && hot_random_.chance(0.3)) request.prompt = restored_;
  const std::size_t num_new = request.prompt.empty() ? num_prompt : random_.below(8);
  for (std::size_t i = 0; i < num_new; ++i) {
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
  if (random_.chance(world_.constraint_chance)) {
    request.constraint = std::make_shared<CountingConstraint>();
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
  const Result<Request> checked =
      checked_request(request, engine_->request_limits(request.service_class));
  const std::size_t num_choices = random_.chance(0.2) ? random_.between(2, 5) : 1;
  Result<std::vector<TokenStream>> streams = engine_->submit_choices(request, num_choices);
  if (!streams.ok()) {
    ++report_.num_refused;
    const ErrorCode code = streams.error().code;
    const bool is_expected =
        !checked.ok()                  ? code == checked.error().code
        : code == ErrorCode::kTooLarge ? num_choices > 1  // than may ever wait
        : is_shut() ? code == ErrorCode::kUnavailable || code == ErrorCode::kResourceExhausted
                    : code == ErrorCode::kResourceExhausted;
    if (!is_expected) fail("refused for the wrong reason: " + streams.error().message);
    return;
  }
  if (!checked.ok()) fail("accepted a request that cannot run");
  if (is_shut()) fail("accepted a request after shutdown");
  if (streams.value().size() != num_choices) fail("gave another number of choices");
  for (TokenStream& stream : streams.value()) {
    add_client(checked.value(), std::move(stream), num_choices);
  }
}

// As if from a file: blocks that nobody computed, sometimes damaged ones.
void Simulation::restore() {
  if (!has_hot() || hot_random_.chance(0.5)) return;
  const std::size_t block_tokens = world_.engine.scheduler.block_tokens;
  const std::size_t num_blocks =
      hot_random_.between(1, world_.engine.scheduler.hot.pinned_blocks_max + 1);
  std::vector<TokenId> prefix(num_blocks * block_tokens);
  for (TokenId& token : prefix) {
    token = static_cast<TokenId>(hot_random_.below(world_.engine.vocabulary));
  }
  const auto fill = [&](std::size_t at, BlockId block) -> Status {
    if (hot_random_.chance(0.05)) return Error{ErrorCode::kCorruptData, "a damaged block"};
    runner_.put(prefix, at, block);
    return Ok{};
  };
  const HotSource source = hot_random_.chance(0.5) ? HotSource::kAsked : HotSource::kFound;
  if (engine_->restore(prefix, source, fill).ok()) restored_ = prefix;
}

// Somebody asks for a prefix of a prompt that was there before to stay.
void Simulation::pin_one() {
  if (clients_.empty()) return;
  Request request;
  request.prompt = clients_[hot_random_.below(clients_.size())].request.prompt;
  const std::size_t num_tokens = hot_random_.between(1, request.prompt.size());
  request.prompt.resize(num_tokens);
  request.service_class.index =
      static_cast<std::uint32_t>(hot_random_.below(world_.engine.scheduler.classes.size()));
  Result<TokenStream> stream = engine_->pin(request.prompt, request.service_class);
  const std::size_t block_tokens = world_.engine.scheduler.block_tokens;
  request.prompt.resize(num_tokens / block_tokens * block_tokens);
  request.max_tokens = 1;
  const Result<Request> checked =
      checked_request(request, engine_->request_limits(request.service_class));
  if (stream.ok() != checked.ok() && (stream.ok() || !is_refusal_of_now(stream.error()))) {
    fail("a prefix was taken or refused for the wrong reason");
  }
  if (!stream.ok()) return;
  add_client(checked.value(), std::move(stream).value(), 1);
  clients_.back().is_pin = true;
}

void Simulation::add_client(const Request& request, TokenStream stream, std::size_t num_choices) {
  ++report_.num_requests;
  SimClient client;
  client.request = request;
  client.request.id = stream.id();
  client.stream = std::move(stream);
  client.has_siblings = num_choices > 1;
  const std::uint64_t habit = random_.below(10);
  client.habit = habit < 5   ? ClientHabit::kReads
                 : habit < 7 ? ClientHabit::kSlow
                 : habit < 8 ? ClientHabit::kDrops
                             : ClientHabit::kCancels;
  client.leaves_at_step = report_.num_steps + random_.below(40);
  client.solo = solo_run(client.request, {.seed = options_.seed,
                                          .vocabulary = world_.engine.vocabulary,
                                          .has_poison = world_.has_poison});
  note_order(client);
  clients_.push_back(std::move(client));
}

// The bound: whoever is the elder is done in steps_bound, and an elder of its class is followed by
// at most elders_between_max others before the next of its class. Ahead of a request may go those
// of its class that are live when it comes, and those that come within its class's target for the
// first token, since start_by lies between submission and that. Ahead of one of several choices of
// a request go all that come while the prompt is computed for another of them.
void Simulation::note_order(SimClient& client) {
  const SchedulerOptions& scheduler = world_.engine.scheduler;
  const std::uint64_t num_steps = steps_bound(scheduler, client.request);
  const ClassId id = client.request.service_class;
  client.submitted_at_step = report_.num_steps;
  client.submitted = clock_.now();
  client.num_ahead = 1;
  client.num_steps_ahead = num_steps;
  num_steps_max_ = std::max(num_steps_max_, num_steps);
  const Duration target = scheduler.classes[id.index].first_token_target;
  for (SimClient& other : clients_) {
    if (!other.is_live || other.request.service_class != id) continue;
    ++client.num_ahead;
    client.num_steps_ahead += steps_bound(scheduler, other.request);
    // A choice may be parked meanwhile, and then anybody goes before it.
    if (!other.has_siblings && client.submitted >= other.submitted + target) continue;
    ++other.num_ahead;
    other.num_steps_ahead += num_steps;
  }
}

std::uint64_t Simulation::ends_by_step(const SimClient& client) const {
  const SchedulerOptions& scheduler = world_.engine.scheduler;
  const std::uint64_t between = elders_between_max(scheduler, client.request.service_class);
  const std::uint64_t first = scheduler.classes.size() > 1 ? 1 : 0;  // in office when it came
  return client.submitted_at_step + client.num_steps_ahead +
         (client.num_ahead * between + first) * num_steps_max_;
}

void Simulation::arrive() {
  if (num_arrived_ == world_.num_requests || !random_.chance(world_.arrival_chance)) return;
  const std::size_t burst = random_.chance(0.1) ? random_.between(1, 20) : 1;
  for (std::size_t i = 0; i < burst && num_arrived_ < world_.num_requests; ++i) {
    ++num_arrived_;
    submit_one();
    if (has_hot() && hot_random_.chance(0.1)) pin_one();
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
  const HotPrefixes& hot = engine_->scheduler().hot_prefixes();
  report_.num_asked_pins = std::max<std::uint64_t>(report_.num_asked_pins, hot.num_asked());
  report_.num_found_pins = std::max<std::uint64_t>(report_.num_found_pins, hot.num_found());
  for (SimClient& client : clients_) {
    client.behave(report_.num_steps, random_);
    if (client.is_live && client.stream && report_.num_steps >= ends_by_step(client)) {
      fail("request " + std::to_string(client.request.id.value) + " starved beyond step " +
           std::to_string(ends_by_step(client)));
    }
  }
}

void Simulation::finish() {
  if (engine_->scheduler().num_live() != 0) fail("requests are left over");
  const PrefixIndex& index = engine_->scheduler().prefix_index();
  if (pool_.num_used() != index.num_idle() + index.num_pinned()) fail("blocks are left over");
  if (index.num_pinned() > world_.engine.scheduler.hot.pinned_blocks_max) fail("too many pins");
  for (std::uint32_t i = 0; i < world_.engine.scheduler.classes.size(); ++i) {
    const ClassStats status = engine_->scheduler().class_stats(ClassId{i});
    if (engine_->admission().num_tokens(ClassId{i}) != 0) fail("tokens are left in the queue");
    if (engine_->admission().num_requests(ClassId{i}) != 0) fail("somebody is left in the queue");
    report_.num_reclaims += status.counts.num_reclaims;
    report_.num_cached_tokens += status.counts.num_cached_tokens;
  }
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
          world_.failure_chance == 0 && !client.is_pin) {
        fail("a request failed although nothing did");
      }
      ++report_.num_ends[static_cast<std::size_t>(end->reason)];
      if (end->reason == FinishReason::kError && client.solo.is_poisoned) ++report_.num_poisoned;
    }
  }
  report_.num_failed_steps = engine_->stats().num_failed_steps;
  report_.num_slots_checked = runner_.num_slots_checked();
  report_.num_copies = runner_.num_copies();
}

SimReport Simulation::run() {
  // Far above the sum of all bounds: a simulation that gets here hangs.
  constexpr std::uint64_t kStepsMax = 50'000;
  g_trace.clear();
  restore();
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
