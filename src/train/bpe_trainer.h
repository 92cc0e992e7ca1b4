// Byte-level BPE learned from text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "text/pre_tokenizer.h"
#include "text/tokenizer_spec.h"

namespace millrace {

// Words as Qwen 2 cuts them: letters, single digits, punctuation, white space. Single digits keep
// numbers readable to a small model: one token is one digit, wherever it stands.
inline constexpr const char* kWordPattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|)"
    R"(\s*[\r\n]+|\s+(?!\S)|\s+)";

struct BpeOptions {
  std::size_t vocabulary = 8192;  // special tokens and the 256 bytes included
  std::uint64_t pair_count_min = 2;
  std::string word_pattern = kWordPattern;
  // The first ids, in order. The first one is eos; a text's prefix has none.
  std::vector<std::string> special_tokens = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
};

// Counts words, then merges the most frequent pair of neighbours again and again. Sennrich, Haddow
// & Birch 2016, arXiv:1508.07909, alg. 1, on bytes as in GPT-2. Of equally frequent pairs the one
// with the lower ids is first, as in Hugging Face's tokenizers, so that both learn the same merges.
// Learning costs O(total length of distinct words · log) and each merge only the words it is in.
// One thread.
class BpeTrainer {
 public:
  // kUnsupported when the pattern cannot be compiled, kInvalidArgument when the vocabulary has no
  // room for bytes and special tokens.
  static Result<BpeTrainer> create(BpeOptions options);

  // Valid UTF-8. Words longer than kWordBytesMax say nothing about language and are left out.
  static constexpr std::size_t kWordBytesMax = 512;
  Status add(std::string_view text);
  std::uint64_t num_bytes() const { return num_bytes_; }
  std::size_t num_words() const { return words_.size(); }

  // A vocabulary that encodes any text and decodes it byte for byte. Smaller than asked for when
  // pairs run out. The chat template is the caller's.
  TokenizerSpec train() const;

 private:
  BpeTrainer(BpeOptions options, PreTokenizer pre_tokenizer)
      : options_(std::move(options)), pre_tokenizer_(std::move(pre_tokenizer)) {}

  BpeOptions options_;
  PreTokenizer pre_tokenizer_;
  std::unique_ptr<RegexScratch> scratch_ = std::make_unique<RegexScratch>();
  WordCut cut_;
  std::unordered_map<std::string, std::uint64_t> words_;
  std::uint64_t num_bytes_ = 0;
};

}  // namespace millrace
