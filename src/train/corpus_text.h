// The texts of a corpus file one after another, without a tokenizer.
#pragma once

#include <string>
#include <string_view>

#include "base/function_ref.h"
#include "base/result.h"

namespace millrace {

// Calls `take` with valid UTF-8, at most about a megabyte at a time: a text file in pieces that end
// in line breaks, or, of a .jsonl file, every "text" and the content of every message. kCorruptData
// names file and line.
Status for_each_text(const std::string& path, FunctionRef<Status(std::string_view)> take);

}  // namespace millrace
