// `millrace simulate`: the real scheduler on a virtual clock, over a trace or drawn requests.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "cli/command.h"
#include "cli/simulate_options.h"
#include "cli/version.h"
#include "report/page.h"
#include "simulate/share_experiment.h"
#include "simulate/summary.h"
#include "simulate/trace_reader.h"

namespace millrace {
namespace {

struct CommandOptions {
  SimulateOptions simulate;
  bool compares_policies = false;
  std::vector<double> loads = {1.3, 1.0, 0.7};
  std::string html_path;
  std::string trace_out_path;
  bool as_json = false;
};

void print_json(OrderedJson object) {
  object["commit"] = commit_text();
  std::printf("%s\n", object.dump().c_str());
}

Status compare_policies(const Trace& workload, const SimulationOptions& options,
                        const CommandOptions& command) {
  const ShareExperiment experiment = TRY(run_share_experiment(workload, options, command.loads));
  const Table table = share_table(experiment);
  if (!command.html_path.empty()) {
    HtmlPage page("Shares of one machine: " + workload.name + " on " + options.cost.name);
    page.add_table(table);
    page.add_table(fluid_table(experiment));
    TRY(write_file(command.html_path, page.text()));
  }
  if (command.as_json) {
    print_json(share_json(experiment));
  } else {
    std::printf("%s\n%s", table_text(table).c_str(), table_text(fluid_table(experiment)).c_str());
  }
  return Ok{};
}

Status simulate_once(const Trace& workload, const SimulationOptions& options,
                     const CommandOptions& command) {
  const SimulationResult result = TRY(simulate(workload, options));
  const Summary summary = summarise(result, workload, options);
  if (!command.html_path.empty()) {
    HtmlPage page("Simulation: " + workload.name + " on " + options.cost.name);
    page.add_paragraph("policy " + std::string(policy_name(options.policy)) + ", seed " +
                       std::to_string(command.simulate.workload.seed) + ", " + version_text());
    add_to_page(page, result, summary);
    TRY(write_file(command.html_path, page.text()));
  }
  if (command.as_json) {
    OrderedJson object = summary_json(summary);
    object["trace"] = workload.name;
    object["cost_model"] = options.cost.name;
    object["policy"] = policy_name(options.policy);
    object["seed"] = command.simulate.workload.seed;
    print_json(std::move(object));
    return Ok{};
  }
  std::printf("%s on %s, %s\n", workload.name.c_str(), options.cost.name.c_str(),
              std::string(policy_name(options.policy)).c_str());
  for (const Table& table : summary_tables(summary)) {
    std::printf("\n%s", table_text(table).c_str());
  }
  return Ok{};
}

Status run_simulate(const CommandOptions& command) {
  SimulationOptions options = TRY(simulation_options(command.simulate));
  const Trace workload = TRY(simulated_workload(command.simulate, options));
  if (!command.trace_out_path.empty()) {
    TRY(write_file(command.trace_out_path, trace_csv(workload)));
    std::fprintf(stderr, "wrote %zu requests to %s\n", workload.requests.size(),
                 command.trace_out_path.c_str());
    return Ok{};
  }
  return command.compares_policies ? compare_policies(workload, options, command)
                                   : simulate_once(workload, options, command);
}

}  // namespace

void add_simulate_command(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "simulate", "The scheduler on a virtual clock: latency, throughput and shares of a trace");
  auto options = std::make_shared<CommandOptions>();
  add_simulate_options(*command, options->simulate);
  command->add_flag("--compare-policies", options->compares_policies,
                    "Every policy at every load, and with one class alone; one table");
  command
      ->add_option("--loads", options->loads,
                   "Arrivals over what the machine can do, for --compare-policies")
      ->delimiter(',')
      ->check(CLI::Range(0.01, 100.0))
      ->capture_default_str();
  command->add_option("--html", options->html_path, "Write tables and plots as one page")
      ->type_name("FILE");
  command
      ->add_option("--write-trace", options->trace_out_path,
                   "Write the requests as CSV instead of simulating them")
      ->type_name("FILE");
  command->add_flag("--json", options->as_json, "One JSON object");
  command->footer(
      "Traces: CSV with TIMESTAMP,ContextTokens,GeneratedTokens (Azure) or\n"
      "arrived_at,num_prefill_tokens,num_decode_tokens (vidur), or Mooncake's JSON lines.\n"
      "Without a trace, give --requests, --rate and --lengths.");
  command->callback([options, &action] { action = [options] { return run_simulate(*options); }; });
}

}  // namespace millrace
