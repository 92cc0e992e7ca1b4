// SentencePiece marks spaces by U+2581 and falls back to bytes where the vocabulary has them.
#include "formats/sentencepiece_rules.h"

#include <algorithm>

namespace millrace {

void apply_sentencepiece_rules(const SentencePieceRules& rules, TokenizerSpec& spec) {
  const std::string marker = "\xE2\x96\x81";
  if (!rules.chars_map.empty()) {
    CharsMapNormalizer map{.bytes = rules.chars_map};
    for (const AddedToken& token : spec.added_tokens) {
      if (token.verbatim) map.kept.push_back(token.content);
    }
    spec.normalizers.emplace_back(std::move(map));
  }
  if (rules.squeeze_spaces) spec.normalizers.emplace_back(SqueezeSpacesNormalizer{});
  if (rules.add_space_prefix) spec.normalizers.emplace_back(PrependNormalizer{marker});
  ReplaceNormalizer mark_spaces;
  mark_spaces.pattern.text = " ";
  mark_spaces.content = marker;
  spec.normalizers.emplace_back(std::move(mark_spaces));
  spec.decoders = {ReplaceDecoder{{Pattern::Kind::kLiteral, marker}, " "}, ByteFallbackDecoder{},
                   FuseDecoder{}};
  if (rules.add_space_prefix) spec.decoders.emplace_back(StripDecoder{.content = " ", .start = 1});
  spec.fuse_unk = true;
  spec.byte_fallback = std::any_of(spec.pieces.begin(), spec.pieces.end(), [](const Piece& piece) {
    return piece.type == PieceType::kByte;
  });
}

void add_tokens_by_type(UserDefinedPlace place, TokenizerSpec& spec) {
  for (TokenId id = 0; id < spec.pieces.size(); ++id) {
    const Piece& piece = spec.pieces[id];
    const bool special = piece.type == PieceType::kControl || piece.type == PieceType::kUnknown;
    if ((!special && piece.type != PieceType::kUserDefined) || piece.text.empty()) continue;
    const bool late = !special && place == UserDefinedPlace::kNormalizedText;
    spec.added_tokens.push_back({.id = id,
                                 .content = piece.text,
                                 .special = special,
                                 .normalized = late,
                                 .verbatim = late});
  }
}

}  // namespace millrace
