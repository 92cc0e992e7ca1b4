// The training loop: batches to losses to updates, with records and checkpoints on the way.
#include "train/trainer.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>
#include <utility>
#include <vector>

#include "base/file.h"
#include "model/export_source.h"
#include "model/read_spec.h"
#include "train/model_folder.h"
#include "train/torch/adamw.h"
#include "train/torch/aten.h"
#include "train/torch/checkpoints.h"
#include "train/torch/guard.h"
#include "train/torch/loss.h"
#include "train/torch/twin.h"
#include "train/torch/twin_source.h"
#include "train/torch/workers.h"

namespace millrace {
namespace {

Result<at::Device> device_of(TrainDevice wanted) {
  if (wanted == TrainDevice::kCpu) return at::Device(at::kCPU);
  if (at::hasCUDA()) return at::Device(at::kCUDA, 0);
  if (wanted == TrainDevice::kAuto) return at::Device(at::kCPU);
  return Error{ErrorCode::kUnavailable, "device cuda: this libtorch finds no CUDA device"};
}

bool has_fast_bf16(at::Device device) {
#if defined(__x86_64__)
  if (device.is_cpu()) return __builtin_cpu_supports("avx512bf16");
#endif
  return device.is_cuda();
}

TwinOptions twin_options(const TrainOptions& options, at::Device device) {
  TwinOptions twin;
  twin.device = device;
  const bool is_bf16 = options.precision == Precision::kBF16 ||
                       (options.precision == Precision::kAuto && has_fast_bf16(device));
  twin.compute = is_bf16 ? ComputeType::kBF16 : ComputeType::kF32;
  switch (options.quantization) {
    case TrainQuantization::kNone:
      twin.fake_quant = FakeQuant::kNone;
      break;
    case TrainQuantization::kInt8:
      twin.fake_quant = FakeQuant::kInt8Groups;
      break;
    case TrainQuantization::kInt4:
      twin.fake_quant = FakeQuant::kInt4Groups;
      break;
  }
  return twin;
}

// One run in this process.
class Run {
 public:
  Run(const TrainJob& job, const TrainHooks& hooks)
      : job_(&job),
        hooks_(&hooks),
        options_(&job.options),
        stream_(job.data, {.context = job.options.context, .seed = job.options.seed}) {}

  Result<TrainOutcome> run() {
    TRY(begin());
    TrainLog log = TRY(TrainLog::open(job_->folder, state_.num_steps));
    bool goes_on = true;
    while (goes_on && state_.num_steps < options_->num_steps) {
      TRY(run_step());
      goes_on = !hooks_->is_stopped();
      const bool is_last = state_.num_steps == options_->num_steps;
      if (is_last || state_.num_steps % options_->log_steps == 0) {
        TRY(add_record(log));
        goes_on = hooks_->on_record(log.records().back()) && goes_on;
      }
      if (is_last || !goes_on || is_checkpoint_due()) TRY(save(log));
    }
    return finish(log);
  }

 private:
  Status begin() {
    at::globalContext().setDeterministicAlgorithms(true, true);
    TRY(check_trainable_folder(*job_->spec));
    const TwinOptions options = twin_options(*options_, TRY(device_of(options_->device)));
    const std::optional<std::string> checkpoint = newest_checkpoint(job_->folder);
    if (checkpoint) {
      state_ = TRY(read_checkpoint_state(*checkpoint, job_->identity));
      const Checkpoint model = TRY(open_checkpoint(*checkpoint + "/model"));
      const CheckpointSource source(model, *job_->spec);
      twin_.emplace(TRY(Twin::create(*job_->spec, source, options)));
    } else {
      twin_.emplace(TRY(Twin::create(*job_->spec, *job_->initial, options)));
    }
    TRY(begin_teacher(options));
    workers_.emplace(*twin_, teacher_ ? &*teacher_ : nullptr, options_->num_threads,
                     options_->step_rows);
    optimizer_.emplace(twin_->parameters(), options_->optimizer);
    if (checkpoint) TRY(read_moments(*checkpoint, *twin_, *optimizer_));
    outcome_.resumed_step = saved_step_ = state_.num_steps;
    stream_.skip(std::uint64_t{state_.num_steps} * options_->step_rows);
    saved_ = recorded_ = hooks_->clock->now();
    return Ok{};
  }

