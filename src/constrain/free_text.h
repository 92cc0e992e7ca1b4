// Text that may be anything until a trigger is written.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "constrain/grammar.h"

namespace millrace {

struct FreeTextTrigger {
  std::string bytes;  // what ends the text; of a special token, its encoding
  ExprId behind = 0;  // what comes then
};

enum class FreeTextEnd { kWithTrigger, kGoesOn };

// UTF-8 text without any of the triggers; or such text, the first trigger, and what comes behind
// it, after which free text goes on or not.
Result<ExprId> free_text(Grammar& grammar, const std::vector<FreeTextTrigger>& triggers,
                         FreeTextEnd end);

}  // namespace millrace
