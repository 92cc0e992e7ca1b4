// One training run, from its first step or its last checkpoint to its end. Without libtorch in
// sight.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/function_ref.h"
#include "base/json.h"
#include "base/result.h"
#include "model/export.h"
#include "train/packing.h"
#include "train/train_log.h"
#include "train/train_options.h"

namespace millrace {

// What is trained, on what, and where to. Borrowed for the call.
struct TrainJob {
  const ModelSpec* spec = nullptr;
  const OrderedJson* config = nullptr;    // the config.json that is written
  const ExportSource* initial = nullptr;  // weights of step 0
  // With TrainOptions::distill: a model of the same vocabulary.
  const ModelSpec* teacher_spec = nullptr;
  const ExportSource* teacher = nullptr;
  std::vector<CorpusPart> data;
  std::vector<CorpusPart> held_out;  // may be empty
  std::vector<NamedText> files;      // beside the weights: the tokenizer
  // What must be the same for a checkpoint to be gone on with, as text.
  std::string identity;
  TrainOptions options;
  // Gets log.jsonl, report.html, checkpoints/ and, at the end, model/, a Hugging Face folder.
  std::string folder;
};

struct TrainHooks {
  const Clock* clock = nullptr;
  // After each record. False ends the run with a checkpoint.
  FunctionRef<bool(const TrainRecord&)> on_record;
  FunctionRef<bool()> is_stopped;  // asked after each step
};

struct TrainOutcome {
  std::size_t num_steps = 0;
  bool is_finished = false;  // all steps are done and model/ is written
  std::size_t resumed_step = 0;
  TrainRecord last;
};

// Killed at any moment, the next call goes on from the last checkpoint to the very losses that an
// unbroken run has, on the same machine with the same number of threads. kInvalidArgument when the
// folder holds the run of another identity.
Result<TrainOutcome> run_training(const TrainJob& job, const TrainHooks& hooks);

// The logits [T, V] of one document by the trainer's forward pass: for tests and comparisons.
Result<std::vector<float>> twin_logits(const ModelSpec& spec, const ExportSource& weights,
                                       std::span<const std::uint32_t> ids);

}  // namespace millrace
