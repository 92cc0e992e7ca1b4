// Error codes to exit codes.
#include "cli/exit_code.h"

namespace millrace {

ExitCode exit_code_of(const Error& error) {
  switch (error.code) {
    case ErrorCode::kInvalidArgument:
      return ExitCode::kUsage;
    case ErrorCode::kNotFound:
    case ErrorCode::kPermissionDenied:
    case ErrorCode::kUnsupported:
    case ErrorCode::kCorruptData:
      return ExitCode::kBadInput;
    case ErrorCode::kTooLarge:
    case ErrorCode::kResourceExhausted:
      return ExitCode::kOutOfResources;
    case ErrorCode::kCancelled:
      return ExitCode::kInterrupted;
    case ErrorCode::kUnauthenticated:
    case ErrorCode::kDeadlineExceeded:
    case ErrorCode::kUnavailable:
      return ExitCode::kFailed;
  }
  return ExitCode::kFailed;
}

}  // namespace millrace
