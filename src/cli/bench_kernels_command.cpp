// `millrace bench kernels`: every op of the kernels at the shapes of serving, beside the ceilings.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>

#include "base/machine.h"
#include "cli/bench_record.h"
#include "cli/command.h"
#include "kernels/cpu/kernels.h"
#include "measure/kernel_rows.h"
#include "report/table.h"

namespace millrace {
namespace {

using kernel_cases::CaseRow;
using kernel_cases::Cost;
using kernel_cases::Roof;

struct KernelsOptions {
  std::vector<std::string> filters;
  std::string isa;
  std::size_t num_threads = 0;
  double seconds = 0.3;
  bool as_json = false;
};

std::vector<CaseRow> wanted_rows(const std::vector<std::string>& filters) {
  std::vector<CaseRow> rows = kernel_cases::all_cases();
  std::erase_if(rows, [&](const CaseRow& row) {
    if (row.use == kernel_cases::Use::kTest) return true;
    return !filters.empty() &&
           std::none_of(filters.begin(), filters.end(), [&](const std::string& filter) {
             return row.name.find(filter) != std::string::npos;
           });
  });
  return rows;
}

const char* ceiling_name(Roof roof) {
  switch (roof) {
    case Roof::kBandwidth:
      return "read";
    case Roof::kFma:
      return "f32";
    case Roof::kInt8:
      return "8-bit";
  }
  return "";
}

// Adds one row to the table and to the JSON; false when its answer is wrong.
bool report_row(const CaseRow& row, const KernelTiming& timing, const Ceilings& ceilings,
                Table& table, OrderedJson& json) {
  if (!timing.wrong.empty()) {
    table.add_row({row.name, "WRONG", timing.wrong, "", "", "", ""});
    json.push_back({{"row", row.name}, {"wrong", timing.wrong}});
    return false;
  }
  const double at_ceiling = seconds_at_ceiling(timing.cost, ceilings);
  const double bytes = timing.cost.bytes / timing.median_seconds;
  const double operations = timing.cost.operations / timing.median_seconds;
  const double fraction = at_ceiling / timing.median_seconds;
  table.add_row({row.name, show_rate(timing.median_seconds * 1e6), show_giga(bytes),
                 show_giga(operations), show_percent(fraction),
                 show_percent(at_ceiling / timing.best_seconds), ceiling_name(timing.cost.roof)});
  json.push_back({{"row", row.name},
                  {"median_seconds", timing.median_seconds},
                  {"bytes_per_second", bytes},
                  {"operations_per_second", operations},
                  {"ceiling", ceiling_name(timing.cost.roof)},
                  {"fraction_of_ceiling", fraction},
                  {"best_fraction_of_ceiling", at_ceiling / timing.best_seconds}});
  return true;
}

Result<const CpuKernels*> kernels_of(const KernelsOptions& options) {
  if (options.isa.empty()) return runnable_cpu_kernels().front();
  const CpuKernels* kernels = find_cpu_kernels(options.isa);
  if (kernels != nullptr) return kernels;
  return Error{ErrorCode::kInvalidArgument, "--cpu-isa " + options.isa + " cannot run here"};
}

Status bench_kernels(const KernelsOptions& options) {
  const CpuKernels& kernels = *TRY(kernels_of(options));
  const std::vector<CaseRow> rows = wanted_rows(options.filters);
  if (rows.empty()) {
    return Error{ErrorCode::kInvalidArgument, "no row of the table has the text of a --filter"};
  }
  ThreadTeam team(options.num_threads > 0 ? options.num_threads : num_usable_cpus());
  KernelContext context(kernels, team);
  const Ceilings ceilings = measure_ceilings(kernels.isa, team);
  Table table{.title = "",
              .columns = {{"row", Align::kLeft},
                          {"us", Align::kRight},
                          {"GB/s", Align::kRight},
                          {"G op/s", Align::kRight},
                          {"of ceiling", Align::kRight},
                          {"best", Align::kRight},
                          {"ceiling", Align::kLeft}},
              .rows = {}};
  OrderedJson json = OrderedJson::array();
  std::size_t num_wrong = 0;
  const auto duration =
      std::chrono::duration_cast<Duration>(std::chrono::duration<double>(options.seconds));
  for (const CaseRow& row : rows) {
    const KernelTiming timing = time_kernel_row(row, context, duration);
    num_wrong += report_row(row, timing, ceilings, table, json) ? 0 : 1;
  }
  if (options.as_json) {
    OrderedJson record = bench_record("kernels", kernels.isa, team.num_threads());
    record["ceilings"] = ceilings_json(ceilings);
    record["rows"] = std::move(json);
    std::printf("%s\n", record.dump().c_str());
  } else {
    std::printf("%s\n%s, %zu threads: read %s GB/s, f32 %s G/s, 8-bit %s G/s\n",
                table_text(table).c_str(), std::string(kernels.isa).c_str(), team.num_threads(),
                show_giga(ceilings.read_bytes).c_str(), show_giga(ceilings.fma_operations).c_str(),
                show_giga(ceilings.int8_operations).c_str());
  }
  if (num_wrong == 0) return Ok{};
  return Error{ErrorCode::kCorruptData, std::to_string(num_wrong) + " rows gave wrong answers"};
}

constexpr const char* kFooter =
    "Examples:\n"
    "  millrace bench kernels --filter matmul/int4/ --filter attention\n"
    "  millrace bench kernels --filter matmul/int8/M1/ -t 1 --cpu-isa avx2\n"
    "\n"
    "Rows are those of tests/kernels that have the shapes of a served model; each is checked\n"
    "against the reference before its time counts. Bytes that fit the caches are read faster than\n"
    "memory delivers, above 100 %. All rows take some minutes.";

}  // namespace

void add_bench_kernels_command(CLI::App& bench, Action& action) {
  CLI::App* command = bench.add_subcommand(
      "kernels", "Each op of the kernels, and how near it comes to what the machine can do");
  auto options = std::make_shared<KernelsOptions>();
  command->add_option("--filter", options->filters, "Only rows whose name has this in it")
      ->type_name("TEXT")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command->add_option("--cpu-isa", options->isa, "Kernels of this instruction set (the best)")
      ->type_name("NAME");
  command->add_option("-t,--threads", options->num_threads, "Threads (all)")
      ->check(CLI::Range(1, 1024));
  command->add_option("--seconds", options->seconds, "Time for each row")
      ->capture_default_str()
      ->check(CLI::Range(0.001, 60.0));
  command->add_flag("--json", options->as_json, "One JSON object");
  command->footer(kFooter);
  command->callback([options, &action] { action = [options] { return bench_kernels(*options); }; });
}

}  // namespace millrace
