// Tables of families, and how each is read.
#include "serve/operate/engine_metrics.h"

#include <array>
#include <string>
#include <utility>

#include "base/check.h"

namespace millrace {
namespace {

constexpr std::array<const char*, 3> kStates = {"loading", "serving", "retiring"};
constexpr std::array<const char*, kShareReasons> kShareReasonNames = {"late", "queue", "calm"};
constexpr std::array<const char*, kRefusalReasons> kRefusalNames = {
    "engine_full", "queued_requests", "queued_tokens", "wait", "deadline"};

template <class Number>
double number(Number value) {
  return static_cast<double>(value);
}

using Stats = const EngineStats&;

// One number of a model.
struct ModelRow {
  const char* name;
  const char* help;
  MetricKind kind;
  double (*value)(Stats);
};

constexpr std::array kModelRows = {
    ModelRow{"millrace_engine_steps_total", "Steps that ran.", MetricKind::kCounter,
             [](Stats s) { return number(s.num_steps); }},
    ModelRow{"millrace_engine_tokens_total", "Tokens that went through the model.",
             MetricKind::kCounter, [](Stats s) { return number(s.num_tokens); }},
    ModelRow{"millrace_engine_failed_steps_total", "Steps that gave an error.",
             MetricKind::kCounter, [](Stats s) { return number(s.num_failed_steps); }},
    ModelRow{"millrace_engine_step_retries_total",
             "Parts of failed steps that were run again, to find who makes them fail.",
             MetricKind::kCounter, [](Stats s) { return number(s.num_step_retries); }},
    ModelRow{"millrace_engine_breaches_total",
             "Times that an idle engine found something left over, which is a bug.",
             MetricKind::kCounter, [](Stats s) { return number(s.num_breaches); }},
    ModelRow{"millrace_engine_busy_seconds_total", "Time in which a step ran on the device.",
             MetricKind::kCounter, [](Stats s) { return s.busy_seconds; }},
    ModelRow{"millrace_engine_work_seconds_total",
             "Time in which there was work; busy over work is how well the device is used.",
             MetricKind::kCounter, [](Stats s) { return s.work_seconds; }},
    ModelRow{"millrace_engine_plan_seconds_total", "Time that the engine thread planned steps.",
             MetricKind::kCounter, [](Stats s) { return s.host.plan; }},
    ModelRow{"millrace_engine_apply_seconds_total", "Time that it applied their tokens.",
             MetricKind::kCounter, [](Stats s) { return s.host.apply; }},
    ModelRow{"millrace_engine_emit_seconds_total", "Time that it handed them to their streams.",
             MetricKind::kCounter, [](Stats s) { return s.host.emit; }},
    ModelRow{"millrace_kv_blocks", "Blocks of the KV cache.", MetricKind::kGauge,
             [](Stats s) { return number(s.num_blocks); }},
    ModelRow{"millrace_kv_blocks_used", "Blocks that requests hold.", MetricKind::kGauge,
             [](Stats s) { return number(s.num_blocks_held()); }},
    ModelRow{"millrace_kv_blocks_cached",
             "Blocks with prefixes that no request holds, free for whoever needs them.",
             MetricKind::kGauge, [](Stats s) { return number(s.num_blocks_idle); }},
    ModelRow{"millrace_kv_block_tokens", "Tokens of a block.", MetricKind::kGauge,
             [](Stats s) { return number(s.block_tokens); }},
    ModelRow{"millrace_kv_usage_ratio", "Part of the blocks that requests hold.",
             MetricKind::kGauge,
             [](Stats s) {
               return s.num_blocks == 0 ? 0 : number(s.num_blocks_held()) / number(s.num_blocks);
             }},
    ModelRow{"millrace_engine_cost_error_ratio",
             "Mean relative error of foretold step times, of the last hundred steps or so.",
             MetricKind::kGauge, [](Stats s) { return s.cost_error; }},
};

// One number of a class in a model.
struct ClassRow {
  const char* name;
  const char* help;
  MetricKind kind;
  double (*value)(const ClassStats& stats, const ClassDoor& door);
};

constexpr std::array kClassRows = {
    ClassRow{"millrace_requests_running", "Sequences that are computed.", MetricKind::kGauge,
             [](const ClassStats& s, const ClassDoor&) { return number(s.num_running); }},
    ClassRow{"millrace_requests_waiting", "Sequences that have not run yet.", MetricKind::kGauge,
             [](const ClassStats&, const ClassDoor& d) { return number(d.num_requests); }},
    ClassRow{"millrace_waiting_prompt_tokens", "Tokens of the prompts that have not run yet.",
             MetricKind::kGauge,
             [](const ClassStats&, const ClassDoor& d) { return number(d.num_tokens); }},
    ClassRow{"millrace_class_kv_blocks",
             "Blocks in the tables of the class's sequences; shared ones count in each.",
             MetricKind::kGauge,
             [](const ClassStats& s, const ClassDoor&) { return number(s.num_blocks); }},
    ClassRow{"millrace_class_share_ratio",
             "The class's part of the work while every class has some, as it stands now.",
             MetricKind::kGauge,
             [](const ClassStats& s, const ClassDoor&) { return s.share_part; }},
    ClassRow{"millrace_class_work_total",
             "Work done: 1 for each token of a prompt that was computed, 2 for each generated one.",
             MetricKind::kCounter,
             [](const ClassStats& s, const ClassDoor&) { return number(s.work_done); }},
    ClassRow{
        "millrace_computed_prompt_tokens_total",
        "Tokens of prompts that were computed, again after a preemption too.", MetricKind::kCounter,
        [](const ClassStats& s, const ClassDoor&) { return number(s.counts.num_prompt_tokens); }},
    ClassRow{
        "millrace_generated_tokens_total",
        "Tokens that were generated, also for clients that went.", MetricKind::kCounter,
        [](const ClassStats& s, const ClassDoor&) { return number(s.counts.num_output_tokens); }},
    ClassRow{
        "millrace_prefix_cache_asked_tokens_total",
        "Tokens that were looked for in the prefix cache.", MetricKind::kCounter,
        [](const ClassStats& s, const ClassDoor&) { return number(s.counts.num_asked_tokens); }},
    ClassRow{
        "millrace_prefix_cache_hit_tokens_total", "Tokens that were found there.",
        MetricKind::kCounter,
        [](const ClassStats& s, const ClassDoor&) { return number(s.counts.num_cached_tokens); }},
    ClassRow{
        "millrace_preemptions_total",
        "Sequences that gave up their blocks to others, to be computed again.",
        MetricKind::kCounter,
        [](const ClassStats& s, const ClassDoor&) { return number(s.counts.num_preemptions); }},
    ClassRow{"millrace_reclaims_total",
             "Times that others were preempted to give the class its part back.",
             MetricKind::kCounter,
             [](const ClassStats& s, const ClassDoor&) { return number(s.counts.num_reclaims); }},
};

template <const auto& kBounds>
MetricSample sample_of(std::vector<std::string> labels, const BucketCounts<kBounds>& buckets) {
  return {std::move(labels), buckets.sum, {buckets.counts.begin(), buckets.counts.end()}};
}

template <const auto& kBounds>
MetricSnapshot histogram(const char* name, const char* help, std::vector<std::string> label_names) {
  return {.name = name,
          .help = help,
          .kind = MetricKind::kHistogram,
          .label_names = std::move(label_names),
          .bounds = {kBounds.begin(), kBounds.end()}};
}

// Walks models and their classes, family by family.
class Collector {
 public:
  Collector(std::span<const ModelStatus> models, std::span<const ServiceClass> classes,
            std::vector<MetricSnapshot>& snapshots)
      : models_(models), classes_(classes), snapshots_(snapshots) {}

