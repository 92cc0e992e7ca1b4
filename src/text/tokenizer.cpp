// Compiles a TokenizerSpec and runs its stages: added tokens, normaliser, pre-tokeniser, model.
#include "text/tokenizer.h"

#include <algorithm>

#include "base/check.h"
#include "text/compiled_tokenizer.h"
#include "text/detokenizer.h"
#include "text/utf8.h"

namespace millrace {

Tokenizer::Tokenizer(std::shared_ptr<const CompiledTokenizer> compiled)
    : compiled_(std::move(compiled)) {}

Result<Tokenizer> Tokenizer::create(TokenizerSpec spec) {
  return Tokenizer(TRY(compile_tokenizer(spec)));
}

namespace {

// The stages of one encode call and the memory they share.
class Encoding {
 public:
  Encoding(const CompiledTokenizer& tokenizer, const EncodeOptions& options)
      : tokenizer_(tokenizer),
        parse_special_(options.parse_special),
        plain_mark_(options.plain_mark) {}

  Status append_text(std::string_view text) {
    std::vector<TextSection> sections;
    tokenizer_.raw_added_tokens.cut(text, parse_special_, sections, plain_mark_);
    for (const TextSection& section : sections) {
      if (section.token) {
        append_token(*section.token);
      } else {
        TRY(append_raw(section.text));
      }
    }
    return Ok{};
  }

  std::vector<TokenId> ids;

 private:
  void append_token(TokenId id) {
    ids.push_back(id);
    place_ = SectionPlace::kLater;
  }

  Status append_raw(std::string_view text) {
    // Marks are of use only where tokens are still to be found.
    if (has_marks(text) && tokenizer_.normalized_added_tokens.empty()) {
      const std::string plain = without_marks(text);
      return plain.empty() ? Status(Ok{}) : append_raw(plain);
    }
    if (tokenizer_.normalizer.empty()) return append_normalized(text);
    const std::string normalized = TRY(tokenizer_.normalizer.apply(text, regex_scratch_));
    return append_normalized(normalized);
  }

  Status append_normalized(std::string_view text) {
    if (tokenizer_.normalized_added_tokens.empty()) return append_words(text);
    std::vector<TextSection> sections;
    tokenizer_.normalized_added_tokens.cut(text, parse_special_, sections, plain_mark_);
    for (const TextSection& section : sections) {
      if (section.token) {
        append_token(*section.token);
      } else if (has_marks(section.text)) {
        const std::string plain = without_marks(section.text);
        if (!plain.empty()) TRY(append_words(plain));
      } else {
        TRY(append_words(section.text));
      }
    }
    return Ok{};
  }

  bool has_marks(std::string_view text) const {
    return !plain_mark_.empty() && text.find(plain_mark_) != std::string_view::npos;
  }
  std::string without_marks(std::string_view text) const {
    std::string plain;
    for (std::size_t at = text.find(plain_mark_); at != std::string_view::npos;
         at = text.find(plain_mark_)) {
      plain += text.substr(0, at);
      text.remove_prefix(at + plain_mark_.size());
    }
    return plain += text;
  }

  Status append_words(std::string_view text) {
    TRY(tokenizer_.pre_tokenizer.cut(text, place_, regex_scratch_, cut_));
    place_ = SectionPlace::kLater;
    for (const ByteRange word : cut_.words) {
      tokenizer_.model->encode(cut_.text.substr(word.begin, word.end - word.begin), model_scratch_,
                               ids);
    }
    return Ok{};
  }

  const CompiledTokenizer& tokenizer_;
  ParseSpecial parse_special_;
  std::string_view plain_mark_;
  SectionPlace place_ = SectionPlace::kFirst;
  RegexScratch regex_scratch_;
  ModelScratch model_scratch_;
  WordCut cut_;
};

}  // namespace

Result<std::vector<TokenId>> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  if (text.size() > kTextBytesMax) {
    return Error{ErrorCode::kTooLarge, "text of " + std::to_string(text.size()) +
                                           " bytes exceeds " + std::to_string(kTextBytesMax)};
  }
  std::string repaired;
  if (find_invalid_utf8(text)) {
    repaired = repair_utf8(text);
    text = repaired;
  }
  Encoding encoding(*compiled_, options);
  const bool add_special = options.add_special == AddSpecial::kYes;
  if (add_special) encoding.ids = compiled_->prefix_ids;
  TRY(encoding.append_text(text));
  if (add_special) {
    encoding.ids.insert(encoding.ids.end(), compiled_->suffix_ids.begin(),
                        compiled_->suffix_ids.end());
  }
  return std::move(encoding.ids);
}

std::string Tokenizer::mark_special(std::string_view text, std::string_view mark) const {
  std::string marked;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (compiled_->special_texts.begins_special(text.substr(i))) marked += mark;
    marked += text[i];
  }
  return marked;
}

bool Tokenizer::has_special(std::string_view text) const {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (compiled_->special_texts.begins_special(text.substr(i))) return true;
  }
  return false;
}

Result<std::string> Tokenizer::decode(std::span<const TokenId> ids, DecodeOptions options) const {
  Detokenizer stream(*this, {.skip_special = options.skip_special});
  std::string text;
  for (const TokenId id : ids) {
    if (id >= num_tokens()) {
      return Error{ErrorCode::kInvalidArgument, "token id " + std::to_string(id) +
                                                    " exceeds the vocabulary of " +
                                                    std::to_string(num_tokens()) + " tokens"};
    }
    text += stream.push(id);
  }
  return text + stream.flush();
}

std::size_t Tokenizer::num_tokens() const {
  return compiled_->decoder.num_tokens();
}

std::string_view Tokenizer::piece(TokenId id) const {
  return id < num_tokens() ? compiled_->decoder.token_bytes(id) : std::string_view();
}

std::optional<TokenId> Tokenizer::find_token(std::string_view content) const {
  return compiled_->ids_by_text.find(content);
}

bool Tokenizer::is_special(TokenId id) const {
  return id < num_tokens() && compiled_->is_special[id];
}

std::optional<TokenId> Tokenizer::bos_id() const {
  return compiled_->bos_id;
}
std::optional<TokenId> Tokenizer::eos_id() const {
  return compiled_->eos_id;
}
std::optional<TokenId> Tokenizer::unk_id() const {
  return compiled_->unk_id;
}

std::span<const TokenId> Tokenizer::end_of_generation_ids() const {
  return compiled_->end_of_generation_ids;
}

bool Tokenizer::is_end_of_generation(TokenId id) const {
  const std::vector<TokenId>& ids = compiled_->end_of_generation_ids;
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

}  // namespace millrace
