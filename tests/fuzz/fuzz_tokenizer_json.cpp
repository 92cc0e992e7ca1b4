// Fuzzes tokenizer.json: the file up to the first NUL, then a text to encode and decode with it.
#include "formats/tokenizer_json.h"
#include "fuzz_tokenizer_support.h"

namespace millrace {
namespace {

constexpr std::size_t kTextBytesMax = 256;

void fuzz_one(std::string_view input) {
  const std::size_t end = input.find('\0');
  const std::string_view text = end == std::string_view::npos ? "" : input.substr(end + 1);
  const auto json = parse_json(input.substr(0, end), "x");
  if (!json.ok()) return;
  auto spec = parse_tokenizer_json(json.value(), "x");
  if (!spec.ok()) return;
  // The other file of the folder may say anything too.
  static_cast<void>(apply_tokenizer_config(json.value(), "x", spec.value()).ok());
  use_spec(std::move(spec).value(), text.substr(0, kTextBytesMax));
}

}  // namespace
}  // namespace millrace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  millrace::fuzz_one({reinterpret_cast<const char*>(data), size});
  return 0;
}
