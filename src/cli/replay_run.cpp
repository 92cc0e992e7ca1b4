// Wires engine, recorder and listener together and submits in time.
#include "cli/replay_run.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <thread>
#include <utility>

#include "base/check.h"
#include "base/random.h"
#include "engine/decoder_runner.h"
#include "engine/engine.h"
#include "memory/block_pool.h"

namespace millrace {
namespace {

// Times each step of the runner that it stands before. Engine thread only.
class RecordingRunner final : public ModelRunner {
 public:
  RecordingRunner(ModelRunner& runner, const Clock& clock, std::size_t num_steps_max)
      : runner_(runner), clock_(clock) {
    steps_.reserve(num_steps_max);
    gaps_.reserve(num_steps_max);
  }
  void watch(const Scheduler& scheduler) { scheduler_ = &scheduler; }

  Status run(const StepPlan& plan, StepResult& result) override {
    const CostModel& model = scheduler_->cost_model();
    const double predicted = model.is_learned() ? model.predict(plan.shape) : 0;
    const TimePoint begin = clock_.now();
    note_gap(plan, begin);
    const Status status = runner_.run(plan, result);
    last_end_ = clock_.now();
    result.elapsed = *last_end_ - begin;
    steps_.push_back({plan.shape, seconds(result.elapsed), predicted});
    return status;
  }

  std::vector<RecordedStep> take_steps() { return std::move(steps_); }
  std::vector<CostSample> take_gaps() { return std::move(gaps_); }

 private:
  // A sequence that has run before says that the engine did not wait for work meanwhile.
  void note_gap(const StepPlan& plan, TimePoint begin) {
    const bool was_busy =
        std::any_of(plan.chunks.begin(), plan.chunks.end(),
                    [](const PlannedChunk& chunk) { return chunk.num_computed > 0; });
    if (!last_end_ || !was_busy) return;
    StepShape sequences;
    sequences.num_sequences = plan.shape.num_sequences;
    gaps_.push_back({sequences, std::max(seconds(begin - *last_end_), 1e-9)});
  }

  ModelRunner& runner_;
  const Clock& clock_;
  const Scheduler* scheduler_ = nullptr;
  std::optional<TimePoint> last_end_;
  std::vector<RecordedStep> steps_;
  std::vector<CostSample> gaps_;
};

// Notes when the engine tells of a request for the first and for the last time.
class NewsTimes final : public StreamListener {
 public:
  NewsTimes(std::size_t num_requests, const Clock& clock) : clock_(clock), times_(num_requests) {}

  void streams_changed(std::span<const std::uint64_t> watches) override {
    const TimePoint now = clock_.now();
    for (const std::uint64_t watch : watches) {
      CHECK(watch < times_.size());
      Times& times = times_[watch];
      if (!times.first) times.first = now;
      times.last = now;
    }
  }

  // After the engine has stopped.
  Duration first(std::size_t number, TimePoint begin) const {
    return times_[number].first.value_or(begin) - begin;
  }
  Duration last(std::size_t number, TimePoint begin) const {
    return times_[number].first ? times_[number].last - begin : Duration{0};
  }

 private:
  struct Times {
    std::optional<TimePoint> first;
    TimePoint last{};
  };
  const Clock& clock_;
  std::vector<Times> times_;
};

Request request_of(const TraceRequest& wanted, std::uint64_t number, std::size_t vocabulary,
                   Random& random) {
  Request request;
  request.prompt.reserve(wanted.num_prompt);
  for (std::uint32_t i = 0; i < wanted.num_prompt; ++i) {
    request.prompt.push_back(static_cast<TokenId>(random.below(vocabulary)));
  }
  request.max_tokens = wanted.num_output;
  request.sampling.temperature = 0;
  request.service_class = ClassId{wanted.class_index};
  request.watch = number;
  return request;
}

// Steps that the trace can take at most: every prompt in chunks of one block, every token alone.
std::size_t num_steps_max(const Trace& trace, const SchedulerOptions& options) {
  std::size_t sum = 0;
  for (const TraceRequest& request : trace.requests) {
    sum += request.num_prompt / options.block_tokens + request.num_output + 2;
  }
  return sum;
}

void note_outcomes(const Trace& trace, std::span<TokenStream> streams, const NewsTimes& news,
                   TimePoint begin, SimulationResult& result) {
  result.outcomes.resize(trace.requests.size());
  for (std::size_t i = 0; i < trace.requests.size(); ++i) {
    RequestOutcome& outcome = result.outcomes[i];
    outcome.arrival = trace.requests[i].arrival;
    outcome.num_prompt = trace.requests[i].num_prompt;
    outcome.class_index = trace.requests[i].class_index;
    outcome.first_token = news.first(i, begin);
    outcome.end = news.last(i, begin);
    outcome.has_started = true;
    outcome.started = outcome.first_token;
    while (streams[i].try_pop()) ++outcome.num_output;
    const std::optional<Finish> finish = streams[i].finished();
    const bool is_whole = finish && finish->reason == FinishReason::kLength;
    outcome.fate = is_whole ? RequestFate::kFinished : RequestFate::kUnfinished;
    result.totals.end = std::max(result.totals.end, outcome.end);
    result.totals.last_arrival = std::max(result.totals.last_arrival, outcome.arrival);
  }
}

}  // namespace

Result<ReplayRun> replay_trace(ModelSession& session, const Trace& trace,
                               const SchedulerOptions& options, std::uint64_t seed) {
  const SystemClock clock;
  BlockPool pool(session.cache().num_blocks());
  const auto decoder_runner =
      TRY(DecoderRunner::create(session.decoder(), session.context(), session.cache(), options));
  RecordingRunner runner(*decoder_runner, clock, num_steps_max(trace, options));
  NewsTimes news(trace.requests.size(), clock);
  EngineOptions engine_options;
  engine_options.scheduler = options;
  engine_options.vocabulary = session.spec().vocabulary;
  engine_options.context_tokens = session.context_tokens();
  engine_options.listener = &news;
  const auto engine = TRY(Engine::create(engine_options, pool, runner, clock));
  runner.watch(engine->scheduler());

  Random random(seed);
  std::vector<Request> requests;
  for (std::size_t i = 0; i < trace.requests.size(); ++i) {
    requests.push_back(request_of(trace.requests[i], i, session.spec().vocabulary, random));
  }
  std::vector<TokenStream> streams;
  streams.reserve(requests.size());
  engine->start();
  const TimePoint begin = clock.now() + std::chrono::milliseconds(100);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    std::this_thread::sleep_until(begin + trace.requests[i].arrival);
    Result<TokenStream> stream = engine->submit(std::move(requests[i]));
    if (!stream.ok()) {
      engine->shutdown(Shutdown::kCancel);
      return with_context(std::move(stream).error(), "request " + std::to_string(i));
    }
    streams.push_back(std::move(stream).value());
  }
  engine->shutdown(Shutdown::kDrain);
  ReplayRun run;
  note_outcomes(trace, streams, news, begin, run.result);
  run.steps = runner.take_steps();
  run.host_gaps = runner.take_gaps();
  return run;
}

}  // namespace millrace
