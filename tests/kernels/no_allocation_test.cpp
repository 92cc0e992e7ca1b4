// No op touches the heap.
// g++ takes the counting operators below, which end in malloc and free, for a mismatched pair.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#endif

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "kernel_case.h"

namespace {
std::atomic<std::size_t> num_allocations{0};
}  // namespace

void* operator new(std::size_t num_bytes) {
  num_allocations.fetch_add(1, std::memory_order_relaxed);
  void* memory = std::malloc(num_bytes == 0 ? 1 : num_bytes);
  if (memory == nullptr) std::abort();
  return memory;
}
// std::stable_sort asks this way.
void* operator new(std::size_t num_bytes, const std::nothrow_t&) noexcept {
  num_allocations.fetch_add(1, std::memory_order_relaxed);
  return std::malloc(num_bytes);
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace millrace::kernel_cases {
namespace {

TEST(NoAllocation, InAnyOp) {
  ThreadTeam team(2);
  for (const CpuKernels* kernels : runnable_cpu_kernels()) {
    KernelContext context(*kernels, team);
    for (const CaseRow& row : all_cases()) {
      if (row.use == Use::kBenchmark) continue;
      const std::unique_ptr<KernelCase> kernel_case = row.make();
      const std::size_t before = num_allocations.load();
      run_step(context, [&](KernelContext& of_rank) { kernel_case->run(of_rank); });
      EXPECT_EQ(num_allocations.load() - before, 0u) << kernels->isa << " " << row.name;
    }
  }
}

}  // namespace
}  // namespace millrace::kernel_cases
