// The writer of GGUF files.
#include "formats/gguf_writer.h"

#include <set>

#include "base/checked.h"
#include "base/file.h"
#include "formats/gguf_tensor_types.h"
#include "formats/text_quote.h"

namespace millrace {
namespace {

constexpr std::uint32_t kMagic = 0x46554747;  // "GGUF"
constexpr std::uint32_t kVersion = 3;
constexpr std::uint64_t kAlignment = 32;
constexpr std::size_t kNameBytesMax = 63;  // GGML_MAX_NAME is 64, with the zero at the end.

template <class T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void put_string(std::string& out, std::string_view text) {
  put<std::uint64_t>(out, text.size());
  out += text;
}

class GgufWriter final : public WeightWriter {
 public:
  GgufWriter(FileWriter file, std::vector<TensorDeclaration> tensors,
             std::vector<std::uint64_t> tensor_bytes)
      : file_(std::move(file)), tensors_(std::move(tensors)), cursor_(std::move(tensor_bytes)) {}

  Status begin(std::string_view header) {
    TRY(file_.append(header));
    return align_and_skip_empty();
  }

  std::span<const TensorDeclaration> tensors() const override { return tensors_; }

  Status append(std::span<const std::byte> bytes) override {
    if (bytes.empty()) return Ok{};
    const bool is_whole = cursor_.advance(bytes.size());
    TRY(file_.append(bytes));
    if (!is_whole) return Ok{};
    cursor_.next();
    return align_and_skip_empty();
  }

  Status finish() override {
    CHECK(cursor_.at_end());
    return file_.finish();
  }

 private:
  Status align_and_skip_empty() {
    const std::uint64_t at = file_.num_bytes();
    TRY(file_.append_zeros(round_up(at, kAlignment) - at));
    while (!cursor_.at_end() && cursor_.num_missing() == 0) cursor_.next();
    return Ok{};
  }

