// Fuzzes config.json: from any text to a ModelSpec or an error.
#include <string_view>

#include "base/json.h"
#include "formats/quantization_config.h"
#include "model/read_spec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto config = millrace::parse_json(text, "config.json", {.bytes_max = 1 << 20});
  if (!config.ok()) return 0;
  static_cast<void>(millrace::spec_from_config(config.value(), nullptr, "config.json").ok());
  static_cast<void>(
      millrace::spec_from_config({{"model_type", "llama"}}, config.value(), "config.json").ok());
  static_cast<void>(
      millrace::read_quantization_config({{"quantization_config", config.value()}}, "config.json")
          .ok());
  return 0;
}
