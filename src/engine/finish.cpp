// Names of the ways in which a request can end.
#include "engine/finish.h"

#include "base/check.h"

namespace millrace {

std::string_view finish_reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kCancelled:
      return "cancelled";
    case FinishReason::kDeadline:
      return "deadline";
    case FinishReason::kError:
      return "error";
  }
  CHECK(false);  // Every enumerator is named above.
  return "";
}

}  // namespace millrace
