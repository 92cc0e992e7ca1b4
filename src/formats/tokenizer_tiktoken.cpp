// Ranks are ids and the order of merges at once.
#include "formats/tokenizer_tiktoken.h"

#include <array>
#include <charconv>

#include "formats/base64.h"
#include "formats/pre_tokenizer_names.h"
#include "formats/text_quote.h"
#include "formats/tokenizer_json.h"
#include "text/byte_alphabet.h"

namespace millrace {
namespace {

constexpr std::size_t kLlama3Pieces = 128'000;
constexpr std::size_t kLlama3SpecialTokens = 256;

struct Line {
  std::string bytes;
  std::uint64_t rank = 0;
};

std::optional<Line> parse_line(std::string_view text) {
  const std::size_t space = text.find(' ');
  if (space == std::string_view::npos || space == 0) return std::nullopt;
  std::optional<std::string> bytes = decode_base64(text.substr(0, space));
  const std::string_view number = text.substr(space + 1);
  Line line;
  const auto [end, error] =
      std::from_chars(number.data(), number.data() + number.size(), line.rank);
  if (!bytes || bytes->empty() || error != std::errc() || end != number.data() + number.size()) {
    return std::nullopt;
  }
  line.bytes = std::move(*bytes);
  return line;
}

std::string_view take_line(std::string_view& rest) {
  const std::size_t end = rest.find('\n');
  std::string_view line = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// The special tokens of Llama 3.1, which kept every id of Llama 3 that had a use.
void add_llama3_special_tokens(TokenizerSpec& spec) {
  constexpr std::array<std::string_view, 11> kNamed = {"<|begin_of_text|>",
                                                       "<|end_of_text|>",
                                                       "<|reserved_special_token_0|>",
                                                       "<|reserved_special_token_1|>",
                                                       "<|finetune_right_pad_id|>",
                                                       "<|reserved_special_token_2|>",
                                                       "<|start_header_id|>",
                                                       "<|end_header_id|>",
                                                       "<|eom_id|>",
                                                       "<|eot_id|>",
                                                       "<|python_tag|>"};
  constexpr std::size_t kFirstReserved = 3;  // The number of the first one after the named.
  for (std::size_t i = 0; i < kLlama3SpecialTokens; ++i) {
    const std::string content = i < kNamed.size()
                                    ? std::string(kNamed[i])
                                    : "<|reserved_special_token_" +
                                          std::to_string(i - kNamed.size() + kFirstReserved) + "|>";
    const auto id = static_cast<TokenId>(spec.pieces.size());
    spec.pieces.push_back({.text = content, .score = 0, .type = PieceType::kControl});
    spec.added_tokens.push_back({.id = id, .content = content, .special = true});
  }
  spec.bos_id = static_cast<TokenId>(kLlama3Pieces);
  spec.eos_id = static_cast<TokenId>(kLlama3Pieces + 1);
}

}  // namespace

bool looks_like_tiktoken(std::string_view bytes) {
  constexpr std::size_t kFirstLineBytesMax = 1024;
  std::string_view rest = bytes.substr(0, kFirstLineBytesMax);
  return parse_line(take_line(rest)).has_value();
}

Result<TokenizerSpec> parse_tiktoken(std::string_view bytes, const std::string& name,
                                     std::string_view pre_tokenizer) {
  TokenizerSpec spec;
  std::size_t num_lines = 0;
  while (!bytes.empty()) {
    const std::string_view text = take_line(bytes);
    ++num_lines;
    if (text.empty()) continue;
    const std::optional<Line> line = parse_line(text);
    if (!line || line->rank != spec.pieces.size()) {
      return Error{ErrorCode::kCorruptData, name + ": line " + std::to_string(num_lines) + " is " +
                                                in_quotes(text) + "; expected base64 and rank " +
                                                std::to_string(spec.pieces.size())};
    }
    spec.pieces.push_back({.text = bytes_to_alphabet(line->bytes)});
  }
  NamedPreTokenizer named = TRY(find_pre_tokenizer(pre_tokenizer));
  spec.normalizers = std::move(named.normalizers);
  spec.pre_tokenizers = std::move(named.steps);
  spec.decoders = {ByteLevelDecoder{}};
  spec.merge_source = MergeSource::kPieceRank;
  spec.ignore_merges = true;
  if (pre_tokenizer == "llama-bpe" && spec.pieces.size() == kLlama3Pieces) {
    add_llama3_special_tokens(spec);
  }
  set_text_ends({.add_bos = named.add_bos}, spec);
  add_known_end_tokens(spec);
  return spec;
}

}  // namespace millrace
