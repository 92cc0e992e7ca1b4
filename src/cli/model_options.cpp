// Reading the shared options; the only place that looks at the environment for them.
#include "cli/model_options.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>

#include "base/machine.h"
#include "cli/quantity.h"

namespace millrace {
namespace {

constexpr std::size_t kThreadsMax = 1024;

// The system keeps this much for itself and for the pages of the file that is being loaded.
std::uint64_t default_memory() {
  constexpr std::uint64_t kReserveBytes = 256ull << 20;
  const std::uint64_t available = memory_available_bytes();
  const std::uint64_t reserve = std::max(kReserveBytes, available / 20);
  return available > reserve ? available - reserve : available;
}

// Where processes of this user find each other's weights: private to the user, gone with the
// machine's boot.
std::string shared_folder() {
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  const std::string base = runtime != nullptr && *runtime != '\0' ? runtime : "/tmp";
  return base + "/millrace-" + std::to_string(::getuid());
}

Result<const CpuKernels*> choose_kernels(const std::string& isa) {
  if (isa.empty()) return runnable_cpu_kernels().front();
  std::string names;
  for (const CpuKernels* row : runnable_cpu_kernels()) {
    if (isa == row->isa) return row;
    names += (names.empty() ? "" : ", ") + std::string(row->isa);
  }
  return Error{ErrorCode::kInvalidArgument,
               "--cpu-isa " + isa + " cannot run here; this machine runs " + names};
}

Result<DType> choose_kv_dtype(const std::string& name) {
  const std::string known = name == "int8" ? "i8" : name;
  const std::optional<DType> dtype = dtype_from_name(known);
  for (const DType allowed : {DType::kF32, DType::kF16, DType::kBF16, DType::kI8}) {
    if (dtype == allowed) return allowed;
  }
  return Error{ErrorCode::kInvalidArgument,
               "--kv-dtype " + name + " is none of f32, f16, bf16, int8"};
}

}  // namespace

void add_model_options(CLI::App& command, ModelOptions& options) {
  command
      .add_option("-m,--model", options.model,
                  "Hugging Face folder, .gguf file or llama2.c .bin file (default: "
                  "$MILLRACE_MODEL, else the "
                  "small story teller that comes with Millrace)")
      ->type_name("PATH");
  command
      .add_option(
          "--memory", options.memory,
          "Most memory to use, for weights, cache and activations together (default: what is free)")
      ->type_name("SIZE");
  command
      .add_option("--context", options.context,
                  "Most tokens of one sequence, prompt and answer (default: what the model and "
                  "memory allow)")
      ->type_name("TOKENS")
      ->check(CLI::PositiveNumber);
  command.add_option("--kv-dtype", options.kv_dtype, "Cache in f32, f16, bf16 or int8")
      ->type_name("TYPE")
      ->capture_default_str();
  command
      .add_option("-t,--threads", options.threads,
                  "Threads (default: one per core that we may use, fewer for a tiny model)")
      ->type_name("N")
      ->check(CLI::Range(std::size_t{1}, kThreadsMax));
  command
      .add_option("--cpu-isa", options.cpu_isa,
                  "Kernels of this instruction set (default: the best)")
      ->type_name("NAME");
  command
      .add_option("--weight-format", options.weight_format,
                  "Hold matrices as " + weight_format_names() + " (default: as the file has them)")
      ->type_name("FORMAT");
  command
      .add_option("--share-limit", options.share_limit,
                  "Share weights up to this size between processes; 0 for never")
      ->type_name("SIZE")
      ->capture_default_str();
}

std::string isa_name(const std::string& typed) {
  return typed.empty() ? std::string(runnable_cpu_kernels().front()->isa) : typed;
}

Result<MachineChoice> choose_machine(const ModelOptions& options) {
  MachineChoice choice;
  choice.kernels = TRY(choose_kernels(options.cpu_isa));
  choice.num_threads = options.threads.value_or(num_usable_cpus());
  choice.memory_bytes =
      options.memory.empty() ? default_memory() : TRY(parse_bytes(options.memory));
  choice.kv_dtype = TRY(choose_kv_dtype(options.kv_dtype));
  if (!options.weight_format.empty()) {
    choice.load.weights.format = weight_format_from_name(options.weight_format);
    if (!choice.load.weights.format) {
      return Error{ErrorCode::kInvalidArgument, "--weight-format " + options.weight_format +
                                                    " is none of " + weight_format_names()};
    }
  }
  choice.load.shared_bytes_max = TRY(parse_bytes(options.share_limit));
  choice.load.sharing =
      choice.load.shared_bytes_max > 0 ? WeightSharing::kShared : WeightSharing::kPrivate;
  choice.load.shared_folder = shared_folder();
  return choice;
}

}  // namespace millrace
