// The compiled form of TokenizerSpec::normalizers: text rewritten before it is cut into words.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "text/chars_map.h"
#include "text/regex.h"
#include "text/tokenizer_spec.h"

namespace millrace {

// Immutable; any thread, each with its own scratch.
class Normalizer {
 public:
  // Empty, as for a spec without steps: leaves every text as it is.
  Normalizer() = default;
  static Result<Normalizer> create(const std::vector<NormalizerStep>& steps);

  bool empty() const { return steps_.empty(); }

  // `text` is valid UTF-8 and so is the result. kTooLarge when the result outgrows what a text may
  // grow to.
  Result<std::string> apply(std::string_view text, RegexScratch& scratch) const;

 private:
  struct RegexReplace {
    Regex regex;
    std::string content;
  };
  struct LiteralReplace {
    std::string pattern;
    std::string content;
  };
  using Step = std::variant<PrependNormalizer, LiteralReplace, RegexReplace, UnicodeNormalizer,
                            LowercaseNormalizer, StripNormalizer, StripAccentsNormalizer,
                            SqueezeSpacesNormalizer, CharsMap, BertNormalizer, NmtNormalizer,
                            ByteLevelNormalizer>;

  static Result<Step> compile(const NormalizerStep& step);

  std::vector<Step> steps_;
};

}  // namespace millrace
