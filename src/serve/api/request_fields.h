// Every field that a body may have at its top: what we read, what we ignore, what we refuse.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace millrace {

// A kind of body. The first four are ApiDialect's.
enum class RequestSurface : std::uint8_t {
  kChat,
  kCompletions,
  kResponses,
  kMessages,
  kEmbeddings,
  kTokenize,
  kDetokenize,
};

// "/v1/chat/completions" and so on.
std::string_view surface_path(RequestSurface surface);

// Whether some surface knows a field of this name.
bool is_request_field(std::string_view name);

// kInvalidArgument for a field that the surface does not know; kUnsupported for one that it knows
// and does not have, unless its value is null or the one that asks for nothing.
Status check_fields(const OrderedJson& body, RequestSurface surface);

}  // namespace millrace
