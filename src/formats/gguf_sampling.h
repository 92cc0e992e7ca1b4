// What a GGUF file recommends for sampling, under the names of generation_config.json.
#pragma once

#include <array>

#include "base/json.h"
#include "base/result.h"
#include "formats/gguf.h"

namespace millrace {

// The keys of llama.cpp since November 2025 that say what a generation_config.json says too.
struct GgufSamplingKey {
  const char* gguf;
  const char* hugging_face;
  bool is_count;  // an i32, below 1 for none; else an f32
};
inline constexpr std::array<GgufSamplingKey, 5> kGgufSamplingKeys = {{
    {"general.sampling.temp", "temperature", false},
    {"general.sampling.top_k", "top_k", true},
    {"general.sampling.top_p", "top_p", false},
    {"general.sampling.min_p", "min_p", false},
    {"general.sampling.penalty_repeat", "repetition_penalty", false},
}};

// An object of those that are there; null where none is. kCorrupt for a value that is no number.
Result<Json> read_gguf_sampling(const GgufMetadata& metadata);

}  // namespace millrace
