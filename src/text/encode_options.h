// How a text is encoded and ids are decoded.
#pragma once

#include <cstdint>
#include <string_view>

namespace millrace {

// Whether encode wraps the text in what the vocabulary's template asks for (bos, eos).
enum class AddSpecial : std::uint8_t { kNo, kYes };
// Whether the text of a special token becomes that token. Off for untrusted text: "<|im_end|>" in
// a user's message is then encoded as the characters it is made of.
enum class ParseSpecial : std::uint8_t { kNo, kYes };
enum class SkipSpecial : std::uint8_t { kNo, kYes };

struct EncodeOptions {
  AddSpecial add_special = AddSpecial::kYes;
  ParseSpecial parse_special = ParseSpecial::kNo;
  // A character before special tokens' texts that are only texts, where the others are parsed; see
  // Tokenizer::mark_special. It is no part of the text. Empty: there is none.
  std::string_view plain_mark = {};
};

struct DecodeOptions {
  SkipSpecial skip_special = SkipSpecial::kYes;
};

}  // namespace millrace
