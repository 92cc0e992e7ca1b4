// Byte pieces first, the unknown token second.
#include "text/unknown_pieces.h"

#include <algorithm>

#include "text/byte_alphabet.h"

namespace millrace {

UnknownPieces::UnknownPieces(const TokenizerSpec& spec)
    : unk_id_(spec.unk_id), fuse_(spec.fuse_unk), byte_fallback_(spec.byte_fallback) {
  if (!byte_fallback_) return;
  for (TokenId id = 0; id < spec.pieces.size(); ++id) {
    const Piece& piece = spec.pieces[id];
    if (piece.type != PieceType::kNormal && piece.type != PieceType::kByte) continue;
    const std::optional<std::uint8_t> byte = parse_byte_piece(piece.text);
    if (byte && !byte_ids_[*byte]) byte_ids_[*byte] = id;
  }
}

bool UnknownPieces::has_all_bytes(std::string_view character) const {
  return std::all_of(character.begin(), character.end(), [this](char c) {
    return byte_ids_[static_cast<std::uint8_t>(c)].has_value();
  });
}

bool UnknownPieces::append_bytes(std::string_view character, std::vector<TokenId>& ids) const {
  if (!byte_fallback_ || !has_all_bytes(character)) return false;
  for (const char c : character) ids.push_back(*byte_ids_[static_cast<std::uint8_t>(c)]);
  return true;
}

UnknownPieces::Run UnknownPieces::append(std::string_view character, Run run,
                                         std::vector<TokenId>& ids) const {
  if (append_bytes(character, ids)) return Run::kOutside;
  if (!unk_id_) return Run::kOutside;
  if (run == Run::kOutside || !fuse_) ids.push_back(*unk_id_);
  return Run::kInside;
}

}  // namespace millrace
