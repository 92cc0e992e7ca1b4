// The exit codes of the program.
#pragma once

#include "base/result.h"

namespace millrace {

// What scripts can tell apart.
enum class ExitCode : int {
  kOk = 0,
  kFailed = 1,          // Something under us failed.
  kUsage = 2,           // The command line is wrong.
  kBadInput = 3,        // A file is missing, broken or not supported.
  kOutOfResources = 4,  // Memory or another limit; less may work.
  kInterrupted = 130,   // Ctrl-C, as shells report it.
};
ExitCode exit_code_of(const Error& error);

}  // namespace millrace
