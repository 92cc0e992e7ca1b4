// The version line: commit, build, compiler, and the kernels that this machine can run.
#include "cli/version.h"

#include <cctype>
#include <string_view>

#include "base/version.h"
#include "kernels/cpu/kernels.h"

namespace millrace {

namespace {

std::string lower(std::string_view text) {
  std::string lowered(text);
  for (char& c : lowered) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lowered;
}

}  // namespace

std::string commit_text() {
  return std::string(kCommit);
}

std::string version_text() {
  std::string rows;
  for (const CpuKernels* row : runnable_cpu_kernels())
    rows += (rows.empty() ? "" : ", ") + std::string(row->isa);
  return "millrace " + std::string(kVersion) + " (commit " + commit_text() + ", " +
         lower(kBuildType) + " build, " + std::string(kCompiler) + ")\nkernels: " + rows +
         " (best first)";
}

}  // namespace millrace
