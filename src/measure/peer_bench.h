// llama.cpp's and ik_llama.cpp's own benchmarks, run for the same work as ours.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "measure/step_bench.h"

namespace millrace {

struct PeerOptions {
  std::string program;     // llama-bench or llama-batched-bench
  std::string model_file;  // a GGUF file
  std::size_t num_threads = 1;
  std::string kv_type = "f16";                   // f32, f16, bf16 or q8_0
  std::vector<std::string> extra;                // appended as they are: "-rtr", "1"
  Duration time_max = std::chrono::minutes(30);  // of one run of it
  const std::atomic<bool>* is_cancelled = nullptr;
};

// What a build of the programs understands, as its --help says.
enum class PeerDialect : std::uint8_t {
  kLlamaCpp,  // llama-bench -d DEPTH; llama-batched-bench --output-format jsonl
  kIk,        // -gp DEPTH,TOKENS for decoding at a depth and no prompts at one; a table of batches
};

// Runs the program once with --help. kNotFound when there is none, kUnsupported when its help does
// not look like llama-bench's.
Result<PeerDialect> detect_llama_bench(const PeerOptions& options);

// Tokens per second of one warmed-up run of `work`, which is of one sequence. kUnsupported for
// prompts at a depth in ik's dialect; kCorruptData when what the program prints is not understood.
Result<double> run_llama_bench(const PeerOptions& options, PeerDialect dialect,
                               const StepWork& work);

// The same by llama-batched-bench: generated tokens per second of all sequences together, each
// after a prompt of work.depth tokens of its own.
Result<double> run_batched_bench(const PeerOptions& options, const StepWork& work);

// What the programs print, read: the rate of the entry that is `work`'s.
Result<double> parse_llama_bench(std::string_view output, PeerDialect dialect,
                                 const StepWork& work);
Result<double> parse_batched_bench(std::string_view output, const StepWork& work);

}  // namespace millrace
