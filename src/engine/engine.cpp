// The engine's loop and its door to other threads.
#include "engine/engine.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/random.h"

namespace millrace {
namespace {

// What a further choice counts for in its queue: it computes the last token of the prompt.
constexpr std::size_t kFollowerTokens = 1;

RequestLimits limits_of(const EngineOptions& options, const BlockPool& pool) {
  return {.vocabulary = options.vocabulary,
          .context_tokens = options.context_tokens,
          .cache_tokens = (pool.num_blocks() - options.scheduler.hot.pinned_blocks_max) *
                          options.scheduler.block_tokens,
          .num_classes = options.scheduler.classes.size(),
          .pooled_width = options.pooled_width,
          .adapter_rank_max = options.adapter_rank_max};
}

void lower_cap(ServiceClass& service_class, std::uint64_t num_blocks) {
  const std::uint64_t before =
      service_class.blocks_max.value_or(std::numeric_limits<std::uint32_t>::max());
  service_class.blocks_max = static_cast<std::uint32_t>(std::min(num_blocks, before));
}

// Caps in bytes and in parts become caps in blocks.
Status convert_caps(EngineOptions& options, std::uint32_t num_blocks_all) {
  for (ServiceClass& service_class : options.scheduler.classes) {
    if (service_class.kv_part_max) {
      const double num_blocks = *service_class.kv_part_max * static_cast<double>(num_blocks_all);
      lower_cap(service_class, std::max<std::uint64_t>(1, static_cast<std::uint64_t>(num_blocks)));
    }
    if (!service_class.kv_bytes_max) continue;
    const std::uint64_t num_bytes = *service_class.kv_bytes_max;
    if (options.block_bytes == 0 || num_bytes < options.block_bytes) {
      return Error{ErrorCode::kInvalidArgument,
                   "class " + service_class.name + ": kv_bytes_max is " +
                       std::to_string(num_bytes) + ", expected a block of the KV cache at least, " +
                       std::to_string(options.block_bytes) + " bytes"};
    }
    lower_cap(service_class, num_bytes / options.block_bytes);
  }
  return Ok{};
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::create(const EngineOptions& options, BlockPool& pool,
                                               ModelRunner& runner, const Clock& clock) {
  TRY(check_options(options.scheduler));
  if (options.vocabulary == 0 || options.context_tokens == 0 || pool.num_blocks() == 0) {
    return Error{ErrorCode::kInvalidArgument,
                 "an engine needs a vocabulary, a context and a KV pool, found " +
                     std::to_string(options.vocabulary) + ", " +
                     std::to_string(options.context_tokens) + " and " +
                     std::to_string(pool.num_blocks())};
  }
  if (options.scheduler.hot.pinned_blocks_max >= pool.num_blocks()) {
    return Error{ErrorCode::kInvalidArgument,
                 "pinned_blocks_max is " + std::to_string(options.scheduler.hot.pinned_blocks_max) +
                     ", expected fewer than the " + std::to_string(pool.num_blocks()) +
                     " blocks of the KV cache"};
  }
  EngineOptions in_blocks = options;
  TRY(convert_caps(in_blocks, pool.num_blocks()));
  return std::unique_ptr<Engine>(new Engine(in_blocks, pool, runner, clock));
}

Engine::Engine(const EngineOptions& options, BlockPool& pool, ModelRunner& runner,
               const Clock& clock)
    : options_(options),
      request_limits_(limits_of(options, pool)),
      pool_(pool),
      runner_(runner),
      clock_(clock),
      inbox_(options.scheduler.num_requests_max),
      admission_(options.scheduler.classes),
      num_cancels_(std::make_shared<std::atomic<std::uint64_t>>(0)),
      scheduler_(options.scheduler, pool),
      result_(options.scheduler.num_sequences_max),
      part_result_(options.scheduler.num_sequences_max),
      streams_(scheduler_.num_ids()),
      token_times_(scheduler_.num_ids()) {
  part_.chunks.reserve(options.scheduler.num_sequences_max);
  part_.copies.reserve(options.scheduler.num_sequences_max);
  // A step gives each sequence one token at most, and may end every request.
  changed_watches_.reserve(options.scheduler.num_sequences_max +
                           options.scheduler.num_requests_max);
  meter_.show(scheduler_, pool_);
}

Engine::~Engine() {
  shutdown(Shutdown::kCancel);
  while (step()) {
  }
}

RequestLimits Engine::request_limits(ClassId id) const {
  RequestLimits limits = request_limits_;
  const std::vector<ServiceClass>& classes = options_.scheduler.classes;
  if (id.index >= classes.size() || !classes[id.index].blocks_max) return limits;
  limits.cache_tokens = std::min(limits.cache_tokens, std::size_t{*classes[id.index].blocks_max} *
                                                          options_.scheduler.block_tokens);
  return limits;
}

Result<TokenStream> Engine::submit(Request request) {
  std::vector<TokenStream> streams = TRY(submit_choices(std::move(request), 1));
  return std::move(streams.front());
}

Result<std::vector<TokenStream>> Engine::submit_choices(Request request, std::size_t num_choices) {
  if (num_choices == 0 || num_choices > kChoicesMax) {
    return Error{ErrorCode::kInvalidArgument, "number of choices is " +
                                                  std::to_string(num_choices) + ", expected 1 to " +
                                                  std::to_string(kChoicesMax)};
  }
  return submit_checked(std::move(request), num_choices, 0);
}

Result<TokenStream> Engine::pin(std::vector<TokenId> prefix, ClassId service_class) {
  const std::size_t block_tokens = options_.scheduler.block_tokens;
  const std::size_t num_blocks = prefix.size() / block_tokens;
  if (num_blocks == 0) {
    return Error{ErrorCode::kInvalidArgument, "a hot prompt of " + std::to_string(prefix.size()) +
                                                  " tokens does not fill a block of " +
                                                  std::to_string(block_tokens)};
  }
  prefix.resize(num_blocks * block_tokens);
  Request request;
  request.prompt = std::move(prefix);
  request.max_tokens = 1;
  request.service_class = service_class;
  std::vector<TokenStream> streams = TRY(submit_checked(std::move(request), 1, num_blocks));
  return std::move(streams.front());
}

Result<std::size_t> Engine::restore(std::span<const TokenId> prefix, HotSource source,
                                    FunctionRef<Status(std::size_t, BlockId)> fill) {
  CHECK(!thread_.joinable());
  settle();
  Result<std::size_t> num_filled = scheduler_.restore(prefix, source, fill);
  meter_.show(scheduler_, pool_);
  return num_filled;
}

Result<std::vector<TokenStream>> Engine::submit_checked(Request request, std::size_t num_choices,
                                                        std::size_t pin_blocks) {
  if (num_choices > 1 && request.pooling != Pooling::kNone) {
    return Error{ErrorCode::kInvalidArgument,
                 std::to_string(num_choices) + " choices of a pooled request, expected 1"};
  }
  const RequestLimits limits = request_limits(request.service_class);
  request.id = RequestId{num_submitted_.fetch_add(num_choices, std::memory_order_relaxed) + 1};
  request = TRY(checked_request(std::move(request), limits));
  // More than may ever wait: no use to come back.
  const std::size_t num_waiting_max = std::min(options_.scheduler.num_requests_max,
                                               admission_.num_requests_max(request.service_class));
  if (num_choices > num_waiting_max) {
    return Error{ErrorCode::kTooLarge, std::to_string(num_choices) + " choices, at most " +
                                           std::to_string(num_waiting_max) + " may wait"};
  }
  // A request without a seed of its own still gets one that is fixed from here on.
  if (!request.sampling.seed) request.sampling.seed = mix64(options_.seed + request.id.value);
  const TimePoint now = clock_.now();
  TRY(enter(request, num_choices, now));

  Submission submission;
  std::vector<TokenStream> streams;
  std::shared_ptr<PromptScores> scores;  // shared by the leader and the streams of all
  if (request.prompt_logprobs) {
    scores = std::make_shared<PromptScores>(request.prompt.size(), *request.prompt_logprobs);
  }
  for (std::size_t i = 0; i < num_choices; ++i) {
    Request choice = request;
    choice.id.value += i;
    if (i > 0) choice.sampling.seed = mix64(*request.sampling.seed + i);
    auto stream = std::make_shared<StreamState>(choice, num_cancels_, scores);
    auto sequence =
        std::make_unique<Sequence>(std::move(choice), options_.scheduler.block_tokens, now);
    if (i > 0) sequence->num_queued_tokens = kFollowerTokens;
    sequence->pin_blocks = static_cast<std::uint32_t>(pin_blocks);
    if (request.pooling != Pooling::kNone) {
      sequence->pooled = std::make_unique<PooledState>(request.pooling, options_.pooled_width);
    }
    if (i == 0) sequence->scores = scores;
    streams.emplace_back(stream);
    submission.choices.push_back({std::move(sequence), std::move(stream)});
  }
  if (!inbox_.try_push(std::move(submission))) {
    leave(request, num_choices);
    return Error{ErrorCode::kUnavailable, "the engine is shutting down"};
  }
  return streams;
}

// Counts the choices among the live and the waiting ones, all or none.
Status Engine::enter(const Request& request, std::size_t num_choices, TimePoint now) {
  std::optional<Duration> time_left;
  if (request.deadline) time_left = *request.deadline - now;
  const std::size_t num_requests_max = options_.scheduler.num_requests_max;
  const std::size_t num_before = num_live_.fetch_add(num_choices, std::memory_order_relaxed);
  if (num_before + num_choices > num_requests_max) {
    num_live_.fetch_sub(num_choices, std::memory_order_relaxed);
    admission_.note_refusal(request.service_class, RefusalReason::kEngineFull);
    return Error{ErrorCode::kResourceExhausted,
                 "the engine is busy with " + std::to_string(num_before) + " requests, " +
                     std::to_string(num_requests_max) + " are the most that it takes"};
  }
  const ClassId id = request.service_class;
  for (std::size_t i = 0; i < num_choices; ++i) {
    const std::size_t num_tokens = i == 0 ? request.prompt.size() : kFollowerTokens;
    const Status status = admission_.try_enter(id, num_tokens, time_left);
    if (status.ok()) continue;
    num_live_.fetch_sub(num_choices, std::memory_order_relaxed);
    for (std::size_t j = 0; j < i; ++j) {
      admission_.leave(id, j == 0 ? request.prompt.size() : kFollowerTokens);
    }
    return status;
  }
  return Ok{};
}

void Engine::leave(const Request& request, std::size_t num_choices) {
  num_live_.fetch_sub(num_choices, std::memory_order_relaxed);
  for (std::size_t i = 0; i < num_choices; ++i) {
    admission_.leave(request.service_class, i == 0 ? request.prompt.size() : kFollowerTokens);
  }
}

void Engine::start() {
  CHECK(!thread_.joinable());
  thread_ = std::thread([this] { run_loop(); });
}

void Engine::shutdown(Shutdown how) {
  if (how == Shutdown::kCancel) cancel_all_.store(true, std::memory_order_release);
  inbox_.close();
  if (thread_.joinable()) thread_.join();
}

void Engine::run_loop() {
  for (;;) {
    while (step()) {
    }
    check_idle();
    std::optional<Submission> submission = inbox_.pop();
    if (!submission) return;  // Closed, and nothing is left.
    accept(std::move(*submission));
  }
}

// Walking all blocks takes a while, and an engine may fall idle after every request.
void Engine::check_idle() {
  if (scheduler_.num_live() > 0 || scheduler_.num_open() > 0) return;
  const TimePoint now = clock_.now();
  if (last_idle_check_ && now - *last_idle_check_ < kIdleCheckInterval) return;
  last_idle_check_ = now;
  if (scheduler_.has_leftovers()) {
    meter_.note_breach();
    DCHECK(!scheduler_.has_leftovers());
  }
#ifndef NDEBUG
  scheduler_.check_invariants();
#endif
}

ClassSet Engine::poll() {
  take_classes();
  while (std::optional<Submission> submission = inbox_.try_pop()) accept(std::move(*submission));
  ClassSet live;
  for (std::uint32_t i = 0; i < options_.scheduler.classes.size(); ++i) {
    const ClassStats status = scheduler_.class_stats(ClassId{i});
    if (status.num_waiting + status.num_running > 0) live.insert(ClassId{i});
  }
  return live;
}

void Engine::set_classes(std::vector<ServiceClass> classes) {
  CHECK(classes.size() == options_.scheduler.classes.size());
  admission_.set_classes(classes);
  const std::lock_guard lock(classes_mutex_);
  new_classes_ = std::move(classes);
  has_new_classes_.store(true, std::memory_order_release);
}

void Engine::take_classes() {
  if (!has_new_classes_.load(std::memory_order_acquire)) return;
  const std::lock_guard lock(classes_mutex_);
  scheduler_.set_classes(new_classes_);
  has_new_classes_.store(false, std::memory_order_relaxed);
  meter_.show(scheduler_, pool_);
}

void Engine::accept(Submission submission) {
  take_classes();
  std::optional<SequenceId> leader;
  for (Choice& choice : submission.choices) {
    const SequenceId id = accept_choice(std::move(choice), leader);
    if (!leader) leader = id;
  }
}

SequenceId Engine::accept_choice(Choice choice, std::optional<SequenceId> leader) {
  const SequenceId id = scheduler_.submit(std::move(choice.sequence), leader);
  CHECK(streams_[id.index] == nullptr);
  // Its cancellation may have been counted before anybody could look for it here.
  if (choice.stream->is_cancelled()) {
    scheduler_.cancel(id, {.reason = FinishReason::kCancelled});
  }
  streams_[id.index] = std::move(choice.stream);
  token_times_[id.index].reset();
  return id;
}

EngineStats Engine::stats() const {
  EngineStats stats = meter_.read();
  for (std::uint32_t i = 0; i < stats.num_classes; ++i) {
    stats.doors[i] = {.num_requests = admission_.num_requests(ClassId{i}),
                      .num_tokens = admission_.num_tokens(ClassId{i}),
                      .refusals = admission_.refusals(ClassId{i})};
  }
  return stats;
}

std::optional<ShareDecision> Engine::last_share_decision() const {
  const std::lock_guard lock(decision_mutex_);
  return last_decision_;
}

}  // namespace millrace
