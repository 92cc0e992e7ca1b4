// The writer of safetensors: plans shards, writes headers, streams bytes.
#include "formats/safetensors_writer.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include "base/checked.h"
#include "base/file.h"
#include "base/json.h"
#include "formats/byte_reader.h"
#include "formats/safetensors.h"
#include "formats/safetensors_types.h"
#include "formats/text_quote.h"
#include "text/utf8.h"

namespace millrace {
namespace {

// Tensors [begin, end) of the writer's order, in one file.
struct Shard {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::string file_name;
};

std::string shard_name(std::size_t shard, std::size_t num_shards) {
  const auto padded = [](std::size_t number) {
    constexpr std::size_t kWidth = 5;
    const std::string digits = std::to_string(number);
    return std::string(digits.size() < kWidth ? kWidth - digits.size() : 0, '0') + digits;
  };
  if (num_shards == 1) return "model.safetensors";
  return "model-" + padded(shard + 1) + "-of-" + padded(num_shards) + ".safetensors";
}

// Fills shards in the order of declaration; a shard ends before the tensor that would overfill it.
std::vector<Shard> plan_shards(std::span<const std::uint64_t> tensor_bytes,
                               std::uint64_t shard_bytes_max) {
  std::vector<Shard> shards(1);
  std::uint64_t shard_bytes = 0;
  for (std::size_t i = 0; i < tensor_bytes.size(); ++i) {
    const auto sum = checked_add(shard_bytes, tensor_bytes[i]);
    const bool is_first = shards.back().begin == i;
    if (!is_first && (!sum || *sum > shard_bytes_max)) {
      shards.push_back({.begin = i, .end = i, .file_name = ""});
      shard_bytes = tensor_bytes[i];
    } else {
      shard_bytes = sum.value_or(tensor_bytes[i]);
    }
    shards.back().end = i + 1;
  }
  for (std::size_t i = 0; i < shards.size(); ++i)
    shards[i].file_name = shard_name(i, shards.size());
  return shards;
}

// Length, JSON and spaces up to a multiple of 8, so that the data begin aligned.
Result<std::string> encode_header(std::span<const TensorDeclaration> tensors,
                                  std::span<const std::uint64_t> tensor_bytes,
                                  const std::map<std::string, std::string>& metadata,
                                  const std::string& path) {
  std::string json = "{";
  if (!metadata.empty()) json += "\"__metadata__\":" + Json(metadata).dump();
  std::uint64_t offset = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const TensorDeclaration& tensor = tensors[i];
    std::vector<std::uint64_t> extents;
    for (std::size_t d = 0; d < tensor.shape.rank(); ++d) extents.push_back(tensor.shape[d]);
    const std::uint64_t end = offset + tensor_bytes[i];
    json += json.size() > 1 ? "," : "";
    json += Json(tensor.name).dump() + ":{\"dtype\":\"" +
            std::string(safetensors_type(tensor.dtype)->name) +
            "\",\"shape\":" + Json(extents).dump() + ",\"data_offsets\":[" +
            std::to_string(offset) + "," + std::to_string(end) + "]}";
    offset = end;
  }
  json += "}";
  json.resize(static_cast<std::size_t>(round_up(json.size(), 8)), ' ');
  if (json.size() > kSafetensorsHeaderBytesMax) {
    return Error{ErrorCode::kTooLarge,
                 "cannot write " + path + ": header of " + std::to_string(json.size()) +
                     " bytes, expected at most " + std::to_string(kSafetensorsHeaderBytesMax)};
  }
  const std::uint64_t length = json.size();
  std::string out(sizeof(length), '\0');
  std::memcpy(out.data(), &length, sizeof(length));
  return out + json;
}

class SafetensorsWriter final : public WeightWriter {
 public:
  SafetensorsWriter(std::string folder, std::vector<TensorDeclaration> tensors,
                    std::vector<std::uint64_t> tensor_bytes, SafetensorsOptions options)
      : folder_(std::move(folder)),
        tensors_(std::move(tensors)),
        tensor_bytes_(std::move(tensor_bytes)),
        metadata_(std::move(options.metadata)),
        shards_(plan_shards(tensor_bytes_, options.shard_bytes_max)) {
    for (const Shard& shard : shards_) put_wide_types_first(shard);
    cursor_.emplace(tensor_bytes_);
  }

  Status begin() {
    const bool is_single = shards_.size() == 1;
    const std::string other =
        folder_ + (is_single ? "/model.safetensors.index.json" : "/model.safetensors");
    if (file_exists(other)) {
      return Error{ErrorCode::kInvalidArgument,
                   "cannot write " + folder_ + "/" + shards_.front().file_name + ": " + other +
                       " is there and would be taken for the same model; remove it first"};
    }
    if (shards_.size() > kSafetensorsShardsMax) {
      return Error{ErrorCode::kInvalidArgument,
                   "cannot write " + folder_ + ": " + std::to_string(shards_.size()) +
                       " shards, expected at most " + std::to_string(kSafetensorsShardsMax) +
                       "; allow larger ones"};
    }
    TRY(begin_shard());
    return !cursor_->at_end() && cursor_->num_missing() == 0 ? move_on() : Ok{};
  }

