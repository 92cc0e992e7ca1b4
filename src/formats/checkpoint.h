// Opens whatever a path names: a Hugging Face folder, a GGUF file, a llama2.c file, a packed model.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "formats/gguf.h"
#include "formats/llama2c.h"
#include "formats/packed_model.h"
#include "formats/quantization_config.h"
#include "formats/weight_source.h"

namespace millrace {

enum class CheckpointKind : std::uint8_t { kHuggingFace, kGguf, kLlama2c, kPacked };

// Moves freely; the accessors stay valid.
class Checkpoint {
 public:
  CheckpointKind kind() const { return kind_; }
  // What was opened, and the folder where a tokenizer would lie.
  const std::string& path() const { return path_; }
  const std::string& folder() const { return folder_; }
  const WeightSource& weights() const { return *weights_; }

  // kHuggingFace, and packed from one: config.json, an object, with the quantization_config that
  // older checkpoints keep in a file beside it. Null otherwise.
  const Json& config() const { return config_; }
  // kHuggingFace: what config() says of quantised matrices; null when nothing is quantised, or in a
  // way that is not read (whoever reads the model from config() refuses it by name).
  const QuantizationConfig* quantization() const {
    return quantization_.has_value() ? &*quantization_ : nullptr;
  }
  // kHuggingFace, and packed from one: generation_config.json, an object; kGguf: what the file
  // recommends for sampling, under the same names; null when the checkpoint has
  // none.
  const Json& generation_config() const { return generation_config_; }
  // kGguf: the key-value pairs. Null otherwise.
  const GgufMetadata* gguf_metadata() const { return gguf_metadata_; }
  // kLlama2c: the header. Null otherwise.
  const Llama2cConfig* llama2c_config() const { return llama2c_config_; }

  // kPacked: the file. Null otherwise.
  const PackedModelFile* packed() const { return packed_; }

  friend Result<Checkpoint> open_checkpoint(const std::string& path);

 private:
  Checkpoint() = default;
  Status open_hugging_face(const std::string& folder, const std::string& weights_file);
  Status open_gguf(const std::string& path);
  Status open_llama2c(const std::string& path);
  Status open_packed(const std::string& path);

  CheckpointKind kind_ = CheckpointKind::kHuggingFace;
  std::string path_;
  std::string folder_;
  std::unique_ptr<const WeightSource> weights_;
  Json config_;
  std::optional<QuantizationConfig> quantization_;
  Json generation_config_;
  const GgufMetadata* gguf_metadata_ = nullptr;    // Inside *weights_.
  const Llama2cConfig* llama2c_config_ = nullptr;  // Inside *weights_.
  const PackedModelFile* packed_ = nullptr;        // *weights_.
};

inline constexpr std::uint64_t kConfigBytesMax = 16ull << 20;

// A folder with config.json and safetensors; a .safetensors file beside a config.json; a GGUF file;
// a llama2.c file; a packed model. Anything else is refused with the list of what is read; pickle
// files, which may carry code, are refused by name.
Result<Checkpoint> open_checkpoint(const std::string& path);

}  // namespace millrace
