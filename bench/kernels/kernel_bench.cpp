// Times the rows of the case table on every runnable row of kernels, each checked before it counts.
//
//   kernel_bench --benchmark_filter='avx2/.*/matmul/int4'
//
// Counters: GB/s and Gop/s of the median call, and roof = the share of the roof that bounds the op
// (streaming read, multiply-add or 8-bit product), measured at the start of this run with the same
// number of threads; best is the same for the fastest call, which says more on a shared machine.
#include <benchmark/benchmark.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <thread>

#include "base/clock.h"
#include "kernel_case.h"
#include "measure/kernel_rows.h"

namespace millrace::bench {
namespace {

using kernel_cases::CaseRow;
using kernel_cases::Cost;
using kernel_cases::KernelCase;

const Ceilings& ceilings_for(const CpuKernels& kernels, std::size_t num_threads) {
  static std::map<std::pair<std::string_view, std::size_t>, Ceilings> known;
  const auto key = std::pair(kernels.isa, num_threads);
  if (!known.contains(key)) {
    ThreadTeam team(num_threads);
    const Ceilings ceilings = measure_ceilings(kernels.isa, team);
    std::fprintf(stderr, "roofs %s, %zu threads: read %.1f GB/s, fma %.0f G/s, int8 %.0f G/s\n",
                 std::string(kernels.isa).c_str(), num_threads, ceilings.read_bytes * 1e-9,
                 ceilings.fma_operations * 1e-9, ceilings.int8_operations * 1e-9);
    known[key] = ceilings;
  }
  return known[key];
}

// One thread is timed by its own CPU time, which others' turns on a busy machine do not lengthen
// (their use of caches and memory does).
TimePoint now_for(std::size_t num_threads) {
  if (num_threads > 1) return SystemClock().now();
  timespec time = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return TimePoint(std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec));
}

void run_case(benchmark::State& state, const CpuKernels& kernels, std::size_t num_threads,
              const CaseRow& row) {
  const std::unique_ptr<KernelCase> kernel_case = row.make();
  ThreadTeam team(num_threads);
  KernelContext context(kernels, team);
  const auto step = [&](KernelContext& of_rank) { kernel_case->run(of_rank); };
  kernel_case->reset();
  run_step(context, step);
  const std::string wrong = kernel_case->check();
  if (!wrong.empty()) return state.SkipWithError(("WRONG " + wrong).c_str());

  std::vector<double> times;
  times.reserve(1 << 20);
  for (auto _ : state) {
    const TimePoint begin = now_for(num_threads);
    run_step(context, step);
    const double elapsed = seconds(now_for(num_threads) - begin);
    state.SetIterationTime(elapsed);
    if (times.size() < times.capacity()) times.push_back(elapsed);
  }
  std::sort(times.begin(), times.end());
  const double median = times[times.size() / 2];
  const Cost cost = kernel_case->cost();
  const double at_roof = seconds_at_ceiling(cost, ceilings_for(kernels, num_threads));
  state.counters["GB/s"] = cost.bytes / median * 1e-9;
  state.counters["Gop/s"] = cost.operations / median * 1e-9;
  state.counters["roof"] = at_roof / median;
  state.counters["best"] = at_roof / times.front();
}

void register_cases() {
  const std::size_t num_cores = std::max(1u, std::thread::hardware_concurrency());
  std::vector<std::size_t> thread_counts = {1};
  if (num_cores > 1) thread_counts.push_back(num_cores);
  for (const CpuKernels* kernels : runnable_cpu_kernels()) {
    for (const std::size_t num_threads : thread_counts) {
      for (const CaseRow& row : kernel_cases::all_cases()) {
        if (row.use == kernel_cases::Use::kTest) continue;
        const std::string name =
            std::string(kernels->isa) + "/threads" + std::to_string(num_threads) + "/" + row.name;
        benchmark::RegisterBenchmark(
            name.c_str(),
            [=](benchmark::State& state) { run_case(state, *kernels, num_threads, row); })
            ->UseManualTime()
            ->Unit(benchmark::kMicrosecond)
            ->MinTime(0.2);
      }
    }
  }
}

}  // namespace
}  // namespace millrace::bench

int main(int argc, char** argv) {
  millrace::bench::register_cases();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
