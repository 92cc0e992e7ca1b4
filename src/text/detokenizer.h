// A stream of ids to text, never emitting part of a character.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/token_id.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace millrace {

enum class TokenPlace : std::uint8_t;

// Whether the stream begins a text or goes on after one that was there before. Vocabularies that
// mark words by a leading space drop it at the start of a text, and only there.
enum class StreamPosition : std::uint8_t { kStart, kContinuation };

struct DetokenizerOptions {
  SkipSpecial skip_special = SkipSpecial::kYes;
  StreamPosition position = StreamPosition::kStart;
};

// One sequence's stream; one thread at a time. Always true: what push() returned so far plus
// flush() equals Tokenizer::decode of the ids pushed, and every returned string is valid UTF-8.
// Bytes that cannot become a character are U+FFFD, one for each maximal ill-formed part.
class Detokenizer {
 public:
  explicit Detokenizer(Tokenizer tokenizer, DetokenizerOptions options = {});

  // The text that this id completes; often empty. An id that the vocabulary lacks adds nothing
  // (models have more rows than their vocabulary has tokens).
  std::string push(TokenId id);

  // The end of the stream: what was held back. The object then starts over.
  std::string flush();

 private:
  void start_over();
  std::string_view strip_front(std::string_view bytes);
  void emit(std::string_view bytes, std::string& out);
  void emit_held(TokenPlace place, std::string& out);

  Tokenizer tokenizer_;
  DetokenizerOptions options_;
  bool at_first_token_ = true;
  std::uint32_t num_to_strip_ = 0;  // Characters that may still go from the start of the text.
  // The token before, where that it may be the last matters: what it begins with wherever it is has
  // been emitted.
  struct Held {
    TokenId id = 0;
    bool was_first = false;
    std::size_t num_emitted = 0;
  };
  std::optional<Held> held_;
  std::optional<TokenId> previous_;  // Where a token that follows itself is dropped.
  Utf8Assembler assembler_;
};

}  // namespace millrace
