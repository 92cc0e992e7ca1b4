// The checkpoint files of llama2.c ("version 0"): seven integers, then float32 tensors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/mapped_tensors.h"

namespace millrace {

// The header's seven integers, and what the program that defined the format fixes in its code.
struct Llama2cConfig {
  // Of RMS norms and of rope; constants in run.c, absent from the file.
  static constexpr double kNormEps = 1e-5;
  static constexpr double kRopeTheta = 10'000.0;

  std::uint32_t hidden_size = 0;
  std::uint32_t feed_forward_size = 0;
  std::uint32_t num_layers = 0;
  std::uint32_t num_heads = 0;
  std::uint32_t num_kv_heads = 0;
  std::uint32_t vocabulary_size = 0;
  std::uint32_t context_tokens = 0;
  // False when lm_head.weight is a tensor of its own (the header's vocabulary size is negative).
  bool shares_classifier = true;

  std::uint32_t head_dim() const { return hidden_size / num_heads; }
};

struct Llama2cImage {
  Llama2cConfig config;
  std::vector<TensorInfo> tensors;
};

// Parses a whole file image, touching its header only. `name` is for messages.
Result<Llama2cImage> parse_llama2c(std::span<const std::byte> image, const std::string& name);

// Tensors bear the names of Hugging Face's llama ("model.layers.0.self_attn.q_proj.weight").
//
// Rope turns interleaved pairs here: rows 2i and 2i + 1 of a head of q_proj and k_proj are one
// pair, as in GGUF files of the llama architecture. Hugging Face folders pair rows i and i + D/2
// instead:
//
//   folder.row[h * D + i]       = llama2c.row[h * D + 2i]          for i < D/2
//   folder.row[h * D + D/2 + i] = llama2c.row[h * D + 2i + 1]
//
// All other tensors are the same. The tables of sines and cosines in the file are skipped.
class Llama2cFile final : public MappedTensors {
 public:
  static Result<std::unique_ptr<Llama2cFile>> open(const std::string& path);

  std::string_view format_name() const override { return "llama2.c"; }
  const Llama2cConfig& config() const { return config_; }

 private:
  explicit Llama2cFile(const std::string& path) : MappedTensors(path) {}

  Llama2cConfig config_;
};

}  // namespace millrace
