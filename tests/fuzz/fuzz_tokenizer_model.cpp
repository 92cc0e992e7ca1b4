// Fuzzes tokenizer.model files of both kinds, SentencePiece and tiktoken, and what they encode.
#include "formats/tokenizer_sentencepiece.h"
#include "formats/tokenizer_tiktoken.h"
#include "fuzz_tokenizer_support.h"

namespace millrace {
namespace {

void fuzz_one(std::string_view input) {
  constexpr std::string_view kText = "Hello  w\xC3\xB6rld \xE2\x96\x81\xE4\xB8\xAD\xFF</s>";
  auto spec = looks_like_tiktoken(input) ? parse_tiktoken(input, "x", "llama-bpe")
                                         : parse_sentencepiece(input, "x");
  if (!spec.ok()) return;
  std::string text(kText);
  // Text that the vocabulary knows, too.
  for (const Piece& piece : spec.value().pieces) {
    if (text.size() < 512) text += piece.text.substr(0, 64);
  }
  use_spec(std::move(spec).value(), text);
}

}  // namespace
}  // namespace millrace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  millrace::fuzz_one({reinterpret_cast<const char*>(data), size});
  return 0;
}
