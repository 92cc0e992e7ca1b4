// Fuzzes safetensors images and the index over shards.
#include <string>

#include "formats/safetensors.h"
#include "fuzz_support.h"

namespace millrace {
namespace {

// The first byte chooses what the rest is: an image, a header with data whose length is written for
// it (so that mutations of the header reach its parser), or an index.
void fuzz_one(std::span<const std::byte> input) {
  if (input.empty()) return;
  const auto choice = std::to_integer<unsigned>(input[0]) % 3;
  const std::string text(as_text(input.subspan(1)));
  if (choice == 0) {
    const auto parsed = parse_safetensors(input.subspan(1), "x");
    if (parsed.ok()) use_tensors(parsed.value().tensors);
  } else if (choice == 1) {
    const std::uint64_t header_bytes = std::min(text.size(), text.rfind('}')) + 1;
    std::string image(sizeof(header_bytes), '\0');
    for (std::size_t i = 0; i < sizeof(header_bytes); ++i)
      image[i] = static_cast<char>(header_bytes >> (8 * i));
    image += text;
    const auto parsed =
        parse_safetensors(std::as_bytes(std::span<const char>(image.data(), image.size())), "x");
    if (parsed.ok()) use_tensors(parsed.value().tensors);
  } else {
    const auto parsed = parse_safetensors_index(text, "x");
    if (!parsed.ok()) return;
    for (const auto& [tensor, file] : parsed.value()) CHECK(file.find('/') == std::string::npos);
  }
}

}  // namespace
}  // namespace millrace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  millrace::fuzz_one(std::as_bytes(std::span(data, size)));
  return 0;
}
