// Output folders: made beside their destination, renamed at the end.
#include "model/output_folder.h"

#include <unistd.h>

#include <filesystem>
#include <utility>

namespace millrace {
namespace {

namespace fs = std::filesystem;

Error failed(const std::string& path, const std::string& what, const std::error_code& error) {
  return Error{ErrorCode::kUnavailable, path + ": cannot " + what + ": " + error.message()};
}

Error in_the_way(const std::string& path, const std::string& what) {
  return Error{ErrorCode::kInvalidArgument, path + " " + what};
}

// "model/" names the same folder as "model".
fs::path without_slash(const std::string& path) {
  fs::path normal = fs::path(path).lexically_normal();
  return normal.has_filename() ? normal : normal.parent_path();
}

bool holds_checkpoint(const fs::path& folder) {
  std::error_code ignored;
  return fs::exists(folder / "config.json", ignored);
}

bool is_empty_folder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error) && fs::is_empty(path, error) && !error;
}

}  // namespace

Status check_output_file(const std::string& path, Overwrite overwrite) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return Ok{};
  if (fs::is_directory(path, ignored)) return in_the_way(path, "is a folder, expected a file");
  if (overwrite == Overwrite::kReplace) return Ok{};
  return in_the_way(path, "exists already: name another file, or replace it with --force");
}

Status check_output_folder(const std::string& path, Overwrite overwrite) {
  const fs::path folder = without_slash(path);
  std::error_code ignored;
  if (!fs::exists(folder, ignored) || is_empty_folder(folder)) return Ok{};
  if (!fs::is_directory(folder, ignored)) {
    return in_the_way(path, "is a file, expected a folder or a name that ends in .gguf");
  }
  if (overwrite == Overwrite::kRefuse) {
    return in_the_way(path, "exists already: name another folder, or replace it with --force");
  }
  if (holds_checkpoint(folder)) return Ok{};
  return in_the_way(path, "holds other things than a checkpoint and is not replaced");
}

Result<OutputFolder> OutputFolder::create(const std::string& destination, Overwrite overwrite) {
  TRY(check_output_folder(destination, overwrite));
  const fs::path folder = without_slash(destination);
  // The process id keeps two conversions to one destination apart.
  const std::string part = folder.string() + ".part-" + std::to_string(::getpid());
  std::error_code error;
  fs::remove_all(part, error);
  fs::create_directories(part, error);
  if (error) return failed(part, "create the folder", error);
  return OutputFolder(folder.string(), part);
}

OutputFolder::OutputFolder(OutputFolder&& other) noexcept
    : destination_(std::move(other.destination_)), part_(std::exchange(other.part_, {})) {}

OutputFolder::~OutputFolder() {
  if (part_.empty()) return;
  std::error_code ignored;
  fs::remove_all(part_, ignored);
}

// What was there moves aside first, so that no moment has neither.
Status OutputFolder::finish() {
  std::error_code error;
  const std::string aside = part_ + "-old";
  const bool replaces = fs::exists(destination_, error);
  if (replaces) fs::rename(destination_, aside, error);
  if (error) return failed(destination_, "move the old folder aside", error);
  fs::rename(part_, destination_, error);
  if (error) {
    std::error_code ignored;
    if (replaces) fs::rename(aside, destination_, ignored);
    return failed(destination_, "rename the finished folder", error);
  }
  part_.clear();
  if (replaces) fs::remove_all(aside, error);
  return Ok{};
}

}  // namespace millrace
