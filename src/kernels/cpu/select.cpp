// The list of CPU rows, best first, and which of them this machine can run.
#include <array>

#include "kernels/cpu/kernels.h"
#include "kernels/cpu/scalar/table.h"
#if defined(__x86_64__)
#include "kernels/cpu/avx2/table.h"
#include "kernels/cpu/avx512/table.h"
#include "kernels/cpu/avxvnni/table.h"
#endif

namespace millrace {
namespace {

constexpr std::array kAllRows = {
#if defined(__x86_64__)
    &cpu::avx512::kAvx512Kernels,
    &cpu::avxvnni::kAvxVnniKernels,
    &cpu::avx2::kAvx2Kernels,
#endif
    &cpu::scalar::kScalarKernels,
};

struct RunnableRows {
  std::array<const CpuKernels*, kAllRows.size()> rows{};
  std::size_t num_rows = 0;
};

RunnableRows find_runnable_rows() {
  RunnableRows runnable;
  for (const CpuKernels* row : kAllRows) {
    if (row->is_runnable()) runnable.rows[runnable.num_rows++] = row;
  }
  return runnable;
}

}  // namespace

std::span<const CpuKernels* const> runnable_cpu_kernels() {
  static const RunnableRows runnable = find_runnable_rows();
  return std::span(runnable.rows).first(runnable.num_rows);
}

const CpuKernels* find_cpu_kernels(std::string_view isa) {
  for (const CpuKernels* row : runnable_cpu_kernels()) {
    if (row->isa == isa) return row;
  }
  return nullptr;
}

}  // namespace millrace
