// How a command of the program joins it, and what becomes of its outcome.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"

namespace CLI {
class App;
}  // namespace CLI

namespace millrace {

// What a parsed command line will do; set by the callback of the command that was named.
using Action = std::function<Status()>;

// Each adds one command with its options and help to `app`; one file per command.
void add_run_command(CLI::App& app, Action& action);
void add_inspect_command(CLI::App& app, Action& action);
void add_tokenize_command(CLI::App& app, Action& action);
void add_template_command(CLI::App& app, Action& action);
void add_eval_command(CLI::App& app, Action& action);
void add_convert_command(CLI::App& app, Action& action);
void add_make_model_command(CLI::App& app, Action& action);
void add_pack_command(CLI::App& app, Action& action);
void add_bench_command(CLI::App& app, Action& action);
// Joins `eval`.
void add_eval_quality_command(CLI::App& eval, Action& action);
// Join `bench`.
void add_bench_step_commands(CLI::App& bench, Action& action);
void add_bench_kernels_command(CLI::App& bench, Action& action);
void add_bench_ceilings_command(CLI::App& bench, Action& action);
void add_bench_cost_model_command(CLI::App& bench, Action& action);
void add_bench_memory_command(CLI::App& bench, Action& action);
void add_bench_prefix_command(CLI::App& bench, Action& action);
void add_bench_replay_command(CLI::App& bench, Action& action);
void add_bench_pipeline_command(CLI::App& bench, Action& action);
void add_bench_serve_command(CLI::App& bench, Action& action);  // where there is a server
void add_simulate_command(CLI::App& app, Action& action);
void add_train_command(CLI::App& app, Action& action);  // and distill
void add_train_tokenizer_command(CLI::App& app, Action& action);
#ifdef MILLRACE_WITH_HUB
void add_models_command(CLI::App& app, Action& action);
#endif
// Only where the build found what the server needs.
void add_serve_command(CLI::App& app, Action& action);

}  // namespace millrace
