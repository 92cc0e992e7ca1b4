// The model of a speed benchmark: a file, a folder, or random weights at a published shape.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "cli/model_session.h"
#include "cli/temporary_folder.h"
#include "formats/checkpoint.h"

namespace CLI {
class App;
}  // namespace CLI

namespace millrace {

// As typed.
struct BenchModelOptions {
  ModelOptions model;
  std::string like;    // a shape's name, instead of a model
  std::string format;  // of the random weights: f32, f16, bf16, q8_0, q4_0, q4_1
};
// --like and --format, with the options of every command that runs a model.
void add_bench_model_options(CLI::App& command, BenchModelOptions& options);

enum class GgufNeed : std::uint8_t { kNone, kForPeers };

// What --model or --like come to, before anything is loaded.
class BenchModel {
 public:
  // `context` is the longest sequence that will be asked for; a shape is stretched to it. With
  // kForPeers random weights are written to a temporary GGUF file, which is then the model of both
  // sides; else they are made in memory.
  static Result<BenchModel> open(const BenchModelOptions& options, std::size_t context,
                                 GgufNeed gguf);

  const ModelSpec& spec() const { return spec_; }
  const std::string& name() const { return name_; }
  // A GGUF file of the same weights; empty when there is none.
  const std::string& gguf_file() const { return gguf_file_; }

  // For sequences of `context` tokens.
  Result<std::unique_ptr<ModelSession>> load(std::size_t context,
                                             const SessionDemand& demand) const;

 private:
  BenchModel() = default;
  Status open_shape(std::size_t context, GgufNeed gguf);
  Status write_gguf();

  BenchModelOptions options_;
  ModelSpec spec_;
  std::string name_;
  std::string gguf_file_;
  std::optional<TemporaryFolder> folder_;
  std::optional<Checkpoint> checkpoint_;  // absent: random
};

}  // namespace millrace