  Status begin_teacher(TwinOptions options) {
    if (job_->teacher == nullptr) return Ok{};
    if (job_->teacher_spec->vocabulary != job_->spec->vocabulary) {
      return Error{ErrorCode::kInvalidArgument,
                   "the teacher's vocabulary of " + std::to_string(job_->teacher_spec->vocabulary) +
                       " tokens is not the student's of " + std::to_string(job_->spec->vocabulary)};
    }
    options.fake_quant = FakeQuant::kNone;
    teacher_.emplace(TRY(Twin::create(*job_->teacher_spec, *job_->teacher, options)));
    return Ok{};
  }

  LossOptions loss_options() const {
    LossOptions options;
    options.balance_weight = options_->balance_weight;
    options.distill = options_->distill;
    return options;
  }

  // Rows of one pass: no more than asked for, and so few that every worker has some.
  std::size_t pass_rows(std::size_t num_rows) const {
    const std::size_t share = (num_rows + workers_->size() - 1) / workers_->size();
    return std::min(options_->micro_rows, share);
  }

  // The sum of the losses of a batch's passes, each times `scale`.
  double run_passes(const RowBatch& batch, double scale) {
    const std::size_t rows_each = pass_rows(batch.num_rows);
    const std::size_t num_parts = (batch.num_rows + rows_each - 1) / rows_each;
    const LossOptions options = at::GradMode::is_enabled() ? loss_options() : LossOptions{};
    std::vector<double> losses(num_parts, 0.0);
    workers_->run(num_parts, [&](const Twin& twin, const Twin* teacher, std::size_t part) {
      const std::size_t row = part * rows_each;
      const std::size_t count = std::min(rows_each, batch.num_rows - row);
      const LossBatch rows = loss_batch(batch, row, count, twin.options().device);
      if (!rows.targets.defined()) return;
      const at::Tensor sum = training_loss(twin, teacher, rows, options) * scale;
      if (sum.requires_grad()) sum.backward();
      losses[part] = sum.item<double>();
    });
    return std::accumulate(losses.begin(), losses.end(), 0.0);
  }

  Status run_step() {
    const RowBatch batch = stream_.next(options_->step_rows);
    double loss = 0.0;
    if (batch.num_targets > 0) {
      loss = run_passes(batch, 1.0 / static_cast<double>(batch.num_targets));
      workers_->gather_gradients();
    }
    if (!std::isfinite(loss)) {
      return Error{ErrorCode::kInvalidArgument,
                   "the loss of step " + std::to_string(state_.num_steps) +
                       " is not finite: lower the learning rate, or warm up longer"};
    }
    gradient_norm_ = optimizer_->clip(options_->gradient_norm_max);
    rate_ = learning_rate(options_->schedule, state_.num_steps, options_->num_steps);
    ++state_.num_steps;
    optimizer_->step(state_.num_steps, rate_);
    state_.num_tokens += batch.num_used;
    loss_sum_ += loss;
    ++loss_steps_;
    recent_tokens_ += batch.num_used;
    return Ok{};
  }

  Status add_record(TrainLog& log) {
    const double elapsed = std::max(1e-9, seconds(hooks_->clock->now() - recorded_));
    TrainRecord record;
    record.step = state_.num_steps;
    record.loss = loss_sum_ / static_cast<double>(loss_steps_);
    record.learning_rate = rate_;
    record.gradient_norm = gradient_norm_;
    record.num_tokens = state_.num_tokens;
    record.tokens_per_second = static_cast<double>(recent_tokens_) / elapsed;
    record.seconds_left = elapsed / static_cast<double>(loss_steps_) *
                          static_cast<double>(options_->num_steps - state_.num_steps);
    const bool is_last = state_.num_steps == options_->num_steps;
    const bool is_due = options_->evaluate_steps > 0 &&
                        state_.num_steps / options_->evaluate_steps >
                            (state_.num_steps - loss_steps_) / options_->evaluate_steps;
    if (!job_->held_out.empty() && (is_last || is_due)) record.held_out_loss = evaluate();
    loss_sum_ = 0.0;
    loss_steps_ = 0;
    recent_tokens_ = 0;
    recorded_ = hooks_->clock->now();
    return log.append(record);
  }

