// Runs the decoder steps once over every token, when the vocabulary is compiled.
#include "text/token_decoder.h"

#include <optional>
#include <utility>

#include "text/byte_alphabet.h"
#include "text/utf8.h"

namespace millrace {
namespace {

bool is_first(TokenPlace place) {
  return place == TokenPlace::kFirst || place == TokenPlace::kOnly;
}
bool is_last(TokenPlace place) {
  return place == TokenPlace::kLast || place == TokenPlace::kOnly;
}

std::string replace_all(std::string text, std::string_view pattern, std::string_view content) {
  for (std::size_t at = text.find(pattern); at != std::string::npos;
       at = text.find(pattern, at + content.size())) {
    text.replace(at, pattern.size(), content);
  }
  return text;
}

void strip_ends(std::string& text, const StripDecoder& step) {
  std::string_view rest = text;
  for (std::uint32_t i = 0; i < step.start && rest.starts_with(step.content); ++i) {
    rest.remove_prefix(step.content.size());
  }
  for (std::uint32_t i = 0; i < step.stop && rest.ends_with(step.content); ++i) {
    rest.remove_suffix(step.content.size());
  }
  text = std::string(rest);
}

// The clean-up of English punctuation that WordPiece decoders do.
std::string clean_up(std::string text) {
  constexpr std::pair<std::string_view, std::string_view> kRules[] = {
      {" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
      {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
      {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& [pattern, content] : kRules)
    text = replace_all(std::move(text), pattern, content);
  return text;
}

// A step with what it needs compiled.
struct TokenStep {
  DecoderStep step;
  std::optional<Normalizer> replace;  // A Replace of a regular expression.
};

// One token's text through the steps before Fuse.
struct DecodeToken {
  std::string& text;
  bool is_added;
  TokenPlace place;

  void operator()(const ByteLevelDecoder&) const {
    if (is_added) return;
    if (std::optional<std::string> bytes = alphabet_to_bytes(text)) text = std::move(*bytes);
  }
  void operator()(const ByteFallbackDecoder&) const {
    if (const std::optional<std::uint8_t> byte = parse_byte_piece(text)) {
      text.assign(1, static_cast<char>(*byte));
    }
  }
  void operator()(const FuseDecoder&) const {}
  void operator()(const ReplaceDecoder& step) const {
    text = replace_all(std::move(text), step.pattern.text, step.content);
  }
  void operator()(const StripDecoder& step) const { strip_ends(text, step); }
  void operator()(const MetaspaceDecoder& step) const {
    const bool drop = is_first(place) && step.prepend_scheme != PrependScheme::kNever;
    text = replace_all(std::move(text), step.replacement, drop ? "" : " ");
  }
  void operator()(const WordPieceDecoder& step) const {
    if (!is_first(place)) {
      if (text.starts_with(step.prefix)) {
        text.erase(0, step.prefix.size());
      } else {
        text.insert(0, " ");
      }
    }
    if (step.cleanup) text = clean_up(std::move(text));
  }
  void operator()(const BpeDecoder& step) const {
    text = replace_all(std::move(text), step.suffix, is_last(place) ? "" : " ");
  }
  void operator()(const CtcDecoder& step) const {
    text = replace_all(std::move(text), step.pad, "");
    if (step.cleanup) text = replace_all(clean_up(std::move(text)), step.word_delimiter, " ");
  }
  void operator()(const SpaceJoinDecoder&) const {
    if (!is_first(place)) text.insert(0, " ");
  }
};

// Splits the steps into those for single tokens and those for the whole text.
class Plan {
 public:
  static Result<Plan> make(const std::vector<DecoderStep>& steps) {
    Plan plan;
    for (const DecoderStep& step : steps) TRY(plan.add(step));
    return plan;
  }

  Result<std::string> decode(std::string text, bool is_added, TokenPlace place,
                             RegexScratch& scratch) const {
    for (const TokenStep& step : token_steps_) {
      if (!step.replace) {
        std::visit(DecodeToken{text, is_added, place}, step.step);
      } else if (!find_invalid_utf8(text)) {  // Lone bytes are no text yet.
        text = TRY(step.replace->apply(text, scratch));
      }
    }
    return text;
  }

  TokenDecoder::StripStart strip_start;
  bool first_differs = false;
  bool last_differs = false;
  bool drops_repeats = false;

 private:
  Status check(const DecoderStep& step) const {
    const auto* strip = std::get_if<StripDecoder>(&step);
    if (strip != nullptr && strip->content.empty()) {
      return Error{ErrorCode::kCorruptData, "decoder Strip has no content"};
    }
    std::string_view searched = "-";
    if (const auto* replace = std::get_if<ReplaceDecoder>(&step)) searched = replace->pattern.text;
    if (const auto* metaspace = std::get_if<MetaspaceDecoder>(&step)) {
      searched = metaspace->replacement;
    }
    if (const auto* bpe = std::get_if<BpeDecoder>(&step)) searched = bpe->suffix;
    if (const auto* ctc = std::get_if<CtcDecoder>(&step)) {
      searched = ctc->pad.empty() ? ctc->pad : ctc->word_delimiter;
    }
    if (searched.empty()) {
      return Error{ErrorCode::kUnsupported, "a decoder looks for an empty text"};
    }
    return Ok{};
  }

  Status add(const DecoderStep& step) {
    TRY(check(step));
    if (std::holds_alternative<FuseDecoder>(step)) {
      fused_ = true;
      return Ok{};
    }
    if (fused_) {
      const auto* strip = std::get_if<StripDecoder>(&step);
      if (strip == nullptr || strip->stop != 0 || strip_start.count != 0) {
        return Error{ErrorCode::kUnsupported,
                     "a decoder after Fuse or ByteLevel other than one Strip at the start is not "
                     "supported"};
      }
      strip_start = {strip->content, strip->start};
      return Ok{};
    }
    if (std::holds_alternative<CtcDecoder>(step)) {
      if (!token_steps_.empty()) {
        return Error{ErrorCode::kUnsupported, "decoder CTC after another is not supported"};
      }
      drops_repeats = true;
    }
    TokenStep token_step{step, std::nullopt};
    const auto* replace = std::get_if<ReplaceDecoder>(&step);
    if (replace != nullptr && replace->pattern.kind == Pattern::Kind::kRegex) {
      token_step.replace =
          TRY(Normalizer::create({ReplaceNormalizer{replace->pattern, replace->content}}));
    }
    token_steps_.push_back(std::move(token_step));
    first_differs = first_differs || std::holds_alternative<MetaspaceDecoder>(step) ||
                    std::holds_alternative<WordPieceDecoder>(step) ||
                    std::holds_alternative<SpaceJoinDecoder>(step);
    last_differs = last_differs || std::holds_alternative<BpeDecoder>(step);
    if (drops_repeats && (first_differs || last_differs)) {
      return Error{ErrorCode::kUnsupported,
                   "decoder CTC with one that treats the ends of a text differently is not "
                   "supported"};
    }
    fused_ = std::holds_alternative<ByteLevelDecoder>(step);  // It makes one string of all tokens.
    return Ok{};
  }

  std::vector<TokenStep> token_steps_;
  bool fused_ = false;
};

}  // namespace

Result<TokenDecoder> TokenDecoder::create(const TokenizerSpec& spec, const Normalizer& normalizer) {
  const Plan plan = TRY(Plan::make(spec.decoders));
  std::vector<std::optional<std::string>> added(spec.pieces.size());
  RegexScratch scratch;
  for (const AddedToken& token : spec.added_tokens) {
    const bool rewritten = token.normalized && !token.verbatim;
    added[token.id] = rewritten ? TRY(normalizer.apply(token.content, scratch)) : token.content;
  }
  TokenDecoder decoder;
  decoder.strip_start_ = plan.strip_start;
  decoder.drops_repeats_ = plan.drops_repeats;
  decoder.place_mask_ = (plan.first_differs ? kFirstBit : 0) | (plan.last_differs ? kLastBit : 0);
  for (std::size_t place = 0; place < decoder.bytes_.size(); ++place) {
    if ((place & decoder.place_mask_) != place) continue;
    for (TokenId id = 0; id < spec.pieces.size(); ++id) {
      decoder.bytes_[place].append(
          TRY(plan.decode(added[id].value_or(spec.pieces[id].text), added[id].has_value(),
                          static_cast<TokenPlace>(place), scratch)));
    }
  }
  return decoder;
}

}  // namespace millrace
