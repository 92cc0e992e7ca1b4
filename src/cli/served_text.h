// What the configuration says about a model's texts, over what the model brings itself.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/sampling_params.h"
#include "serve/config/server_config.h"
#include "serve/service/model_service.h"

namespace millrace {

// Of the model's own files.
struct OwnText {
  std::optional<std::string> chat_template;
  SamplingParams sampling;
};

// What a reload may change of a model, with what its files held when they were read.
struct TextChoice {
  std::optional<std::string> chat_template;  // the source; absent: the model's own
  std::string tool_parser;
  std::string reasoning_parser;
  OverlongPrompt overlong_prompt = OverlongPrompt::kRefuse;
  MessageSpecials special_tokens = MessageSpecials::kText;
  EmbeddingPooling pooling = EmbeddingPooling::kMean;
  SamplingDefaults sampling;
  std::vector<HookConfig> hooks;  // for this model

  bool operator==(const TextChoice&) const = default;
};

// kNotFound where the template's file is not there.
Result<TextChoice> text_choice(const ModelConfig& model, const std::vector<HookConfig>& hooks);

// Puts the choice into the facts. kInvalidArgument for a pattern that cannot be used; the facts are
// then half changed.
Status take_choice(const TextChoice& choice, const OwnText& own, ModelFacts& facts);

}  // namespace millrace