  FileWriter file_;
  std::vector<TensorDeclaration> tensors_;
  TensorCursor cursor_;
};

Status check_keys(std::span<const std::string> keys, const std::string& path) {
  std::set<std::string_view> seen;
  for (const std::string& key : keys) {
    const auto wrong = [&](const std::string& what) {
      return Error{ErrorCode::kInvalidArgument,
                   "cannot write " + path + ": GGUF key " + in_quotes(key) + " " + what};
    };
    if (key.empty() || key.size() > kGgufKeyBytesMax)
      return wrong("has " + std::to_string(key.size()) + " bytes, expected 1 to " +
                   std::to_string(kGgufKeyBytesMax));
    if (!seen.insert(key).second) return wrong("is added twice");
    if (key == "general.alignment" || key.starts_with("split."))
      return wrong("is the writer's own affair");
  }
  return Ok{};
}

Status check_tensors(std::span<const TensorDeclaration> tensors, const std::string& path) {
  for (const TensorDeclaration& tensor : tensors) {
    const auto wrong = [&](const std::string& what) {
      return Error{ErrorCode::kInvalidArgument,
                   "cannot write " + path + ": tensor " + in_quotes(tensor.name) + " " + what};
    };
    if (tensor.name.size() > kNameBytesMax)
      return wrong("has a name of " + std::to_string(tensor.name.size()) +
                   " bytes, expected at most " + std::to_string(kNameBytesMax));
    if (gguf_tensor_type(tensor.dtype) == nullptr) {
      return wrong("is of type " + std::string(dtype_name(tensor.dtype)) + ", which GGUF lacks");
    }
  }
  return Ok{};
}

//   | name | rank | extents, innermost first | type | offset in the data |
void put_tensor(std::string& out, const TensorDeclaration& tensor, std::uint64_t offset) {
  put_string(out, tensor.name);
  const std::size_t rank = tensor.shape.rank();
  put<std::uint32_t>(out, rank == 0 ? 1u : static_cast<std::uint32_t>(rank));
  if (rank == 0) put<std::uint64_t>(out, 1);
  for (std::size_t i = rank; i-- > 0;) put<std::uint64_t>(out, tensor.shape[i]);
  put(out, gguf_tensor_type(tensor.dtype)->number);
  put(out, offset);
}

}  // namespace

void GgufMetadataBuilder::begin(const std::string& key, GgufType type) {
  keys_.push_back(key);
  put_string(encoded_, key);
  put(encoded_, static_cast<std::uint32_t>(type));
}

void GgufMetadataBuilder::begin_array(const std::string& key, GgufType element_type,
                                      std::uint64_t count) {
  begin(key, GgufType::kArray);
  put(encoded_, static_cast<std::uint32_t>(element_type));
  put(encoded_, count);
}

void GgufMetadataBuilder::add(const std::string& key, std::uint8_t value) {
  begin(key, GgufType::kU8);
  put(encoded_, value);
}
void GgufMetadataBuilder::add(const std::string& key, std::int8_t value) {
  begin(key, GgufType::kI8);
  put(encoded_, value);
}
void GgufMetadataBuilder::add(const std::string& key, std::uint16_t value) {
  begin(key, GgufType::kU16);
  put(encoded_, value);
}
void GgufMetadataBuilder::add(const std::string& key, std::int16_t value) {
  begin(key, GgufType::kI16);
  put(encoded_, value);
}
void GgufMetadataBuilder::add(const std::string& key, std::uint32_t value) {
  begin(key, GgufType::kU32);
  put(encoded_, value);
}
void GgufMetadataBuilder::add(const std::string& key, std::int32_t value) {
  begin(key, GgufType::kI32);
  put(encoded_, value);
}
void GgufMetadataBuilder::add(const std::string& key, std::uint64_t value) {
  begin(key, GgufType::kU64);
  put(encoded_, value);
}
void GgufMetadataBuilder::add(const std::string& key, std::int64_t value) {
  begin(key, GgufType::kI64);
  put(encoded_, value);
}
void GgufMetadataBuilder::add(const std::string& key, float value) {
  begin(key, GgufType::kF32);
  put(encoded_, value);
}
void GgufMetadataBuilder::add(const std::string& key, double value) {
  begin(key, GgufType::kF64);
  put(encoded_, value);
}
void GgufMetadataBuilder::add_bool(const std::string& key, bool value) {
  begin(key, GgufType::kBool);
  put<std::uint8_t>(encoded_, value ? 1 : 0);
}
void GgufMetadataBuilder::add_string(const std::string& key, std::string_view value) {
  begin(key, GgufType::kString);
  put_string(encoded_, value);
}

void GgufMetadataBuilder::add_strings(const std::string& key, std::span<const std::string> values) {
  begin_array(key, GgufType::kString, values.size());
  for (const std::string& value : values) put_string(encoded_, value);
}
void GgufMetadataBuilder::add_array(const std::string& key, std::span<const std::int32_t> values) {
  begin_array(key, GgufType::kI32, values.size());
  for (const std::int32_t value : values) put(encoded_, value);
}
void GgufMetadataBuilder::add_array(const std::string& key, std::span<const std::uint32_t> values) {
  begin_array(key, GgufType::kU32, values.size());
  for (const std::uint32_t value : values) put(encoded_, value);
}
void GgufMetadataBuilder::add_array(const std::string& key, std::span<const float> values) {
  begin_array(key, GgufType::kF32, values.size());
  for (const float value : values) put(encoded_, value);
}

void GgufMetadataBuilder::add(const std::string& key, const GgufValue& value) {
  begin(key, value.type);
  encoded_.append(reinterpret_cast<const char*>(value.payload.data()), value.payload.size());
}

Result<std::unique_ptr<WeightWriter>> create_gguf(const std::string& path,
                                                  const GgufMetadataBuilder& metadata,
                                                  std::vector<TensorDeclaration> tensors) {
  TRY(check_keys(metadata.keys(), path));
  TRY(check_tensors(tensors, path));
  std::vector<std::uint64_t> sizes = TRY(declared_bytes(tensors, path));
  if (tensors.size() > kGgufTensorsMax || metadata.keys().size() > kGgufKeysMax) {
    return Error{ErrorCode::kInvalidArgument,
                 "cannot write " + path + ": " + std::to_string(tensors.size()) + " tensors and " +
                     std::to_string(metadata.keys().size()) + " keys, expected at most " +
                     std::to_string(kGgufTensorsMax) + " and " + std::to_string(kGgufKeysMax)};
  }
  std::string header;
  put(header, kMagic);
  put(header, kVersion);
  put<std::uint64_t>(header, tensors.size());
  put<std::uint64_t>(header, metadata.keys().size());
  header += metadata.encoded();
  std::uint64_t offset = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    put_tensor(header, tensors[i], offset);
    offset = round_up(offset + sizes[i], kAlignment);  // declared_bytes() bounds the sum.
  }
  FileWriter file = TRY(FileWriter::create(path));
  auto writer = std::make_unique<GgufWriter>(std::move(file), std::move(tensors), std::move(sizes));
  TRY(writer->begin(header));
  return std::unique_ptr<WeightWriter>(std::move(writer));
}

}  // namespace millrace
