// Finding, writing and loading what a benchmark runs.
#include "cli/bench_model.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "cli/checkpoint_output.h"
#include "model/public_shapes.h"
#include "model/random_weights.h"
#include "model/read_spec.h"
#include "text/byte_tokenizer.h"

namespace millrace {
namespace {

constexpr const char* kFormatDefault = "q8_0";

// The kernels' format for the same numbers as GGUF's of that name.
WeightFormat weight_format_of(const std::string& name) {
  if (name == "q8_0") return WeightFormat::kInt8;
  if (name == "q4_0") return WeightFormat::kInt4;
  if (name == "q4_1") return WeightFormat::kInt4Min;
  return *weight_format_from_name(name);  // The parser has checked it against the list.
}

}  // namespace

void add_bench_model_options(CLI::App& command, BenchModelOptions& options) {
  command.add_option("path", options.model.model, "The model; the same as --model")
      ->type_name("PATH");
  command
      .add_option("--like", options.like,
                  "Random weights at the shape of a published model instead (`millrace make-model "
                  "--list` names them)")
      ->type_name("NAME");
  command
      .add_option("--format", options.format,
                  std::string("With --like: type of the matrices (") + kFormatDefault + ")")
      ->check(CLI::IsMember({"f32", "f16", "bf16", "q8_0", "q4_0", "q4_1"}))
      ->type_name("FORMAT");
  add_model_options(command, options.model);
}

Result<BenchModel> BenchModel::open(const BenchModelOptions& options, std::size_t context,
                                    GgufNeed gguf) {
  BenchModel model;
  model.options_ = options;
  if (!options.like.empty()) {
    if (!options.model.model.empty()) {
      return Error{ErrorCode::kInvalidArgument, "--like and a model were given: only one can run"};
    }
    TRY(model.open_shape(context, gguf));
    return model;
  }
  if (!options.format.empty()) {
    return Error{ErrorCode::kInvalidArgument,
                 "--format is for --like; --weight-format repacks a model"};
  }
  model.checkpoint_ = TRY(open_model(model.options_.model));
  model.spec_ = TRY(read_spec(*model.checkpoint_));
  model.name_ = model.options_.model.model;
  if (model.checkpoint_->kind() == CheckpointKind::kGguf) {
    model.gguf_file_ = model.checkpoint_->path();
  }
  return model;
}

Status BenchModel::open_shape(std::size_t context, GgufNeed gguf) {
  const PublicShape& shape = *TRY(find_public_shape(options_.like));
  spec_ = TRY(spec_of(shape, {.context = std::max(shape.context, context)}));
  spec_.bos_id = kByteTokenizerBos;
  spec_.eos_ids = {kByteTokenizerEos};
  if (options_.format.empty()) options_.format = kFormatDefault;
  name_ = options_.like + " " + options_.format;
  if (gguf == GgufNeed::kForPeers) return write_gguf();
  if (options_.model.weight_format.empty()) {
    options_.model.weight_format = weight_format_name(weight_format_of(options_.format));
  }
  return Ok{};
}

Status BenchModel::write_gguf() {
  folder_ = TRY(TemporaryFolder::create());
  gguf_file_ = folder_->path() + "/" + options_.like + "-" + options_.format + ".gguf";
  OutputOptions output;
  output.destination = gguf_file_;
  output.format = options_.format;
  const TokenizerSpec tokenizer = byte_tokenizer_spec();
  std::vector<std::string> warnings;
  const ExportOptions format = TRY(export_options_of(output));
  const ExportCompanions companions =
      TRY(tokenizer_companions(tokenizer, spec_, format.layout, warnings));
  const ExportFacts facts = facts_of(*TRY(find_public_shape(options_.like)));
  const RandomWeights weights(0);
  const ExportModel model{.spec = &spec_, .facts = &facts, .source = &weights};
  TRY(export_with_bar(model, companions, gguf_file_, format));
  checkpoint_ = TRY(open_checkpoint(gguf_file_));
  spec_ = TRY(read_spec(*checkpoint_));
  return Ok{};
}

Result<std::unique_ptr<ModelSession>> BenchModel::load(std::size_t context,
                                                       const SessionDemand& demand) const {
  ModelOptions model = options_.model;
  model.context = context;
  if (!checkpoint_) return ModelSession::open_random(spec_, model, demand);
  return ModelSession::open(*checkpoint_, model, demand);
}

}  // namespace millrace
