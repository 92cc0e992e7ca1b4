// The operator's word goes before the model's.
#include "cli/served_text.h"

#include <algorithm>

#include "cli/template_choice.h"

namespace millrace {
namespace {

template <class To, class From>
void set_if(const std::optional<From>& from, To& to) {
  if (from) to = static_cast<To>(*from);
}

SamplingParams sampling_of(const SamplingDefaults& defaults, SamplingParams sampling) {
  set_if(defaults.temperature, sampling.temperature);
  set_if(defaults.top_p, sampling.top_p);
  if (defaults.top_k) sampling.top_k = static_cast<std::uint32_t>(*defaults.top_k);
  set_if(defaults.min_p, sampling.min_p);
  set_if(defaults.repetition_penalty, sampling.repetition_penalty);
  set_if(defaults.presence_penalty, sampling.presence_penalty);
  set_if(defaults.frequency_penalty, sampling.frequency_penalty);
  return sampling;
}

Result<TextHook> hook_of(const HookConfig& hook) {
  switch (hook.kind) {
    case HookKind::kTrim:
      return TextHook{.kind = TextHook::Kind::kTrim};
    case HookKind::kTidyJson:
      return TextHook{.kind = TextHook::Kind::kTidyJson};
    case HookKind::kRedact:
      break;
  }
  return redact_hook(hook.pattern, hook.replacement);
}

}  // namespace

Result<TextChoice> text_choice(const ModelConfig& model, const std::vector<HookConfig>& hooks) {
  TextChoice choice{.chat_template = std::nullopt,
                    .tool_parser = model.tool_parser,
                    .reasoning_parser = model.reasoning_parser,
                    .overlong_prompt = model.overlong_prompt,
                    .special_tokens = model.special_tokens_in_messages,
                    .pooling = model.pooling,
                    .sampling = model.sampling,
                    .hooks = {}};
  if (!model.chat_template.empty()) {
    choice.chat_template = TRY(read_template_file(model.chat_template));
  }
  for (const HookConfig& hook : hooks) {
    const auto& names = hook.models;
    const bool is_for_all = names.empty();
    if (is_for_all || std::count(names.begin(), names.end(), model.name) > 0) {
      choice.hooks.push_back(hook);
    }
  }
  return choice;
}

Status take_choice(const TextChoice& choice, const OwnText& own, ModelFacts& facts) {
  facts.chat_template = choice.chat_template ? choice.chat_template : own.chat_template;
  facts.sampling = sampling_of(choice.sampling, own.sampling);
  facts.max_tokens.reset();
  if (choice.sampling.max_tokens) facts.max_tokens = *choice.sampling.max_tokens;
  facts.pooling = choice.pooling == EmbeddingPooling::kMean ? Pooling::kMean : Pooling::kLast;
  facts.tool_parser = choice.tool_parser;
  facts.reasoning_parser = choice.reasoning_parser;
  facts.truncates_prompts = choice.overlong_prompt == OverlongPrompt::kTruncateLeft;
  facts.parses_special_in_messages = choice.special_tokens == MessageSpecials::kTokens;
  facts.hooks.clear();
  for (const HookConfig& hook : choice.hooks) facts.hooks.push_back(TRY(hook_of(hook)));
  return Ok{};
}

}  // namespace millrace
