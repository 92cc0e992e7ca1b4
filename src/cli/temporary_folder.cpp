// mkdtemp, and its opposite.
#include "cli/temporary_folder.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>

namespace millrace {

Result<TemporaryFolder> TemporaryFolder::create() {
  std::error_code failed;
  std::filesystem::path place = std::filesystem::temp_directory_path(failed);
  if (failed) place = "/tmp";
  std::string pattern = (place / "millrace-XXXXXX").string();
  if (::mkdtemp(pattern.data()) != nullptr) return TemporaryFolder(std::move(pattern));
  return Error{ErrorCode::kUnavailable,
               "no folder can be made in " + place.string() + ": " + std::strerror(errno)};
}

TemporaryFolder::TemporaryFolder(TemporaryFolder&& other) noexcept
    : path_(std::exchange(other.path_, "")) {}

TemporaryFolder& TemporaryFolder::operator=(TemporaryFolder&& other) noexcept {
  std::swap(path_, other.path_);
  return *this;
}

TemporaryFolder::~TemporaryFolder() {
  if (path_.empty()) return;
  std::error_code ignored;  // What cannot be removed stays; nobody is left to tell.
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace millrace
