// Normalisers, pre-tokenisers and decoders as tokenizer.json has them: the mirror image of
// tokenizer_json_steps.cpp.
#pragma once

#include <vector>

#include "base/json.h"
#include "text/tokenizer_spec.h"

namespace millrace {

// Null for no step, an object for one, a Sequence for more. Two lists of steps are the same exactly
// when their JSON is.
OrderedJson normalizers_json(const std::vector<NormalizerStep>& steps);
OrderedJson pre_tokenizers_json(const std::vector<PreTokenizerStep>& steps);
OrderedJson decoders_json(const std::vector<DecoderStep>& steps);

}  // namespace millrace