  void add_models() {
    MetricSnapshot states{.name = "millrace_model_state",
                          .help = "1 for the state that a model is in.",
                          .label_names = {"model", "state"}};
    MetricSnapshot bytes{.name = "millrace_model_bytes",
                         .help = "Memory planned for weights, activations and KV cache.",
                         .label_names = {"model"}};
    for (const ModelStatus& model : models_) {
      for (std::size_t i = 0; i < kStates.size(); ++i) {
        const bool is_it = static_cast<std::size_t>(model.state) == i;
        states.samples.push_back({{model.name, kStates[i]}, is_it ? 1.0 : 0.0});
      }
      bytes.samples.push_back({{model.name}, number(model.num_bytes)});
    }
    snapshots_.push_back(std::move(states));
    snapshots_.push_back(std::move(bytes));
  }

  void add_rows() {
    for (const ModelRow& row : kModelRows) {
      MetricSnapshot family{
          .name = row.name, .help = row.help, .kind = row.kind, .label_names = {"model"}};
      each_model([&](const ModelStatus& model) {
        family.samples.push_back({{model.name}, row.value(model.stats)});
      });
      snapshots_.push_back(std::move(family));
    }
    for (const ClassRow& row : kClassRows) {
      MetricSnapshot family{
          .name = row.name, .help = row.help, .kind = row.kind, .label_names = {"model", "class"}};
      each_class([&](const ModelStatus& model, std::size_t i, const std::string& name) {
        family.samples.push_back(
            {{model.name, name}, row.value(model.stats.classes[i], model.stats.doors[i])});
      });
      snapshots_.push_back(std::move(family));
    }
  }