  std::span<const TensorDeclaration> tensors() const override { return tensors_; }

  Status append(std::span<const std::byte> bytes) override {
    if (bytes.empty()) return Ok{};
    const bool is_whole = cursor_->advance(bytes.size());
    TRY(files_.back().append(bytes));
    return is_whole ? move_on() : Ok{};
  }

  Status finish() override {
    CHECK(cursor_->at_end());
    for (FileWriter& file : files_) TRY(file.finish());
    if (shards_.size() == 1) return Ok{};
    return write_file(folder_ + "/model.safetensors.index.json", encode_index());
  }

 private:
  void put_wide_types_first(const Shard& shard) {
    std::vector<std::size_t> order(shard.end - shard.begin);
    std::iota(order.begin(), order.end(), shard.begin);
    std::stable_sort(order.begin(), order.end(), [this](std::size_t a, std::size_t b) {
      return element_bytes(tensors_[a].dtype) > element_bytes(tensors_[b].dtype);
    });
    std::vector<TensorDeclaration> tensors;
    std::vector<std::uint64_t> sizes;
    for (const std::size_t i : order) {
      tensors.push_back(std::move(tensors_[i]));
      sizes.push_back(tensor_bytes_[i]);
    }
    std::move(tensors.begin(), tensors.end(),
              tensors_.begin() + static_cast<std::ptrdiff_t>(shard.begin));
    std::copy(sizes.begin(), sizes.end(),
              tensor_bytes_.begin() + static_cast<std::ptrdiff_t>(shard.begin));
  }

  // Opens the file of the next shard, whose header says all that will follow. Finished shards stay
  // open, unnamed, until all are finished.
  Status begin_shard() {
    const Shard& shard = shards_[files_.size()];
    const std::string path = folder_ + "/" + shard.file_name;
    const std::size_t num_tensors = shard.end - shard.begin;
    const std::string header = TRY(
        encode_header(std::span(tensors_).subspan(shard.begin, num_tensors),
                      std::span(tensor_bytes_).subspan(shard.begin, num_tensors), metadata_, path));
    files_.push_back(TRY(FileWriter::create(path)));
    return files_.back().append(header);
  }

  // To the next tensor that has bytes: one without any is whole before a byte is written.
  Status move_on() {
    do {
      cursor_->next();
      if (!cursor_->at_end() && cursor_->index() == shards_[files_.size() - 1].end)
        TRY(begin_shard());
    } while (!cursor_->at_end() && cursor_->num_missing() == 0);
    return Ok{};
  }

  std::string encode_index() const {
    OrderedJson index;
    std::uint64_t total = 0;
    for (const std::uint64_t num_bytes : tensor_bytes_) total += num_bytes;
    index["metadata"]["total_size"] = total;
    for (const Shard& shard : shards_) {
      for (std::size_t i = shard.begin; i < shard.end; ++i)
        index["weight_map"][tensors_[i].name] = shard.file_name;
    }
    return index.dump(2) + "\n";
  }

  std::string folder_;
  std::vector<TensorDeclaration> tensors_;
  std::vector<std::uint64_t> tensor_bytes_;
  std::map<std::string, std::string> metadata_;
  std::vector<Shard> shards_;
  std::vector<FileWriter> files_;  // One for each shard that was begun.
  std::optional<TensorCursor> cursor_;
};

}  // namespace

Result<std::unique_ptr<WeightWriter>> create_safetensors(const std::string& folder,
                                                         std::vector<TensorDeclaration> tensors,
                                                         const SafetensorsOptions& options) {
  const auto wrong = [&folder](const std::string& what) {
    return Error{ErrorCode::kInvalidArgument, "cannot write " + folder + ": " + what};
  };
  for (const TensorDeclaration& tensor : tensors) {
    if (safetensors_type(tensor.dtype) == nullptr) {
      return wrong("tensor " + in_quotes(tensor.name) + " is of type " +
                   std::string(dtype_name(tensor.dtype)) + ", which safetensors lacks");
    }
    if (tensor.name == "__metadata__") return wrong("a tensor cannot be called __metadata__");
  }
  for (const auto& [key, value] : options.metadata) {
    if (find_invalid_utf8(key) || find_invalid_utf8(value))
      return wrong("metadata " + in_quotes(key) + " is not UTF-8");
  }
  std::vector<std::uint64_t> sizes = TRY(declared_bytes(tensors, folder));
  auto writer =
      std::make_unique<SafetensorsWriter>(folder, std::move(tensors), std::move(sizes), options);
  TRY(writer->begin());
  return std::unique_ptr<WeightWriter>(std::move(writer));
}

}  // namespace millrace
