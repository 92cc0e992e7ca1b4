// Recommended sampling, read.
#include "formats/gguf_sampling.h"

#include <array>
#include <charconv>

namespace millrace {
namespace {

// The shortest decimal that is this f32: 0.95 and not 0.949999988.
double shortest(float value) {
  std::array<char, 64> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  double number = double{value};
  std::from_chars(text.data(), end, number);
  return number;
}

}  // namespace

Result<Json> read_gguf_sampling(const GgufMetadata& metadata) {
  Json config;
  for (const GgufSamplingKey& key : kGgufSamplingKeys) {
    if (key.is_count) {
      const auto count = TRY(metadata.get_optional<std::int64_t>(key.gguf));
      if (count && *count >= 1) config[key.hugging_face] = *count;
      continue;
    }
    const auto number = TRY(metadata.get_optional<double>(key.gguf));
    if (number) config[key.hugging_face] = shortest(static_cast<float>(*number));
  }
  return config;
}

}  // namespace millrace
