// Token bytes, less what is stripped off the start of a text, put together to characters.
#include "text/detokenizer.h"

#include "text/compiled_tokenizer.h"

namespace millrace {

Detokenizer::Detokenizer(Tokenizer tokenizer, DetokenizerOptions options)
    : tokenizer_(std::move(tokenizer)), options_(options) {
  start_over();
}

void Detokenizer::start_over() {
  at_first_token_ = options_.position == StreamPosition::kStart;
  const TokenDecoder::StripStart& strip = tokenizer_.compiled_->decoder.strip_start();
  num_to_strip_ = at_first_token_ ? strip.count : 0;
}

// Up to num_to_strip_ of one character go from the front; anything else ends the stripping. The
// characters that vocabularies strip are single bytes (a space) or come whole within one token.
std::string_view Detokenizer::strip_front(std::string_view bytes) {
  const TokenDecoder::StripStart& strip = tokenizer_.compiled_->decoder.strip_start();
  while (num_to_strip_ > 0 && bytes.starts_with(strip.character)) {
    bytes.remove_prefix(strip.character.size());
    --num_to_strip_;
  }
  if (!bytes.empty()) num_to_strip_ = 0;
  return bytes;
}

std::string Detokenizer::push(TokenId id) {
  const CompiledTokenizer& compiled = *tokenizer_.compiled_;
  std::string out;
  if (id >= compiled.decoder.num_tokens()) return out;
  if (options_.skip_special == SkipSpecial::kYes && compiled.is_special[id]) return out;
  const std::string_view bytes =
      at_first_token_ ? compiled.decoder.first_token_bytes(id) : compiled.decoder.token_bytes(id);
  at_first_token_ = false;
  assembler_.push(strip_front(bytes), out);
  return out;
}

std::string Detokenizer::flush() {
  std::string out;
  assembler_.flush(out);
  start_over();
  return out;
}

}  // namespace millrace
