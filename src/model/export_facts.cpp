// The side facts of an opened checkpoint.
#include "model/export_facts.h"

#include <filesystem>

#include "model/config_reader.h"

namespace millrace {
namespace {

std::string name_from_path(const Checkpoint& checkpoint) {
  std::error_code ignored;
  const std::filesystem::path path = std::filesystem::absolute(checkpoint.path(), ignored);
  if (checkpoint.kind() != CheckpointKind::kHuggingFace) return path.stem().string();
  const std::filesystem::path normal = path.lexically_normal();
  const std::filesystem::path folder = normal.has_filename() ? normal : normal.parent_path();
  return folder.filename().string();
}

Result<std::optional<std::size_t>> optional_count(const ConfigReader& config,
                                                  std::string_view key) {
  if (config.find(key) == nullptr) return std::optional<std::size_t>();
  return std::optional<std::size_t>(TRY(config.count(key)));
}

Status read_from_gguf(const GgufMetadata& metadata, ExportFacts& facts) {
  const auto prefix = std::string(TRY(metadata.get<std::string_view>("general.architecture")));
  const auto name = TRY(metadata.get_optional<std::string_view>("general.name"));
  if (name && !name->empty()) facts.name = std::string(*name);
  const GgufValue* positions = metadata.find(prefix + ".context_length");
  if (positions != nullptr) facts.positions = positions->as_unsigned();
  const GgufValue* width = metadata.find(prefix + ".feed_forward_length");
  if (width != nullptr) facts.dense_width = width->as_unsigned();
  return Ok{};
}

}  // namespace

Result<ExportFacts> read_export_facts(const Checkpoint& checkpoint) {
  ExportFacts facts;
  facts.name = name_from_path(checkpoint);
  facts.generation = checkpoint.generation_config();
  if (checkpoint.kind() == CheckpointKind::kGguf) {
    TRY(read_from_gguf(*checkpoint.gguf_metadata(), facts));
  }
  if (checkpoint.kind() == CheckpointKind::kHuggingFace) {
    const ConfigReader config(checkpoint.config(), checkpoint.folder() + "/config.json");
    facts.positions = TRY(optional_count(config, "max_position_embeddings"));
    facts.dense_width = TRY(optional_count(config, "intermediate_size"));
  }
  return facts;
}

std::size_t unscaled_positions(const ModelSpec& spec, const ExportFacts& facts) {
  if (facts.positions) return *facts.positions;
  const bool stretched = !spec.ropes.empty() && spec.ropes.front().scaling == RopeScaling::kLinear;
  if (!stretched) return spec.context_max;
  return static_cast<std::size_t>(static_cast<double>(spec.context_max) /
                                  spec.ropes.front().factor);
}

std::size_t dense_width(const ModelSpec& spec, const ExportFacts& facts) {
  for (const LayerSpec& layer : spec.layers) {
    if (layer.feed_forward.kind != FeedForwardKind::kExperts) return layer.feed_forward.width;
  }
  // Mixtral's configs have one width, and it is the experts'.
  const bool one_width = spec.architecture == "MixtralForCausalLM";
  if (facts.dense_width && !one_width) return *facts.dense_width;
  return spec.layers.front().feed_forward.width;
}

}  // namespace millrace
