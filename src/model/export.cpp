// Exports of whole models: checks, metadata, companions, weights, and the final rename.
#include "model/export.h"

#include <algorithm>
#include <set>

#include "base/file.h"
#include "formats/encode.h"
#include "formats/gguf_writer.h"
#include "formats/safetensors_writer.h"
#include "model/export_config.h"
#include "model/export_gguf.h"

namespace millrace {
namespace {

constexpr int kIndent = 2;

std::vector<TensorDeclaration> declarations(const ExportTensors& plan) {
  std::vector<TensorDeclaration> declared;
  for (const ExportTensor& tensor : plan.tensors) declared.push_back(tensor.declaration);
  return declared;
}

ExportReport report_of(const ExportTensors& plan) {
  return {.num_tensors = plan.tensors.size(),
          .num_bytes = plan.num_bytes(),
          .main_dtype = plan.main_dtype,
          .num_kept = plan.num_kept,
          .warnings = {}};
}

// Without a tokenizer the file still says how texts begin and end.
void add_special_ids(const ModelSpec& spec, GgufMetadataBuilder& metadata) {
  if (spec.bos_id) metadata.add("tokenizer.ggml.bos_token_id", *spec.bos_id);
  if (!spec.eos_ids.empty()) metadata.add("tokenizer.ggml.eos_token_id", spec.eos_ids.front());
}

Result<ExportReport> export_gguf(const ExportModel& model, const ExportCompanions& companions,
                                 const std::string& destination, const ExportOptions& options,
                                 ExportProgress progress) {
  TRY(check_output_file(destination, options.overwrite));
  const ExportTensors plan =
      TRY(plan_export_tensors(*model.spec, *model.source, ExportLayout::kGguf, options.format));
  GgufExport gguf = TRY(gguf_metadata_of(*model.spec, *model.facts, plan.main_dtype));
  if (companions.add_gguf_keys) {
    TRY(companions.add_gguf_keys(gguf.metadata));
  } else {
    add_special_ids(*model.spec, gguf.metadata);
  }
  const auto writer = TRY(create_gguf(destination, gguf.metadata, declarations(plan)));
  TRY(write_export_tensors(plan, *model.source, *writer, progress));
  TRY(writer->finish());
  ExportReport report = report_of(plan);
  report.warnings = std::move(gguf.warnings);
  return report;
}

// The source's own words, but for the type of the weights.
OrderedJson with_dtype(OrderedJson config, DType dtype) {
  const bool is_newer_spelling = config.contains("dtype") && !config.contains("torch_dtype");
  config[is_newer_spelling ? "dtype" : "torch_dtype"] = torch_dtype_name(dtype);
  return config;
}

Result<ExportReport> export_folder(const ExportModel& model, const ExportCompanions& companions,
                                   const std::string& destination, const ExportOptions& options,
                                   ExportProgress progress) {
  ModelSpec spec = *model.spec;
  spec.architecture = TRY(hugging_face_architecture(spec));
  const ExportTensors plan =
      TRY(plan_export_tensors(spec, *model.source, ExportLayout::kHuggingFace, options.format));
  const OrderedJson config = model.config != nullptr
                                 ? with_dtype(*model.config, plan.main_dtype)
                                 : TRY(config_json_of(spec, *model.facts, plan.main_dtype));
  OutputFolder folder = TRY(OutputFolder::create(destination, options.overwrite));
  if (model.config == nullptr) {
    TRY(write_file(folder.path() + "/generation_config.json",
                   generation_config_json_of(spec, *model.facts).dump(kIndent) + "\n"));
  }
  for (const NamedText& file : companions.files) {
    TRY(write_file(folder.path() + "/" + file.file_name, file.text));
  }
  TRY(write_file(folder.path() + "/config.json", config.dump(kIndent) + "\n"));
  const auto writer = TRY(create_safetensors(folder.path(), declarations(plan),
                                             {.shard_bytes_max = options.shard_bytes_max}));
  TRY(write_export_tensors(plan, *model.source, *writer, progress));
  TRY(writer->finish());
  TRY(folder.finish());
  return report_of(plan);
}

// Old checkpoints and GGUF files store tables that everyone computes; a tied output may be stored
// twice.
bool is_redundant(const std::string& name, const ModelSpec& spec) {
  if (name.ends_with("rotary_emb.inv_freq") || name == "rope_freqs.weight") return true;
  if (name.starts_with("rope_factors_")) return true;
  // The causal masks that older files of GPT-2 and GPT-NeoX hold.
  if (name.ends_with(".attn.bias") || name.ends_with(".masked_bias") ||
      name.ends_with(".attention.bias")) {
    return true;
  }
  return spec.has_tied_embeddings && name == "lm_head.weight";
}

}  // namespace

Result<ExportReport> export_model(const ExportModel& model, const ExportCompanions& companions,
                                  const std::string& destination, const ExportOptions& options,
                                  ExportProgress progress) {
  if (options.format && !can_encode(*options.format)) {
    return Error{ErrorCode::kUnsupported,
                 "weights cannot be written as " + std::string(dtype_name(*options.format))};
  }
  if (options.layout == ExportLayout::kGguf) {
    return export_gguf(model, companions, destination, options, progress);
  }
  return export_folder(model, companions, destination, options, progress);
}

std::vector<std::string> unused_tensors(const Checkpoint& checkpoint, const ModelSpec& spec) {
  const CheckpointTensors tensors(checkpoint, spec);
  std::set<std::string> used;
  for (const RequiredTensor& tensor : required_tensors(spec)) {
    used.insert(tensors.name_of(tensor.key));
  }
  std::vector<std::string> unused;
  for (const TensorInfo& info : checkpoint.weights().tensors()) {
    if (!used.contains(info.name) && !is_redundant(info.name, spec)) unused.push_back(info.name);
  }
  return unused;
}

}  // namespace millrace
