// Fuzzes adapter_config.json: from any text to a LoraConfig or an error, and patterns on names.
#include <string_view>

#include "model/lora_config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kBytesMax = 4096;
  if (size > kBytesMax) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto config = millrace::parse_lora_config(text, "adapter_config.json");
  const auto pattern = millrace::NamePattern::parse(text.substr(0, 200));
  for (const std::string_view name :
       {"model.layers.0.self_attn.q_proj", "model.layers.31.mlp.down_proj", "lm_head", ""}) {
    if (pattern.ok()) static_cast<void>(pattern.value().matches_end(name));
    if (!config.ok()) continue;
    static_cast<void>(config.value().targets(name));
    static_cast<void>(config.value().scale_of(name));
  }
  return 0;
}
