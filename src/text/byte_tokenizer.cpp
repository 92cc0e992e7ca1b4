// A vocabulary of bytes.
#include "text/byte_tokenizer.h"

#include "text/byte_alphabet.h"

namespace millrace {

TokenizerSpec byte_tokenizer_spec() {
  TokenizerSpec spec;
  for (int byte = 0; byte < 256; ++byte) {
    spec.pieces.push_back({.text = bytes_to_alphabet(std::string(1, static_cast<char>(byte)))});
  }
  for (const char* text : {"<s>", "</s>"}) {
    const auto id = static_cast<TokenId>(spec.pieces.size());
    spec.pieces.push_back({.text = text, .score = 0, .type = PieceType::kControl});
    spec.added_tokens.push_back({.id = id, .content = text, .special = true});
  }
  spec.pre_tokenizers.emplace_back(ByteLevelPreTokenizer{});
  spec.decoders.emplace_back(ByteLevelDecoder{});
  spec.bos_id = kByteTokenizerBos;
  spec.eos_id = kByteTokenizerEos;
  spec.end_of_generation_ids = {kByteTokenizerEos};
  return spec;
}

}  // namespace millrace
