// A model as the kernels stream it, in a file that is mapped and used with no work.
//
//   0     "millpack"
//   8     u32 version of this page, u32 version of the kernels' layouts
//  16     u64 bytes of the file
//  24     name of the layout, filled up with zeros to 24 bytes
//  48     sections: u64 offset, u64 bytes, u64 checksum each, in the order of PackedSection
// 192     u64 checksum of the 192 bytes before
//         spec, tokenizer, config, generation config, formats, each on a multiple of 64
//         weights, on a multiple of 4,096, of 2 MiB when they are larger than that
//
// Numbers are little-endian. Everything but the weights is checked against its checksum when the
// file is opened; the weights, whose bytes mean something to the kernels whatever they are, only on
// demand.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "formats/mapped_tensors.h"

namespace millrace {

inline constexpr std::uint32_t kPackedModelVersion = 1;

enum class PackedSection : std::uint8_t {
  kSpec,              // spec_archive.h, in model
  kTokenizer,         // tokenizer_archive.h; empty: the model has none
  kConfig,            // config.json; empty: none
  kGenerationConfig,  // generation_config.json; empty: none
  kFormats,           // a byte for each matrix, in the order of model's required_tensors
  kWeights,
};
inline constexpr std::size_t kNumPackedSections = 6;

// What a packed file is made of. Borrowed for the call.
struct PackedModelParts {
  std::uint32_t layout_version = 0;
  std::string layout;  // at most 23 bytes
  std::array<std::span<const std::byte>, kNumPackedSections> sections;
};

// The file appears whole or not at all.
Status write_packed_model(const std::string& path, const PackedModelParts& parts);

// What the first bytes of a packed file are.
bool looks_like_packed_model(std::span<const std::byte> head);

// Where things are in a packed file's image.
struct PackedModelImage {
  std::uint32_t layout_version = 0;
  std::string layout;
  std::array<std::span<const std::byte>, kNumPackedSections> sections;
  std::uint64_t weights_checksum = 0;
};

// kCorruptData or kUnsupported (another version) naming what was found and expected; touches
// everything but the weights. `name` is for messages.
Result<PackedModelImage> parse_packed_model(std::span<const std::byte> image,
                                            const std::string& name);

// An opened one. It lists no tensors: their bytes have another order than any tensor's.
class PackedModelFile final : public MappedTensors {
 public:
  static Result<std::unique_ptr<PackedModelFile>> open(const std::string& path);

  std::string_view format_name() const override { return "millrace packed"; }
  std::span<const std::byte> section(PackedSection section) const {
    return image_.sections[static_cast<std::size_t>(section)];
  }
  std::uint32_t layout_version() const { return image_.layout_version; }
  const std::string& layout() const { return image_.layout; }
  // The mapping, shared with whoever keeps the weights longer than this object.
  std::shared_ptr<const MappedFile> mapping() const { return mapping_; }
  // Reads all weights; kCorruptData when a byte of them has changed.
  Status check_weights() const;

 private:
  explicit PackedModelFile(const std::string& path) : MappedTensors(path) {}

  std::shared_ptr<const MappedFile> mapping_;
  PackedModelImage image_;
};

}  // namespace millrace
