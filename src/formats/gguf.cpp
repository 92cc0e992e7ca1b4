// Opening a GGUF file and the parts of a split one.
#include "formats/gguf.h"

#include "formats/text_quote.h"

namespace millrace {
namespace {

constexpr std::uint64_t kPartsMax = 1'000;  // MappedFile maps 1,024 files at a time.

std::string part_suffix(std::uint64_t part, std::uint64_t num_parts) {
  const auto padded = [](std::uint64_t number) {
    const std::string digits = std::to_string(number);
    constexpr std::size_t kWidth = 5;
    return std::string(digits.size() < kWidth ? kWidth - digits.size() : 0, '0') + digits;
  };
  return "-" + padded(part) + "-of-" + padded(num_parts) + ".gguf";
}

}  // namespace

std::string_view GgufFile::format_name() const {
  return version_ == 2 ? "GGUF v2" : "GGUF v3";
}

Status GgufFile::open_part(const std::string& path, std::uint64_t part, std::uint64_t num_parts) {
  const auto bytes = TRY(map(path));
  GgufImage image = TRY(parse_gguf(bytes, path));
  const auto found = TRY(image.metadata.get<std::uint64_t>("split.no"));
  const auto found_count = TRY(image.metadata.get<std::uint64_t>("split.count"));
  if (found != part - 1 || found_count != num_parts) {
    return Error{ErrorCode::kCorruptData,
                 path + ": GGUF part says that it is number " + std::to_string(found) + " of " +
                     std::to_string(found_count) + " from 0, expected " + std::to_string(part - 1) +
                     " of " + std::to_string(num_parts)};
  }
  append(std::move(image.tensors));
  return Ok{};
}

Result<std::unique_ptr<GgufFile>> GgufFile::open(const std::string& path) {
  std::unique_ptr<GgufFile> file(new GgufFile(path));
  const auto bytes = TRY(file->map(path));
  GgufImage image = TRY(parse_gguf(bytes, path));
  file->version_ = image.version;
  file->metadata_ = std::move(image.metadata);
  file->append(std::move(image.tensors));

  const auto num_parts = TRY(file->metadata_.get_optional<std::uint64_t>("split.count"));
  if (num_parts && *num_parts > 1) {
    const auto part = TRY(file->metadata_.get<std::uint64_t>("split.no"));
    if (part != 0) {
      return Error{ErrorCode::kInvalidArgument,
                   path + " is part " + std::to_string(part) + " (from 0) of a GGUF model in " +
                       std::to_string(*num_parts) + " parts: open the first one, …" +
                       part_suffix(1, *num_parts)};
    }
    if (*num_parts > kPartsMax) {
      return Error{ErrorCode::kTooLarge, path + ": GGUF key 'split.count' is " +
                                             std::to_string(*num_parts) + ", expected at most " +
                                             std::to_string(kPartsMax)};
    }
    const std::string suffix = part_suffix(1, *num_parts);
    if (!path.ends_with(suffix)) {
      return Error{ErrorCode::kInvalidArgument,
                   path + " is the first of " + std::to_string(*num_parts) +
                       " parts of a GGUF model, so its name must end in " + suffix};
    }
    const std::string stem = path.substr(0, path.size() - suffix.size());
    for (std::uint64_t i = 2; i <= *num_parts; ++i)
      TRY(file->open_part(stem + part_suffix(i, *num_parts), i, *num_parts));
    const auto total = TRY(file->metadata_.get_optional<std::uint64_t>("split.tensors.count"));
    if (total && *total != file->tensors().size()) {
      return Error{ErrorCode::kCorruptData,
                   path + ": GGUF parts hold " + std::to_string(file->tensors().size()) +
                       " tensors, key 'split.tensors.count' says " + std::to_string(*total)};
    }
  }
  TRY(file->index_names());
  return file;
}

}  // namespace millrace
