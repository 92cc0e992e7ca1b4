// The options that every command which runs a model shares, and what they come to on this machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "kernels/cpu/kernels.h"
#include "model/loaded_model.h"
#include "tensor/dtype.h"

namespace CLI {
class App;
}  // namespace CLI

namespace millrace {

// As typed; empty and absent mean the default.
struct ModelOptions {
  std::string model;
  std::string memory;                  // "8G": for weights, cache and activations together
  std::optional<std::size_t> context;  // tokens of one sequence, prompt and answer
  std::string kv_dtype = "f16";
  std::optional<std::size_t> threads;
  std::string cpu_isa;
  std::string weight_format;
  std::string share_limit =
      "500M";  // models up to this size are shared between processes; 0 for never
};

// --model and the rest; the model may also be the command's first positional argument.
void add_model_options(CLI::App& command, ModelOptions& options);

// Checked, with defaults filled in from the machine.
struct MachineChoice {
  const CpuKernels* kernels = nullptr;
  std::size_t num_threads = 1;
  std::uint64_t memory_bytes = 0;
  DType kv_dtype = DType::kF16;
  LoadOptions load;
};
// The instruction set of the kernels that --cpu-isa chooses: what was typed, or the best.
std::string isa_name(const std::string& typed);
Result<MachineChoice> choose_machine(const ModelOptions& options);

}  // namespace millrace
