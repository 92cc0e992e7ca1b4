// Writes a whole model: a Hugging Face folder or a GGUF file.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/function_ref.h"
#include "base/json.h"
#include "base/result.h"
#include "formats/gguf_writer.h"
#include "model/export_facts.h"
#include "model/export_source.h"
#include "model/export_tensors.h"
#include "model/output_folder.h"

namespace millrace {

// What is written. Borrowed for the call.
struct ExportModel {
  const ModelSpec* spec = nullptr;
  const ExportFacts* facts = nullptr;
  const ExportSource* source = nullptr;
  // The source's own config.json, when it has one: written again with only its type changed. Null:
  // made from the spec.
  const OrderedJson* config = nullptr;
};

struct NamedText {
  std::string file_name;
  std::string text;
};

// What lies beside the weights and is not the model's business: the tokenizer, mostly.
struct ExportCompanions {
  // Adds tokenizer.* to a GGUF file's metadata; absent: only the ids that the spec knows.
  std::function<Status(GgufMetadataBuilder&)> add_gguf_keys;
  // Files of a folder; the config.json that is written wins over one of these.
  std::vector<NamedText> files;
};

struct ExportOptions {
  ExportLayout layout = ExportLayout::kHuggingFace;
  std::optional<DType> format = std::nullopt;  // absent: as the source has it
  std::uint64_t shard_bytes_max = 5'000'000'000;
  Overwrite overwrite = Overwrite::kRefuse;
};

struct ExportReport {
  std::size_t num_tensors = 0;
  std::uint64_t num_bytes = 0;  // of tensors
  DType main_dtype = DType::kF32;
  std::size_t num_kept = 0;  // matrices that kept their type because the format does not fit them
  std::vector<std::string> warnings;
};

// The destination appears whole or not at all. Everything that can be refused is refused before the
// first byte is written.
Result<ExportReport> export_model(const ExportModel& model, const ExportCompanions& companions,
                                  const std::string& destination, const ExportOptions& options,
                                  ExportProgress progress);

// The tensors of a checkpoint that no spec's export would write, tables that are computed anew
// excepted.
std::vector<std::string> unused_tensors(const Checkpoint& checkpoint, const ModelSpec& spec);

}  // namespace millrace
