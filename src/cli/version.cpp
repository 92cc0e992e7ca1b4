// The version line: commit, build, compiler, and the kernels that this machine can run.
#include "cli/version.h"

#include "base/version.h"
#include "kernels/cpu/kernels.h"

namespace millrace {

std::string commit_text() {
  return std::string(kCommit);
}

std::string version_text() {
  std::string rows;
  for (const CpuKernels* row : runnable_cpu_kernels())
    rows += (rows.empty() ? "" : ", ") + std::string(row->isa);
  return "millrace " + std::string(kVersion) + " (commit " + commit_text() + ", " +
         std::string(kBuildType) + " build, " + std::string(kCompiler) + ")\nkernels: " + rows +
         " (best first)";
}

}  // namespace millrace
