// How a request ended.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "base/token_id.h"

namespace millrace {

enum class FinishReason : std::uint8_t {
  kStop,       // a stop token was drawn, or the vector of a pooled request is there
  kLength,     // max_tokens were generated
  kCancelled,  // the client went away or asked for it, or the engine was shut down
  kDeadline,   // the request's own time was up
  kError,      // the model or the step failed; the error says how
};

inline constexpr std::size_t kNumFinishReasons = 5;

// "stop", "length", "cancelled", "deadline", "error".
std::string_view finish_reason_name(FinishReason reason);

struct Finish {
  FinishReason reason = FinishReason::kStop;
  std::optional<TokenId> stop_token = std::nullopt;  // with kStop, unless pooled
  std::optional<Error> error = std::nullopt;         // with kError
  std::size_t num_prompt = 0;
  std::size_t num_generated = 0;  // the stop token counts: it took a step like any other
  std::size_t num_preemptions = 0;
  std::size_t num_cached = 0;  // tokens of the prompt that were found in the cache
  Duration waited{0};          // until it ran; 0 when it never did
};

}  // namespace millrace
