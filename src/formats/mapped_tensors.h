// The part that all weight sources share: mapped files, the list of tensors, look-up by name.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/file.h"
#include "formats/weight_source.h"

namespace millrace {

// Filled by a derived class's open(), then const.
class MappedTensors : public WeightSource {
 public:
  const std::string& path() const final { return path_; }
  std::span<const TensorInfo> tensors() const final { return tensors_; }
  const TensorInfo* find(std::string_view name) const final;
  std::span<const SourceFile> files() const final { return files_; }
  Status check_intact() const final;
  void release_pages(std::span<const std::byte> range) const final;

 protected:
  explicit MappedTensors(std::string path) : path_(std::move(path)) {}

  // Maps a file and returns its bytes, which live as long as this object.
  Result<std::span<const std::byte>> map(const std::string& path);
  void append(std::vector<TensorInfo> tensors);
  // Sorts the names; an error names one that occurs twice. Called once, after the last append().
  Status index_names();

 private:
  std::string path_;
  std::vector<MappedFile> mappings_;
  std::vector<SourceFile> files_;
  std::vector<TensorInfo> tensors_;
  std::vector<std::uint32_t> by_name_;  // Indices into tensors_, in the order of names.
};

}  // namespace millrace
