// A folder for the time of one command.
#pragma once

#include <string>

#include "base/result.h"

namespace millrace {

// Readable by its owner alone, in the system's place for temporary files ($TMPDIR); removed with
// everything in it when this dies.
class TemporaryFolder {
 public:
  static Result<TemporaryFolder> create();

  TemporaryFolder(TemporaryFolder&& other) noexcept;
  TemporaryFolder& operator=(TemporaryFolder&& other) noexcept;
  ~TemporaryFolder();

  const std::string& path() const { return path_; }

 private:
  explicit TemporaryFolder(std::string path) : path_(std::move(path)) {}

  std::string path_;  // empty: moved from
};

}  // namespace millrace
