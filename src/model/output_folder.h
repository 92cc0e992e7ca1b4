// A folder that appears whole or not at all.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace millrace {

// What to do when the destination is there already. kReplace replaces files, and folders only when
// they are empty or hold a checkpoint (a config.json): a mistyped path must not cost a home.
enum class Overwrite : std::uint8_t { kRefuse, kReplace };

// kInvalidArgument naming the path and what stands in the way. An empty folder is never in the way
// of a folder.
Status check_output_file(const std::string& path, Overwrite overwrite);
Status check_output_folder(const std::string& path, Overwrite overwrite);

// Files are written to path(), a folder beside the destination; finish() renames it. Without that
// the destructor removes what was written. One thread.
class OutputFolder {
 public:
  static Result<OutputFolder> create(const std::string& destination, Overwrite overwrite);

  OutputFolder(OutputFolder&&) noexcept;
  OutputFolder& operator=(OutputFolder&&) = delete;
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;
  ~OutputFolder();

  const std::string& path() const { return part_; }
  Status finish();

 private:
  OutputFolder(std::string destination, std::string part)
      : destination_(std::move(destination)), part_(std::move(part)) {}

  std::string destination_;
  std::string part_;  // empty once renamed or moved from
};

}  // namespace millrace
