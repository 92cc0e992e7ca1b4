// Token bytes, less what is stripped off the start of a text, put together to characters.
#include "text/detokenizer.h"

#include <algorithm>

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
  previous_.reset();
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

void Detokenizer::emit(std::string_view bytes, std::string& out) {
  assembler_.push(strip_front(bytes), out);
}

// The rest of the token that was held, now that its place is known.
void Detokenizer::emit_held(TokenPlace place, std::string& out) {
  const auto first_bit =
      static_cast<unsigned>(held_->was_first ? TokenPlace::kFirst : TokenPlace::kMiddle);
  const auto full_place = static_cast<TokenPlace>(static_cast<unsigned>(place) | first_bit);
  const std::string_view bytes = tokenizer_.compiled_->decoder.token_bytes(held_->id, full_place);
  emit(bytes.substr(held_->num_emitted), out);
  held_.reset();
}

std::string Detokenizer::push(TokenId id) {
  const CompiledTokenizer& compiled = *tokenizer_.compiled_;
  const TokenDecoder& decoder = compiled.decoder;
  std::string out;
  if (id >= decoder.num_tokens()) return out;
  if (options_.skip_special == SkipSpecial::kYes && compiled.is_special[id]) return out;
  if (decoder.drops_repeats()) {
    if (previous_ == id) return out;
    previous_ = id;
  }
  if (held_) emit_held(TokenPlace::kMiddle, out);
  const TokenPlace place = at_first_token_ ? TokenPlace::kFirst : TokenPlace::kMiddle;
  const std::string_view bytes = decoder.token_bytes(id, place);
  if (!decoder.last_differs()) {
    emit(bytes, out);
  } else {
    const std::string_view last =
        decoder.token_bytes(id, at_first_token_ ? TokenPlace::kOnly : TokenPlace::kLast);
    const auto differ = std::mismatch(bytes.begin(), bytes.end(), last.begin(), last.end());
    held_ = {id, at_first_token_, static_cast<std::size_t>(differ.first - bytes.begin())};
    emit(bytes.substr(0, held_->num_emitted), out);
  }
  at_first_token_ = false;
  return out;
}

std::string Detokenizer::flush() {
  std::string out;
  if (held_) emit_held(TokenPlace::kLast, out);
  assembler_.flush(out);
  start_over();
  return out;
}

}  // namespace millrace
