// Files of text and of conversations, read as token ids.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"
#include "train/token_data.h"

namespace millrace {

// A name that ends in .jsonl holds one JSON object per line: {"text": …}, or {"messages": […]} as
// chat models take them. Anything else is text.
struct CorpusFile {
  std::string path;
  double weight = 1.0;    // how often it is read in an epoch; 2.5: twice, and half of it once more
  std::string separator;  // between the documents of a text; empty: the file is one
};

// Borrowed for the call. Without a chat template conversations are refused.
struct CorpusText {
  const Tokenizer* tokenizer = nullptr;
  const ChatTemplate* chat_template = nullptr;
  std::optional<std::string> bos_text, eos_text;
};

// Every document ends in the tokeniser's eos. Of conversations only what the assistant says is
// learned, the token that ends it included. kCorruptData names file and line.
Result<TokenData> read_corpus(const CorpusFile& file, const CorpusText& text);

}  // namespace millrace
