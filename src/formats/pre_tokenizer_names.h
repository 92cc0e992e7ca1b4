// How a byte-level vocabulary cuts text into words, by the name that GGUF files give it.
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/tokenizer_spec.h"

namespace millrace {

// What `tokenizer.ggml.pre` implies.
struct NamedPreTokenizer {
  std::vector<NormalizerStep> normalizers;
  std::vector<PreTokenizerStep> steps;
  bool ignore_merges = false;
  bool add_bos = false;
  bool add_sep = false;  // Unless the file says otherwise.
};

// kUnsupported for a name that is not in the table.
Result<NamedPreTokenizer> find_pre_tokenizer(std::string_view name);

// Every name in the table.
std::vector<std::string_view> pre_tokenizer_names();

}  // namespace millrace