  void add_histograms() {
    MetricSnapshot seconds = histogram<kStepSecondsBounds>(
        "millrace_engine_step_seconds", "Time of a step on the device.", {"model"});
    MetricSnapshot tokens =
        histogram<kStepTokensBounds>("millrace_engine_step_tokens", "Tokens of a step.", {"model"});
    each_model([&](const ModelStatus& model) {
      seconds.samples.push_back(sample_of({model.name}, model.stats.step_seconds));
      tokens.samples.push_back(sample_of({model.name}, model.stats.step_tokens));
    });
    MetricSnapshot queues = histogram<kWaitSecondsBounds>(
        "millrace_request_queue_seconds", "Time from a request's submission to its first step.",
        {"model", "class"});
    MetricSnapshot gaps = histogram<kStepSecondsBounds>(
        "millrace_token_gap_seconds", "Time between two tokens of a sequence.", {"model", "class"});
    each_class([&](const ModelStatus& model, std::size_t i, const std::string& name) {
      queues.samples.push_back(sample_of({model.name, name}, model.stats.times[i].queue_seconds));
      gaps.samples.push_back(sample_of({model.name, name}, model.stats.times[i].token_gap_seconds));
    });
    for (MetricSnapshot* family : {&seconds, &tokens, &queues, &gaps}) {
      snapshots_.push_back(std::move(*family));
    }
  }

  void add_refusals() {
    MetricSnapshot refused{.name = "millrace_requests_refused_total",
                           .help = "Sequences that were refused at the engine's door, by reason.",
                           .kind = MetricKind::kCounter,
                           .label_names = {"model", "class", "reason"}};
    each_class([&](const ModelStatus& model, std::size_t i, const std::string& name) {
      for (std::size_t why = 0; why < kRefusalReasons; ++why) {
        refused.samples.push_back(
            {{model.name, name, kRefusalNames[why]}, number(model.stats.doors[i].refusals[why])});
      }
    });
    snapshots_.push_back(std::move(refused));
  }

  void add_share_moves() {
    MetricSnapshot moves{.name = "millrace_share_moves_total",
                         .help = "Times that the controller moved shares, by reason.",
                         .kind = MetricKind::kCounter,
                         .label_names = {"model", "reason"}};
    MetricSnapshot last{.name = "millrace_share_last_move_ratio",
                        .help = "The controller's last move: the part of all that it moved.",
                        .label_names = {"model", "from", "to", "reason"}};
    each_model([&](const ModelStatus& model) {
      for (std::size_t i = 0; i < kShareReasons; ++i) {
        moves.samples.push_back(
            {{model.name, kShareReasonNames[i]}, number(model.stats.num_share_moves[i])});
      }
      const std::optional<ShareDecision>& decision = model.last_share_decision;
      if (!decision) return;
      last.samples.push_back(
          {{model.name, classes_[decision->from.index].name, classes_[decision->to.index].name,
            kShareReasonNames.at(static_cast<std::size_t>(decision->reason))},
           decision->moved});
    });
    snapshots_.push_back(std::move(moves));
    snapshots_.push_back(std::move(last));
  }

 private:
  template <class Call>
  void each_model(Call call) const {
    for (const ModelStatus& model : models_) {
      if (model.state != ModelState::kLoading) call(model);
    }
  }
  template <class Call>
  void each_class(Call call) const {
    each_model([&](const ModelStatus& model) {
      CHECK(model.stats.num_classes == classes_.size());
      for (std::size_t i = 0; i < classes_.size(); ++i) call(model, i, classes_[i].name);
    });
  }

  const std::span<const ModelStatus> models_;
  const std::span<const ServiceClass> classes_;
  std::vector<MetricSnapshot>& snapshots_;
};

}  // namespace

void add_engine_metrics(std::span<const ModelStatus> models, std::span<const ServiceClass> classes,
                        std::vector<MetricSnapshot>& snapshots) {
  Collector collector(models, classes, snapshots);
  collector.add_models();
  collector.add_rows();
  collector.add_histograms();
  collector.add_refusals();
  collector.add_share_moves();
}

}  // namespace millrace
