// Runs the decoder steps once over every token, when the vocabulary is compiled.
#include "text/token_decoder.h"

#include "text/byte_alphabet.h"
#include "text/utf8.h"

namespace millrace {
namespace {

enum class TokenPlace : std::uint8_t { kFirst, kLater };

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
    text = replace_all(std::move(text), step.pattern, step.content);
  }
  void operator()(const StripDecoder& step) const { strip_ends(text, step); }
  void operator()(const MetaspaceDecoder& step) const {
    const bool drop = place == TokenPlace::kFirst && step.prepend_scheme != PrependScheme::kNever;
    text = replace_all(std::move(text), step.replacement, drop ? "" : " ");
  }
  void operator()(const WordPieceDecoder& step) const {
    if (place == TokenPlace::kLater) {
      if (text.starts_with(step.prefix)) {
        text.erase(0, step.prefix.size());
      } else {
        text.insert(0, " ");
      }
    }
    if (step.cleanup) text = clean_up(std::move(text));
  }
  void operator()(const SpaceJoinDecoder&) const {
    if (place == TokenPlace::kLater) text.insert(0, " ");
  }
};

// Splits the steps into those for single tokens and those for the whole text.
struct Plan {
  std::vector<DecoderStep> token_steps;
  TokenDecoder::StripStart strip_start;
  bool first_differs = false;
};

Result<Plan> make_plan(const std::vector<DecoderStep>& steps) {
  Plan plan;
  bool fused = false;
  for (const DecoderStep& step : steps) {
    if (const auto* replace = std::get_if<ReplaceDecoder>(&step)) {
      if (replace->pattern.empty()) {
        return Error{ErrorCode::kUnsupported, "decoder Replace has an empty pattern"};
      }
    }
    const auto* strip = std::get_if<StripDecoder>(&step);
    if (strip != nullptr && strip->content.empty()) {
      return Error{ErrorCode::kCorruptData, "decoder Strip has no content"};
    }
    if (std::holds_alternative<FuseDecoder>(step)) {
      fused = true;
    } else if (!fused) {
      plan.token_steps.push_back(step);
      plan.first_differs = plan.first_differs || std::holds_alternative<MetaspaceDecoder>(step) ||
                           std::holds_alternative<WordPieceDecoder>(step) ||
                           std::holds_alternative<SpaceJoinDecoder>(step);
    } else if (strip != nullptr && strip->stop == 0 && plan.strip_start.count == 0) {
      plan.strip_start = {strip->content, strip->start};
    } else {
      return Error{ErrorCode::kUnsupported,
                   "a decoder after Fuse other than one Strip at the start is not supported"};
    }
  }
  return plan;
}

}  // namespace

Result<TokenDecoder> TokenDecoder::create(const TokenizerSpec& spec, const Normalizer& normalizer) {
  const Plan plan = TRY(make_plan(spec.decoders));
  std::vector<std::optional<std::string>> added(spec.pieces.size());
  RegexScratch scratch;
  for (const AddedToken& token : spec.added_tokens) {
    added[token.id] =
        token.normalized ? TRY(normalizer.apply(token.content, scratch)) : token.content;
  }
  TokenDecoder decoder;
  decoder.strip_start_ = plan.strip_start;
  decoder.has_first_ = plan.first_differs;
  const auto decode = [&](TokenId id, TokenPlace place) {
    std::string text = added[id].value_or(spec.pieces[id].text);
    for (const DecoderStep& step : plan.token_steps) {
      std::visit(DecodeToken{text, added[id].has_value(), place}, step);
    }
    return text;
  };
  for (TokenId id = 0; id < spec.pieces.size(); ++id) {
    decoder.bytes_.append(decode(id, TokenPlace::kLater));
    if (decoder.has_first_) decoder.first_bytes_.append(decode(id, TokenPlace::kFirst));
  }
  return decoder;
}

}  // namespace millrace
