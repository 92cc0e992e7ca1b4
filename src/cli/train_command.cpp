// `millrace train` and `millrace distill`: handed on to the program millrace-train beside this one,
// which alone needs libtorch's libraries.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/file.h"
#include "cli/command.h"

namespace millrace {
namespace {

// Does not come back when all is well.
Status run_trainer(std::vector<std::string> arguments) {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::string program = self.parent_path() / "millrace-train";
  if (error || !file_exists(program)) {
    return Error{ErrorCode::kUnsupported,
                 "this build has no trainer: libtorch was not found when it was configured "
                 "(apt-get install libtorch-dev, or cmake -D "
                 "Torch_DIR=…/torch/share/cmake/Torch, then build again)"};
  }
  arguments.insert(arguments.begin(), program);
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  ::execv(program.c_str(), pointers.data());
  return Error{ErrorCode::kUnavailable, program + ": " + std::strerror(errno)};
}

void add_handed_on(CLI::App& app, Action& action, const std::string& name,
                   const std::string& description) {
  CLI::App* command = app.add_subcommand(name, description);
  command->prefix_command();
  command->set_help_flag();
  command->callback([command, name, &action] {
    std::vector<std::string> arguments = {name};
    const std::vector<std::string> rest = command->remaining();
    arguments.insert(arguments.end(), rest.begin(), rest.end());
    action = [arguments] { return run_trainer(arguments); };
  });
}

}  // namespace

void add_train_command(CLI::App& app, Action& action) {
  add_handed_on(app, action, "train", "Train a model, as a SPEC.yaml says (needs libtorch)");
  add_handed_on(app, action, "distill", "Train a student on a teacher's answers (needs libtorch)");
}

}  // namespace millrace