  // The same rows each time.
  double evaluate() {
    const at::NoGradGuard no_gradients;
    RowStream rows(job_->held_out, {.context = options_->context, .seed = 0});
    const std::size_t num_rows = std::min(options_->evaluate_rows, rows.epoch_rows());
    double sum = 0.0;
    std::size_t num_targets = 0;
    const std::size_t at_once = options_->micro_rows * workers_->size();
    for (std::size_t row = 0; row < num_rows; row += at_once) {
      const RowBatch batch = rows.next(std::min(at_once, num_rows - row));
      sum += run_passes(batch, 1.0);
      num_targets += batch.num_targets;
    }
    return num_targets == 0 ? 0.0 : sum / static_cast<double>(num_targets);
  }

  // A record belongs to steps that are all behind a checkpoint or all before it, so that a run that
  // goes on has the records of an unbroken one.
  bool is_checkpoint_due() const {
    if (loss_steps_ > 0) return false;
    if (options_->checkpoint_steps > 0 &&
        state_.num_steps - saved_step_ >= options_->checkpoint_steps) {
      return true;
    }
    return hooks_->clock->now() - saved_ >= options_->checkpoint_time;
  }

  Status save(const TrainLog& log) {
    // A run that was stopped between two records goes on from the last checkpoint instead.
    if (loss_steps_ > 0) return Ok{};
    TRY(write_run_checkpoint(*job_, *twin_, *optimizer_, state_));
    TRY(log.write_report(job_->folder));
    saved_ = hooks_->clock->now();
    saved_step_ = state_.num_steps;
    return Ok{};
  }

  Result<TrainOutcome> finish(const TrainLog& log) {
    outcome_.num_steps = state_.num_steps;
    if (!log.records().empty()) outcome_.last = log.records().back();
    if (state_.num_steps < options_->num_steps) return outcome_;
    const TwinSource source(*twin_);
    const ExportFacts facts;
    TRY(write_model_folder(
        {.spec = job_->spec, .facts = &facts, .source = &source, .config = job_->config},
        job_->files, job_->folder + "/model"));
    outcome_.is_finished = true;
    return outcome_;
  }

  const TrainJob* job_;
  const TrainHooks* hooks_;
  const TrainOptions* options_;
  RowStream stream_;
  std::optional<Twin> twin_;
  std::optional<Twin> teacher_;
  std::optional<Workers> workers_;
  std::optional<AdamW> optimizer_;
  CheckpointState state_;
  TrainOutcome outcome_;
  TimePoint saved_, recorded_;
  std::size_t saved_step_ = 0;
  double rate_ = 0.0;
  double gradient_norm_ = 0.0;
  double loss_sum_ = 0.0;
  std::size_t loss_steps_ = 0;  // since the last record
  std::uint64_t recent_tokens_ = 0;
};

Status check_job(const TrainJob& job) {
  const TrainOptions& options = job.options;
  if (options.context > job.spec->context_max) {
    return Error{ErrorCode::kInvalidArgument,
                 "context " + std::to_string(options.context) + " exceeds the model's " +
                     std::to_string(job.spec->context_max) + " positions"};
  }
  std::error_code error;
  std::filesystem::create_directories(job.folder, error);
  if (!error) return Ok{};
  return Error{ErrorCode::kUnavailable, job.folder + ": " + error.message()};
}

}  // namespace

Result<TrainOutcome> run_training(const TrainJob& job, const TrainHooks& hooks) {
  TRY(check_job(job));
  return guard_torch("training", [&]() -> Result<TrainOutcome> { return Run(job, hooks).run(); });
}

Result<std::vector<float>> twin_logits(const ModelSpec& spec, const ExportSource& weights,
                                       std::span<const std::uint32_t> ids) {
  return guard_torch("the twin's forward pass", [&]() -> Result<std::vector<float>> {
    const at::NoGradGuard no_gradients;
    const Twin twin = TRY(Twin::create(spec, weights, {}));
    const auto num_tokens = static_cast<std::int64_t>(ids.size());
    TwinBatch batch;
    batch.positions = at::arange(num_tokens, at::kLong).unsqueeze(0);
    batch.documents = at::zeros_like(batch.positions);
    batch.token_ids = at::zeros_like(batch.positions);
    for (std::size_t i = 0; i < ids.size(); ++i) {
      batch.token_ids.data_ptr<std::int64_t>()[i] = std::int64_t{ids[i]};
    }
    const at::Tensor logits = twin.logits(twin.hidden(batch)).contiguous();
    const float* values = logits.data_ptr<float>();
    return std::vector<float>(values, values + logits.numel());
  });
}

}  // namespace millrace
