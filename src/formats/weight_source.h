// Named tensors of a checkpoint as they lie in its files, whatever the format.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/file.h"
#include "base/result.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

namespace millrace {

// One tensor in the list of a checkpoint. Listing says everything that the headers know, also of
// tensors whose values this program cannot read.
struct TensorInfo {
  std::string name;
  // The format's own word for the element type: "BF16", "F8_E4M3", "Q6_K".
  std::string type_name;
  // Nothing when the type is none of ours.
  std::optional<DType> dtype;
  // Outermost first. Of rank 4 at most: further extents are folded into the last one.
  Shape shape;
  // In the mapped file; not aligned. Empty when the size of the type is unknown.
  std::span<const std::byte> bytes;
  // Why WeightSource::tensor() refuses it ("type Q6_K is not supported"); empty when it does not.
  std::string refusal;
};

// A tensor whose values can be read: bytes.size() is what dtype and shape ask for, and the last
// extent is a whole number of groups. Borrowed from its WeightSource; the bytes may lie at any
// address.
struct SourceTensor {
  std::string_view name;
  DType dtype = DType::kF32;
  Shape shape;
  std::span<const std::byte> bytes;
};

struct SourceFile {
  std::string path;
  FileIdentity identity;
};

// Opening reads headers only; pages of weights come in as they are touched. Everything is const
// after construction, so any thread may read at any time. Names are unique.
class WeightSource {
 public:
  virtual ~WeightSource() = default;

  // "safetensors", "GGUF v3", "llama2.c".
  virtual std::string_view format_name() const = 0;
  // What to call it in messages: a file, or a folder.
  virtual const std::string& path() const = 0;
  // In the order of the files.
  virtual std::span<const TensorInfo> tensors() const = 0;
  // Null when there is no such tensor.
  virtual const TensorInfo* find(std::string_view name) const = 0;
  virtual std::span<const SourceFile> files() const = 0;
  // An error when a file was cut short while it was mapped: what was read since then were zeros.
  // Asked after the bytes were used, before the result is believed.
  virtual Status check_intact() const = 0;
  // Lets the pages inside `range`, which lies in one tensor's bytes, leave memory.
  virtual void release_pages(std::span<const std::byte> range) const = 0;

  // kNotFound when it is absent, kUnsupported naming the type when its values cannot be read.
  Result<SourceTensor> tensor(std::string_view name) const;
  // Elements of all tensors.
  std::uint64_t num_parameters() const;
  // Bytes of all tensors, without headers.
  std::uint64_t num_bytes() const;
};

}  // namespace millrace
