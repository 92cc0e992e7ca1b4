// Opening safetensors: one file, or the shards that an index names.
#include "formats/safetensors.h"

#include <algorithm>
#include <set>

#include "formats/text_quote.h"

namespace millrace {

Result<std::unique_ptr<SafetensorsFolder>> SafetensorsFolder::open_file(const std::string& path) {
  std::unique_ptr<SafetensorsFolder> source(new SafetensorsFolder(path));
  const auto bytes = TRY(source->map(path));
  SafetensorsImage image = TRY(parse_safetensors(bytes, path));
  source->metadata_ = std::move(image.metadata);
  source->append(std::move(image.tensors));
  TRY(source->index_names());
  return source;
}

Result<std::unique_ptr<SafetensorsFolder>> SafetensorsFolder::open_folder(
    const std::string& folder) {
  const std::string single_path = folder + "/model.safetensors";
  if (file_exists(single_path)) return open_file(single_path);
  const std::string index_path = single_path + ".index.json";
  if (!file_exists(index_path)) {
    return Error{ErrorCode::kNotFound,
                 folder + " holds neither model.safetensors nor " + "model.safetensors.index.json"};
  }
  std::unique_ptr<SafetensorsFolder> source(new SafetensorsFolder(folder));
  TRY(source->open_shards(folder, index_path));
  TRY(source->index_names());
  return source;
}

// Of each shard, only the tensors that the index places there are kept; each of them must be there.
Status SafetensorsFolder::open_shards(const std::string& folder, const std::string& index_path) {
  const std::string text = TRY(read_file(index_path, kSafetensorsIndexBytesMax));
  const auto weight_map = TRY(parse_safetensors_index(text, index_path));
  std::set<std::string> shards;
  for (const auto& [tensor, file] : weight_map) shards.insert(file);
  if (shards.size() > kSafetensorsShardsMax) {
    return Error{ErrorCode::kTooLarge,
                 index_path + ": weight_map names " + std::to_string(shards.size()) +
                     " files, expected at most " + std::to_string(kSafetensorsShardsMax)};
  }
  bool is_first = true;
  for (const std::string& shard : shards) {
    const std::string path = folder + "/" + shard;
    const auto bytes = TRY(map(path));
    SafetensorsImage image = TRY(parse_safetensors(bytes, path));
    if (std::exchange(is_first, false)) metadata_ = std::move(image.metadata);
    std::erase_if(image.tensors, [&](const TensorInfo& info) {
      const auto at = weight_map.find(info.name);
      return at == weight_map.end() || at->second != shard;
    });
    append(std::move(image.tensors));
  }
  if (tensors().size() == weight_map.size()) return Ok{};
  std::set<std::string_view> found;
  for (const TensorInfo& info : tensors()) found.insert(info.name);
  const auto missing = std::find_if(weight_map.begin(), weight_map.end(),
                                    [&](const auto& row) { return !found.contains(row.first); });
  CHECK(missing != weight_map.end());  // The kept tensors are a subset of the index's names.
  return Error{ErrorCode::kCorruptData, index_path + ": weight_map places tensor " +
                                            in_quotes(missing->first) + " in " + missing->second +
                                            ", which does not hold it"};
}

}  // namespace millrace
