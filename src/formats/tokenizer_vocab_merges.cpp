// Reuses the reader of tokenizer.json: the pair of files is its model, split in two.
#include "formats/tokenizer_vocab_merges.h"

#include "formats/pre_tokenizer_names.h"
#include "formats/tokenizer_json.h"

namespace millrace {

Result<TokenizerSpec> parse_vocab_merges(const Json& vocabulary, std::string_view merges,
                                         const std::string& name, std::string_view pre_tokenizer) {
  Json list = Json::array();
  bool is_first = true;
  while (!merges.empty()) {
    const std::size_t end = merges.find('\n');
    std::string_view line = merges.substr(0, end);
    merges.remove_prefix(end == std::string_view::npos ? merges.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    const bool is_header = is_first && line.starts_with("#version");
    is_first = false;
    if (!line.empty() && !is_header) list.push_back(std::string(line));
  }
  const Json model = {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", std::move(list)}};
  TokenizerSpec spec = TRY(parse_tokenizer_json({{"model", model}}, name));
  NamedPreTokenizer named = TRY(find_pre_tokenizer(pre_tokenizer));
  spec.normalizers = std::move(named.normalizers);
  spec.pre_tokenizers = std::move(named.steps);
  spec.ignore_merges = named.ignore_merges;
  spec.decoders = {ByteLevelDecoder{}};
  return spec;
}

}  // namespace millrace
