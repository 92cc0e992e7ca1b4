// Fuzzes GGUF images: header, values of every kind, tensors.
#include "formats/gguf.h"
#include "fuzz_support.h"

namespace millrace {
namespace {

void use_value(const GgufValue& value) {
  static_cast<void>(value.as_unsigned());
  static_cast<void>(value.as_signed());
  static_cast<void>(value.as_float());
  static_cast<void>(value.as_bool());
  if (value.type == GgufType::kString) CHECK(value.as_string().has_value());
  const auto array = value.as_array();
  CHECK(array.has_value() == (value.type == GgufType::kArray));
  if (!array) return;
  static_cast<void>(array->unsigned_values().ok());
  static_cast<void>(array->float_values().ok());
  CHECK(array->element_type() != GgufType::kString || array->strings().ok());
  const auto values = array->values();
  CHECK(values.ok());
  CHECK(values.value().size() == array->size());
  for (const GgufValue& element : values.value()) use_value(element);
}

void fuzz_one(std::span<const std::byte> input) {
  const auto parsed = parse_gguf(input, "x");
  if (!parsed.ok()) return;
  const GgufMetadata& metadata = parsed.value().metadata;
  for (const GgufEntry& entry : metadata.entries()) {
    use_value(entry.value);
    CHECK(metadata.find(entry.key) == &entry.value);
    static_cast<void>(metadata.get<std::uint64_t>(entry.key).ok());
    static_cast<void>(metadata.get_optional<std::string_view>(entry.key).ok());
  }
  use_tensors(parsed.value().tensors);
}

}  // namespace
}  // namespace millrace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  millrace::fuzz_one(std::as_bytes(std::span(data, size)));
  return 0;
}
