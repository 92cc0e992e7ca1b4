// `millrace bench`: what measures speed, each in a file of its own.
#include <CLI/CLI.hpp>

#include "cli/command.h"

namespace millrace {

void add_bench_command(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("bench", "Tokens per second of a model on this machine");
  command->require_subcommand(1);
  add_bench_step_commands(*command, action);
  add_bench_kernels_command(*command, action);
  add_bench_ceilings_command(*command, action);
  add_bench_cost_model_command(*command, action);
  add_bench_memory_command(*command, action);
  add_bench_prefix_command(*command, action);
  add_bench_replay_command(*command, action);
  add_bench_pipeline_command(*command, action);
#ifdef MILLRACE_WITH_SERVER
  add_bench_serve_command(*command, action);
#endif
}

}  // namespace millrace
