// `millrace bench ceilings`: what this machine can do at most, per instruction set.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "base/machine.h"
#include "cli/bench_record.h"
#include "cli/command.h"
#include "kernels/cpu/kernels.h"
#include "measure/ceilings.h"
#include "report/table.h"

namespace millrace {
namespace {

struct CeilingsOptions {
  std::size_t num_threads = 0;
  bool as_json = false;
};

Table ceilings_table() {
  Table table;
  for (const char* heading :
       {"row", "read GB/s", "copy GB/s", "f32 G/s", "8-bit G/s", "16-bit G/s", "bf16 G/s"}) {
    table.columns.push_back({heading, table.columns.empty() ? Align::kLeft : Align::kRight});
  }
  return table;
}

Status bench_ceilings(const CeilingsOptions& options) {
  const std::size_t most = options.num_threads > 0 ? options.num_threads : num_usable_cpus();
  std::vector<std::size_t> counts = {1};
  if (most > 1) counts.push_back(most);
  OrderedJson rows = OrderedJson::array();
  Table table = ceilings_table();
  std::vector<double> clocks;
  for (const std::size_t num_threads : counts) {
    ThreadTeam team(num_threads);
    clocks = measure_core_clocks(team);
    for (const CpuKernels* kernels : runnable_cpu_kernels()) {
      const Ceilings ceilings = measure_ceilings(kernels->isa, team);
      OrderedJson row = {{"isa", kernels->isa}, {"threads", num_threads}};
      row.update(ceilings_json(ceilings));
      rows.push_back(std::move(row));
      table.add_row({std::string(kernels->isa) + ", " + std::to_string(num_threads) + " threads",
                     show_giga(ceilings.read_bytes), show_giga(ceilings.copy_bytes),
                     show_giga(ceilings.fma_operations), show_giga(ceilings.int8_operations),
                     show_giga(ceilings.int16_operations), show_giga(ceilings.bf16_operations)});
    }
  }
  if (options.as_json) {
    OrderedJson record = bench_record("ceilings", runnable_cpu_kernels().front()->isa, most);
    record["core_hertz"] = clocks;
    record["rows"] = std::move(rows);
    std::printf("%s\n", record.dump().c_str());
    return Ok{};
  }
  std::printf("%s\n", table_text(table).c_str());
  std::string speeds;
  for (const double clock : clocks) speeds += (speeds.empty() ? "" : ", ") + show_giga(clock);
  std::printf("%s; all cores busy at %s GHz\n", cpu_name().c_str(),
              speeds.empty() ? "unknown" : speeds.c_str());
  return Ok{};
}

constexpr const char* kFooter =
    "Best of eight tries each. read: a plain sum over 256 MB per thread; copy: bytes read and\n"
    "written together; f32: multiply-adds; 8-bit: products summed in 32 bits; 16-bit: the same\n"
    "summed in 16 bits, what 4-bit weights may reach; bf16: pairs by vdpbf16ps. An operation is a\n"
    "multiplication or an addition. The portable row is held against AVX2's ceilings.";

}  // namespace

void add_bench_ceilings_command(CLI::App& bench, Action& action) {
  CLI::App* command =
      bench.add_subcommand("ceilings", "What memory and cores can do at most, measured");
  auto options = std::make_shared<CeilingsOptions>();
  command->add_option("-t,--threads", options->num_threads, "Threads, beside one (default: all)")
      ->check(CLI::Range(1, 1024));
  command->add_flag("--json", options->as_json, "One JSON object");
  command->footer(kFooter);
  command->callback(
      [options, &action] { action = [options] { return bench_ceilings(*options); }; });
}

}  // namespace millrace
