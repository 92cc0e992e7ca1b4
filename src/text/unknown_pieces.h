// What becomes of characters that a vocabulary lacks: bytes, an unknown token, or nothing.
#pragma once

#include <array>
#include <optional>
#include <string_view>
#include <vector>

#include "base/token_id.h"
#include "text/tokenizer_spec.h"

namespace millrace {

// Immutable. A vocabulary with neither byte pieces nor an unknown token drops such characters, as
// Hugging Face's tokenizers do.
class UnknownPieces {
 public:
  // One word's run of unknown characters.
  enum class Run : std::uint8_t { kOutside, kInside };

  explicit UnknownPieces(const TokenizerSpec& spec);

  // Whether characters that are no piece vanish without a trace.
  bool drops_all() const { return !unk_id_ && !byte_fallback_; }

  // The pieces of the bytes of a character, where all are there: appended to `ids`.
  bool append_bytes(std::string_view character, std::vector<TokenId>& ids) const;
  std::optional<TokenId> unk_id() const { return unk_id_; }
  bool falls_back() const { return byte_fallback_; }
  bool fuses() const { return fuse_; }

  // Appends what stands for one character that is no piece, and says whether an unknown token now
  // ends `ids` with which further unknown characters fuse.
  Run append(std::string_view character, Run run, std::vector<TokenId>& ids) const;

 private:
  bool has_all_bytes(std::string_view character) const;

  std::optional<TokenId> unk_id_;
  bool fuse_ = false;
  bool byte_fallback_ = false;
  std::array<std::optional<TokenId>, 256> byte_ids_;
};

}  // namespace millrace
