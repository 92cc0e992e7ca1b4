// What `millrace --version` prints.
#pragma once

#include <string>

namespace millrace {

// "millrace 0.1.0 (commit 1a2b3c, release build, g++ 12.2.0)\nkernels: avx2 (also runnable:
// scalar)".
std::string version_text();
// "1a2b3c", with "-dirty" behind it when files were changed.
std::string commit_text();

}  // namespace millrace
