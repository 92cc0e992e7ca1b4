// safetensors: one file, or a folder whose tensors are spread over shards by an index.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/mapped_tensors.h"

namespace millrace {

// What one file image holds. `tensors` point into the image.
//
//   | u64 header length n | n bytes of JSON, '{' first | tensors, back to back, to the file's end |
struct SafetensorsImage {
  std::vector<TensorInfo> tensors;              // In the order of their bytes.
  std::map<std::string, std::string> metadata;  // "__metadata__".
};

inline constexpr std::uint64_t kSafetensorsHeaderBytesMax =
    100'000'000;  // The library's own limit.
inline constexpr std::uint64_t kSafetensorsTensorsMax = 1u << 20;
inline constexpr std::uint64_t kSafetensorsIndexBytesMax = 100'000'000;
inline constexpr std::uint64_t kSafetensorsShardsMax = 1'000;

// Parses a whole file image, touching its header only. Accepts what the safetensors library does:
// ranges that lie back to back from the first byte of data to the last of the file, each of the
// size that its type and shape ask for; nothing overlaps, nothing is left over. `name` is for
// messages.
Result<SafetensorsImage> parse_safetensors(std::span<const std::byte> image,
                                           const std::string& name);

// The "weight_map" of a model.safetensors.index.json: tensor name → file name. File names are plain
// names, without folders.
Result<std::map<std::string, std::string>> parse_safetensors_index(std::string_view text,
                                                                   const std::string& name);

// model.safetensors, or model.safetensors.index.json and the shards that it names.
class SafetensorsFolder final : public MappedTensors {
 public:
  static Result<std::unique_ptr<SafetensorsFolder>> open_folder(const std::string& folder);
  static Result<std::unique_ptr<SafetensorsFolder>> open_file(const std::string& path);

  std::string_view format_name() const override { return "safetensors"; }
  // "__metadata__" of the first file.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

 private:
  explicit SafetensorsFolder(const std::string& path) : MappedTensors(path) {}
  Status open_shards(const std::string& folder, const std::string& index_path);

  std::map<std::string, std::string> metadata_;
};

}  // namespace millrace
