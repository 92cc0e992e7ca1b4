// GGUF files, v2 and v3: typed metadata and tensors, read in place from the mapped file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/mapped_tensors.h"

namespace millrace {

// The numbers are the format's.
enum class GgufType : std::uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};
inline constexpr std::size_t kNumGgufTypes = 13;
std::string_view gguf_type_name(GgufType type);

class GgufArray;

// A value where it lies in the file: borrowed, like everything below, from the GgufFile.
//
//   scalar   the value, little-endian
//   string   | u64 length | bytes |
//   array    | u32 element type | u64 count | elements, each without a type of its own |
struct GgufValue {
  GgufType type = GgufType::kU8;
  std::span<const std::byte> payload;

  // Nothing when the value is of another kind or does not fit. Integers convert between widths and
  // signs where the number fits; f32 and f64 convert to each other; nothing else converts.
  std::optional<std::uint64_t> as_unsigned() const;
  std::optional<std::int64_t> as_signed() const;
  std::optional<double> as_float() const;
  std::optional<bool> as_bool() const;
  std::optional<std::string_view> as_string() const;
  std::optional<GgufArray> as_array() const;
};

// Elements of one type. Reading checks every length again, because the file may change while it is
// mapped: a reader gets fewer elements and an error, never bytes outside the array.
class GgufArray {
 public:
  GgufArray(GgufType element_type, std::uint64_t count, std::span<const std::byte> elements)
      : element_type_(element_type), count_(count), elements_(elements) {}

  GgufType element_type() const { return element_type_; }
  std::uint64_t size() const { return count_; }

  // One pass over the bytes. kInvalidArgument when the elements are of another kind.
  Result<std::vector<std::string_view>> strings() const;
  Result<std::vector<std::uint64_t>> unsigned_values() const;
  Result<std::vector<std::int64_t>> signed_values() const;
  Result<std::vector<double>> float_values() const;
  Result<std::vector<bool>> bool_values() const;
  // Each element as a value of its own: any type, nested arrays too.
  Result<std::vector<GgufValue>> values() const;

 private:
  template <class T, class Convert>
  Result<std::vector<T>> converted(const char* expected, Convert convert) const;

  GgufType element_type_;
  std::uint64_t count_;
  std::span<const std::byte> elements_;
};

struct GgufEntry {
  std::string key;
  GgufValue value;
};

// All key-value pairs of a file, in file order. Look-up is a binary search.
class GgufMetadata {
 public:
  GgufMetadata() = default;
  // An error names a key that occurs twice.
  static Result<GgufMetadata> create(std::string file_name, std::vector<GgufEntry> entries);

  std::span<const GgufEntry> entries() const { return entries_; }
  const GgufValue* find(std::string_view key) const;

  // T is std::uint64_t, std::int64_t, double, bool, std::string_view or GgufArray, converted as
  // GgufValue does. get(): kNotFound when the key is absent. get_optional(): nothing then. Both:
  // kCorruptData naming file, key, expected and found type when it holds something else.
  template <class T>
  Result<T> get(std::string_view key) const;
  template <class T>
  Result<std::optional<T>> get_optional(std::string_view key) const;

 private:
  std::string file_name_;
  std::vector<GgufEntry> entries_;
  std::vector<std::uint32_t> by_key_;
};

// What one file image holds. `tensors` and `metadata` point into the image.
struct GgufImage {
  std::uint32_t version = 0;
  std::uint64_t alignment = 0;
  GgufMetadata metadata;
  std::vector<TensorInfo> tensors;
  std::uint64_t data_offset = 0;  // From the beginning of the file.
};

// Limits that no file in circulation comes near; what exceeds them is refused before it costs
// memory or time.
inline constexpr std::uint64_t kGgufKeysMax = 65'536;
inline constexpr std::uint64_t kGgufTensorsMax = 65'536;
inline constexpr std::uint64_t kGgufHeaderBytesMax = 512ull << 20;
inline constexpr std::uint64_t kGgufKeyBytesMax = 65'535;  // The format's own limit.
inline constexpr std::uint64_t kGgufTensorNameBytesMax = 1'024;
inline constexpr std::uint64_t kGgufArrayDepthMax = 4;
inline constexpr std::uint64_t kGgufAlignmentMax = 65'536;

// Parses a whole file image, touching its header only. `name` is for messages.
Result<GgufImage> parse_gguf(std::span<const std::byte> image, const std::string& name);

// A GGUF file, or the first of the parts of a split one (`…-00001-of-00003.gguf`), whose siblings
// are opened with it; the metadata are the first part's.
class GgufFile final : public MappedTensors {
 public:
  static Result<std::unique_ptr<GgufFile>> open(const std::string& path);

  std::string_view format_name() const override;
  const GgufMetadata& metadata() const { return metadata_; }
  std::uint32_t version() const { return version_; }

 private:
  explicit GgufFile(const std::string& path) : MappedTensors(path) {}
  Status open_part(const std::string& path, std::uint64_t part, std::uint64_t num_parts);

  GgufMetadata metadata_;
  std::uint32_t version_ = 0;
};

}  // namespace millrace
