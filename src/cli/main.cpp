// The program: reads the command line, runs one command, reports its failure in one sentence.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/version.h"

namespace millrace {
namespace {

constexpr const char* kFooter =
    "Examples:\n"
    "  millrace run \"Once upon a time\"                 continue it, with the small model that "
    "comes along\n"
    "  millrace run --model PATH \"What is a mill?\"     answer, in the format of a chat model\n"
    "  millrace run --model PATH                        chat in the terminal\n"
    "  millrace serve                                   the same over HTTP, for OpenAI's clients\n"
    "  millrace inspect PATH                            shape, sizes, tokeniser of a checkpoint\n"
    "  millrace bench decode --model PATH               tokens per second here\n"
    "\n"
    "PATH is a Hugging Face folder (config.json, safetensors), a .gguf file or a llama2.c .bin "
    "file.\n"
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 bad or missing input, 4 out of memory or over "
    "a "
    "limit.";

int report(const Error& error) {
  std::fprintf(stderr, "millrace: %s\n", error.message.c_str());
  return static_cast<int>(exit_code_of(error));
}

int run(int argc, char** argv) {
  CLI::App app("Millrace serves, measures and compresses GPT-like language models.", "millrace");
  app.require_subcommand(1);
  app.set_version_flag("--version", version_text());
  app.footer(kFooter);
  app.get_formatter()->column_width(34);

  Action action;
#ifdef MILLRACE_WITH_SERVER
  add_serve_command(app, action);
#endif
  add_run_command(app, action);
  add_inspect_command(app, action);
  add_tokenize_command(app, action);
  add_template_command(app, action);
  add_eval_command(app, action);
  add_convert_command(app, action);
  add_make_model_command(app, action);
  add_pack_command(app, action);
  add_bench_command(app, action);
  add_simulate_command(app, action);
  add_train_command(app, action);
  add_train_tokenizer_command(app, action);
#ifdef MILLRACE_WITH_HUB
  add_models_command(app, action);
#endif
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : static_cast<int>(ExitCode::kUsage);
  }
  const Status status = action();
  return status.ok() ? static_cast<int>(ExitCode::kOk) : report(status.error());
}

}  // namespace
}  // namespace millrace

int main(int argc, char** argv) {
  return millrace::run(argc, argv);
}
