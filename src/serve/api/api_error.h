// What a client is told when something fails: the one mapping from ErrorCode to HTTP and to bodies.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace millrace {

// Whose form an error's body has.
enum class ErrorForm : std::uint8_t {
  kOpenAi,     // {"error": {"message", "type", "param", "code"}}
  kAnthropic,  // {"type": "error", "error": {"type", "message"}}
};

struct ApiError {
  int status = 500;  // HTTP
  std::string type;  // OpenAI's word, for instance "invalid_request_error"
  std::string code;  // finer, for instance "model_not_found"; empty: null
  std::string message;
  std::string param;                                // the field that is wrong; empty: null
  std::optional<std::chrono::seconds> retry_after;  // for the Retry-After header
};

// What follows the name of a field that a surface does not know.
inline constexpr std::string_view kNoField = " is no field of ";

// The mapping. A message that begins with a field of a request (top_p is 3, …) gives param.
// One that begins with a field and goes on with kNoField is about a field that nobody knows.
// 429 and 503 have a Retry-After of one second unless the caller knows better and sets it.
ApiError api_error(const Error& error);

// A prompt that does not fit, in the code that clients look for. `param` may be empty.
ApiError context_error(std::string message, std::string param);

// Unknown routes and methods, and what HTTP itself refuses; same bodies.
ApiError api_error(int status, std::string message);

// What a reply's body says, and the frame of a stream that fails half-way.
OrderedJson error_json(const ApiError& error, ErrorForm form);
std::string error_body(const ApiError& error, ErrorForm form);

}  // namespace millrace
