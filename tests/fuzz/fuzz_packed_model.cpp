// Fuzzes packed models: whole images, and the sections of one below checksums that fit.
#include <algorithm>
#include <string>

#include "formats/packed_model.h"
#include "formats/tokenizer_archive.h"
#include "fuzz_support.h"
#include "kernels/packed_matrix.h"
#include "model/required_tensors.h"
#include "model/spec_archive.h"
#include "text/tokenizer.h"

namespace millrace {
namespace {

// Sizes of all that the spec asks for, as loading works them out.
void use_spec(const ModelSpec& spec) {
  constexpr std::size_t kTensorsMax = 20'000;
  std::size_t num_tensors = 0;
  for (const LayerSpec& layer : spec.layers) {
    num_tensors += 16 + 3 * layer.feed_forward.num_experts + 2 * layer.attention.num_heads;
  }
  if (num_tensors > kTensorsMax) return;  // Slow, not wrong.
  for (const RequiredTensor& tensor : required_tensors(spec)) {
    if (!tensor.is_matrix()) continue;
    static_cast<void>(packed_bytes(WeightFormat::kInt4, tensor.shape[0], tensor.shape[1]).ok());
  }
}

}  // namespace
}  // namespace millrace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  const auto input = std::as_bytes(std::span(data, size));
  static_cast<void>(parse_packed_model(input, "x").ok());
  if (input.empty()) return 0;
  if (std::to_integer<unsigned>(input.front()) % 2 == 0) {
    const auto spec = read_spec_archive(input.subspan(1), "x");
    if (!spec.ok()) return 0;
    const std::string again = write_spec_archive(spec.value());
    CHECK(read_spec_archive(std::as_bytes(std::span(again)), "x").ok());
    use_spec(spec.value());
  } else {
    const auto spec = read_tokenizer_archive(input.subspan(1), "x");
    if (spec.ok()) static_cast<void>(Tokenizer::create(spec.value()).ok());
  }
  return 0;
}
