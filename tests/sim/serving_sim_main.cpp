// Runs simulations by seed and prints what they did; a failure prints its seed and trace.
//
//   serving_sim --seed=N [--seeds=COUNT]
//   [--fault=lost-reference|leak|wrong-slot|skipped-write|stale-prefix|early-release|stale-result|
//            late-stop]
//   [--loop=serial|overlapped]
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "sim/serving_sim.h"

namespace millrace {
namespace {

std::uint64_t g_seed = 0;  // NOLINT: read by the handler of SIGABRT

void on_abort(int) {
  print_sim_trace();
  std::fprintf(stderr, "seed=%llu\n", static_cast<unsigned long long>(g_seed));
  std::_Exit(EXIT_FAILURE);
}

std::optional<std::string_view> flag_value(std::string_view argument, std::string_view name) {
  if (argument.substr(0, name.size()) != name) return std::nullopt;
  return argument.substr(name.size());
}

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

SimFault fault_of(std::string_view name) {
  if (name == "lost-reference") return SimFault::kLostReference;
  if (name == "leak") return SimFault::kLeak;
  if (name == "wrong-slot") return SimFault::kWrongSlot;
  if (name == "skipped-write") return SimFault::kSkippedWrite;
  if (name == "stale-prefix") return SimFault::kStalePrefix;
  if (name == "early-release") return SimFault::kEarlyRelease;
  if (name == "stale-result") return SimFault::kStaleResult;
  if (name == "late-stop") return SimFault::kLateStop;
  return SimFault::kNone;
}

int run(int argc, char** argv) {
  SimOptions options{.seed = 1};
  std::uint64_t num_seeds = 1;
  for (int i = 1; i < argc; ++i) {
    if (const auto value = flag_value(argv[i], "--seed=")) options.seed = number(*value);
    if (const auto value = flag_value(argv[i], "--seeds=")) num_seeds = number(*value);
    if (const auto value = flag_value(argv[i], "--fault=")) options.fault = fault_of(*value);
    if (const auto value = flag_value(argv[i], "--loop=")) {
      options.loop = *value == "overlapped" ? StepLoop::kOverlapped : StepLoop::kSerial;
    }
  }
  std::signal(SIGABRT, on_abort);
  SimReport sum;
  for (std::uint64_t i = 0; i < num_seeds; ++i, ++options.seed) {
    g_seed = options.seed;
    const SimReport report = run_simulation(options);
    if (!report.failure.empty()) {
      std::fprintf(stderr, "%s\n", report.failure.c_str());
      on_abort(SIGABRT);
    }
    sum.num_steps += report.num_steps;
    sum.num_requests += report.num_requests;
    sum.num_refused += report.num_refused;
    sum.num_preemptions += report.num_preemptions;
    sum.num_reclaims += report.num_reclaims;
    sum.num_copies += report.num_copies;
    sum.num_cached_tokens += report.num_cached_tokens;
    sum.num_slots_checked += report.num_slots_checked;
    sum.num_failed_steps += report.num_failed_steps;
    sum.num_poisoned += report.num_poisoned;
    for (int end = 0; end < 5; ++end) sum.num_ends[end] += report.num_ends[end];
  }
  std::printf(
      "%llu seeds: %llu steps, %llu requests (%llu stop, %llu length, %llu cancelled, %llu "
      "deadline, %llu error), %llu refused, %llu preemptions, %llu reclaims, %llu copies, %llu "
      "cached tokens, %llu failed steps, %llu poisoned, %llu slots checked\n",
      static_cast<unsigned long long>(num_seeds), static_cast<unsigned long long>(sum.num_steps),
      static_cast<unsigned long long>(sum.num_requests),
      static_cast<unsigned long long>(sum.num_ends[0]),
      static_cast<unsigned long long>(sum.num_ends[1]),
      static_cast<unsigned long long>(sum.num_ends[2]),
      static_cast<unsigned long long>(sum.num_ends[3]),
      static_cast<unsigned long long>(sum.num_ends[4]),
      static_cast<unsigned long long>(sum.num_refused),
      static_cast<unsigned long long>(sum.num_preemptions),
      static_cast<unsigned long long>(sum.num_reclaims),
      static_cast<unsigned long long>(sum.num_copies),
      static_cast<unsigned long long>(sum.num_cached_tokens),
      static_cast<unsigned long long>(sum.num_failed_steps),
      static_cast<unsigned long long>(sum.num_poisoned),
      static_cast<unsigned long long>(sum.num_slots_checked));
  return EXIT_SUCCESS;
}

}  // namespace
}  // namespace millrace

int main(int argc, char** argv) {
  return millrace::run(argc, argv);
}
