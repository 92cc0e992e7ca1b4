// `millrace pack`: a model written the way the kernels stream it, to be mapped back with no work.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "base/clock.h"
#include "base/file.h"
#include "cli/command.h"
#include "cli/model_options.h"
#include "cli/model_session.h"
#include "cli/model_text.h"
#include "cli/progress_bar.h"
#include "cli/quantity.h"
#include "formats/tokenizer_archive.h"
#include "kernels/weight_layout.h"
#include "model/packed_writer.h"
#include "model/read_spec.h"

namespace millrace {
namespace {

struct PackOptions {
  ModelOptions model;
  std::string destination;
  bool force = false;
  bool checks = false;
};

// Reads every byte of a packed file.
Status check_packed(const std::string& path) {
  const Checkpoint checkpoint = TRY(open_checkpoint(path));
  if (checkpoint.packed() == nullptr) {
    return Error{ErrorCode::kInvalidArgument, path + " is no packed model"};
  }
  static_cast<void>(TRY(read_spec(checkpoint)));
  TRY(checkpoint.packed()->check_weights());
  std::printf("%s: intact, layout %s of version %u\n", path.c_str(),
              checkpoint.packed()->layout().c_str(), checkpoint.packed()->layout_version());
  return Ok{};
}

Status check_given(const PackOptions& options) {
  if (options.destination.empty()) {
    return Error{ErrorCode::kInvalidArgument, "the file to write is missing: name it with -o"};
  }
  if (is_directory(options.destination)) {
    return Error{ErrorCode::kInvalidArgument, options.destination + " is a folder"};
  }
  if (options.force || !file_exists(options.destination)) return Ok{};
  return Error{ErrorCode::kInvalidArgument,
               options.destination + " exists already: --force replaces it"};
}

// Nothing when the model has none, which is no reason not to pack it.
Result<std::string> tokenizer_of(const Checkpoint& checkpoint) {
  Result<TokenizerSpec> spec = load_model_tokenizer_spec(checkpoint);
  if (spec.ok()) return write_tokenizer_archive(spec.value());
  if (spec.error().code != ErrorCode::kNotFound) return std::move(spec).error();
  std::fprintf(stderr, "millrace: note: packed without a tokenizer: %s\n",
               spec.error().message.c_str());
  return std::string();
}

Status pack(PackOptions& options) {
  if (options.checks) return check_packed(options.model.model);
  TRY(check_given(options));
  const Checkpoint checkpoint = TRY(open_model(options.model));
  const ModelSpec spec = TRY(read_spec(checkpoint));
  const MachineChoice machine = TRY(choose_machine(options.model));
  const std::string tokenizer = TRY(tokenizer_of(checkpoint));
  ThreadTeam team(machine.num_threads);
  KernelContext context(*machine.kernels, team);
  const SystemClock clock;
  const TimePoint begin = clock.now();
  ProgressBar bar("packing");
  const PackReport report = TRY(write_packed_checkpoint(
      checkpoint, spec, machine.load.weights, std::as_bytes(std::span(tokenizer)), context,
      options.destination,
      [&bar](std::uint64_t done, std::uint64_t total) { bar.update(done, total); }));
  if (report.num_kept > 0) {
    std::fprintf(stderr,
                 "millrace: note: %zu matrices keep their type, because their rows are no multiple "
                 "of the format's group\n",
                 report.num_kept);
  }
  std::printf("%s: %s of weights in layout %s, %.1f s\n", options.destination.c_str(),
              show_bytes(report.weight_bytes).c_str(),
              std::string(weight_layout(*machine.kernels)).c_str(), seconds(clock.now() - begin));
  return Ok{};
}

constexpr const char* kFooter =
    "Examples:\n"
    "  millrace pack ./qwen -o qwen.millrace --weight-format int4\n"
    "  millrace run --model qwen.millrace \"What is a mill?\"\n"
    "  millrace pack --check qwen.millrace\n"
    "\n"
    "The file holds weights, tokenizer, template and configuration. It is mapped as it is: a "
    "model\n"
    "starts at once, and processes share it through the page cache. It fits this version of the\n"
    "program and its kernels; another one that streams weights differently refuses it by name.";

}  // namespace

void add_pack_command(CLI::App& app, Action& action) {
  CLI::App* command =
      app.add_subcommand("pack", "Write a model so that it starts with no work at all");
  auto options = std::make_shared<PackOptions>();
  command->add_option("path", options->model.model, "The model; the same as --model")
      ->type_name("PATH");
  command->add_option("-o,--output", options->destination, "The file to write")->type_name("FILE");
  command->add_flag("--force", options->force, "Replace the file");
  command->add_flag("--check", options->checks,
                    "Write nothing: read every byte of a packed file and compare its checksums");
  add_model_options(*command, options->model);
  command->footer(kFooter);
  command->callback([options, &action] { action = [options] { return pack(*options); }; });
}

}  // namespace millrace
