// The table of fields. Names are those of OpenAI's and Anthropic's references and, for extensions,
// of vLLM and llama.cpp.
#include "serve/api/request_fields.h"

#include <algorithm>
#include <array>
#include <string>

#include "base/check.h"
#include "serve/api/api_error.h"

namespace millrace {
namespace {

enum class Rule : std::uint8_t {
  kRead,     // part of the request
  kIgnored,  // says nothing about the answer
  kRefused,  // would change the answer, and we do not have it
};

using Surfaces = std::uint8_t;
constexpr Surfaces bit(RequestSurface surface) {
  return static_cast<Surfaces>(1u << static_cast<unsigned>(surface));
}
constexpr Surfaces kChat = bit(RequestSurface::kChat);
constexpr Surfaces kText = bit(RequestSurface::kCompletions);
constexpr Surfaces kResponses = bit(RequestSurface::kResponses);
constexpr Surfaces kMessages = bit(RequestSurface::kMessages);
constexpr Surfaces kEmbeddings = bit(RequestSurface::kEmbeddings);
constexpr Surfaces kTokenize = bit(RequestSurface::kTokenize);
constexpr Surfaces kDetokenize = bit(RequestSurface::kDetokenize);
constexpr Surfaces kGenerate = kChat | kText | kResponses | kMessages;
constexpr Surfaces kEverywhere = kGenerate | kEmbeddings | kTokenize | kDetokenize;

struct Field {
  std::string_view name;
  Surfaces surfaces;
  Rule rule = Rule::kRead;
  std::string_view neutral = "null";  // of what is refused: the value that asks for nothing
};

constexpr Field kFields[] = {
    {"model", kEverywhere},
    {"user", kEverywhere},
    // What is asked.
    {"messages", kChat | kMessages | kTokenize},
    {"prompt", kText | kTokenize},
    {"input", kResponses | kEmbeddings},
    {"instructions", kResponses},
    {"system", kMessages},
    {"content", kTokenize},
    {"text", kResponses},
    {"tokens", kDetokenize},
    {"tools", kChat | kResponses | kMessages | kTokenize},
    {"tool_choice", kChat | kResponses | kMessages},
    {"parallel_tool_calls", kChat | kResponses},
    {"documents", kChat | kTokenize},
    {"chat_template_kwargs", kChat | kResponses | kMessages | kTokenize},
    {"add_generation_prompt", kChat | kTokenize},
    {"continue_final_message", kChat | kTokenize},
    {"add_special_tokens", kText | kTokenize},
    {"add_special", kTokenize},
    {"parse_special", kTokenize},
    {"with_pieces", kTokenize},
    {"return_token_strs", kTokenize},
    {"truncate_prompt_tokens", kGenerate | kEmbeddings},
    {"truncation", kResponses},
    {"echo", kText},
    // How tokens are drawn.
    {"temperature", kGenerate},
    {"top_p", kGenerate},
    {"top_k", kGenerate},
    {"min_p", kGenerate},
    {"repetition_penalty", kGenerate},
    {"presence_penalty", kGenerate},
    {"frequency_penalty", kGenerate},
    {"logit_bias", kChat | kText},
    {"seed", kGenerate},
    {"logprobs", kChat | kText},
    {"prompt_logprobs", kChat | kText},
    {"top_logprobs", kChat | kResponses},
    {"include", kResponses},
    // How many, and when to stop.
    {"n", kChat | kText},
    {"best_of", kText},
    {"max_tokens", kChat | kText | kMessages},
    {"max_completion_tokens", kChat | kText},
    {"max_output_tokens", kResponses},
    {"min_tokens", kGenerate},
    {"stop", kChat | kText},
    {"stop_sequences", kMessages},
    {"stop_token_ids", kGenerate},
    {"ignore_eos", kGenerate},
    {"include_stop_str_in_output", kChat | kText},
    {"skip_special_tokens", kGenerate},
    // What the answer looks like.
    {"stream", kGenerate},
    {"stream_options", kChat | kText | kResponses},
    {"response_format", kChat | kText},
    {"structured_outputs", kChat | kText},
    {"guided_json", kChat | kText},
    {"guided_regex", kChat | kText},
    {"guided_grammar", kChat | kText},
    {"guided_choice", kChat | kText},
    {"grammar", kChat | kText},
    {"json_schema", kChat | kText},
    {"output_config", kMessages},
    {"output_format", kMessages},
    {"reasoning_effort", kChat},
    {"verbosity", kChat},
    {"reasoning", kResponses},
    {"thinking", kMessages},
    {"include_reasoning", kChat},
    {"separate_reasoning", kChat},
    {"reasoning_format", kChat},
    {"encoding_format", kEmbeddings},
    {"dimensions", kEmbeddings},
    // Who asks, and how urgently.
    {"priority", kGenerate | kEmbeddings},
    {"cache_salt", kGenerate | kEmbeddings},
    {"timeout", kGenerate | kEmbeddings},
    {"metadata", kGenerate},

    // Harmless: nothing that a client can see depends on them.
    {"service_tier", kGenerate, Rule::kIgnored},
    {"request_id", kGenerate | kEmbeddings, Rule::kIgnored},
    {"session_id", kGenerate, Rule::kIgnored},
    {"safety_identifier", kGenerate, Rule::kIgnored},
    {"prompt_cache_key", kGenerate, Rule::kIgnored},
    {"prompt_cache_retention", kGenerate, Rule::kIgnored},
    {"cache_prompt", kChat | kText, Rule::kIgnored},
    {"prompt_cache_options", kChat | kResponses, Rule::kIgnored},
    {"cache_control", kMessages, Rule::kIgnored},
    {"inference_geo", kMessages, Rule::kIgnored},
    {"user_profile_id", kMessages, Rule::kIgnored},
    {"workspace_id", kMessages, Rule::kIgnored},
    {"access_programs", kResponses, Rule::kIgnored},
    {"max_tool_calls", kResponses, Rule::kRefused},
    {"spaces_between_special_tokens", kGenerate, Rule::kIgnored},
    {"return_progress", kChat | kText, Rule::kIgnored},
    {"timings_per_token", kChat | kText, Rule::kIgnored},
    {"guided_decoding_backend", kChat | kText, Rule::kIgnored},

    // Known, and not here.
    {"store", kChat | kResponses, Rule::kRefused, "false"},
    {"previous_response_id", kResponses, Rule::kRefused},
    {"conversation", kResponses, Rule::kRefused},
    {"background", kResponses, Rule::kRefused, "false"},
    {"background_options", kResponses, Rule::kRefused},
    {"image", kResponses, Rule::kRefused},
    {"moderation", kResponses, Rule::kRefused},
    {"prompt", kResponses, Rule::kRefused},
    {"context_management", kResponses | kMessages, Rule::kRefused},
    {"container", kMessages, Rule::kRefused},
    {"diagnostics", kMessages, Rule::kRefused},
    {"speed", kMessages, Rule::kRefused, "\"standard\""},
    {"mcp_servers", kMessages, Rule::kRefused, "[]"},
    {"suffix", kText, Rule::kRefused, "\"\""},
    {"audio", kChat, Rule::kRefused},
    {"modalities", kChat, Rule::kRefused, "[\"text\"]"},
    {"prediction", kChat, Rule::kRefused},
    {"web_search_options", kChat, Rule::kRefused},
    {"moderation", kChat, Rule::kRefused},
    {"functions", kChat, Rule::kRefused},
    {"function_call", kChat, Rule::kRefused},
    {"use_beam_search", kChat | kText, Rule::kRefused, "false"},
    {"length_penalty", kChat | kText, Rule::kRefused, "1.0"},
    {"early_stopping", kChat | kText, Rule::kRefused, "false"},
    {"truncation_side", kGenerate, Rule::kRefused, "\"left\""},
    {"logprob_token_ids", kChat | kText, Rule::kRefused},
    {"allowed_token_ids", kChat | kText, Rule::kRefused},
    {"bad_words", kChat | kText, Rule::kRefused, "[]"},
    {"chat_template", kChat | kTokenize, Rule::kRefused},
    {"guided_whitespace_pattern", kChat | kText, Rule::kRefused},
    {"return_tokens_as_token_ids", kChat | kText, Rule::kRefused, "false"},
    {"return_token_ids", kChat | kText, Rule::kRefused, "false"},
    {"return_token_offsets", kChat | kText, Rule::kRefused, "false"},
    {"kv_transfer_params", kChat | kText, Rule::kRefused},
    {"vllm_xargs", kChat | kText, Rule::kRefused},
    {"mm_processor_kwargs", kChat, Rule::kRefused},
    {"repetition_detection", kChat | kText, Rule::kRefused},
    {"thinking_token_budget", kChat, Rule::kRefused},
    {"stream_interval", kChat | kText, Rule::kRefused, "1"},
    {"prompt_embeds", kText, Rule::kRefused},
    {"typical_p", kChat | kText, Rule::kRefused, "1.0"},
    {"tfs_z", kChat | kText, Rule::kRefused, "1.0"},
    {"top_a", kChat | kText, Rule::kRefused, "0"},
    {"top_n_sigma", kChat | kText, Rule::kRefused, "-1"},
    {"mirostat", kChat | kText, Rule::kRefused, "0"},
    {"dry_multiplier", kChat | kText, Rule::kRefused, "0"},
    {"xtc_probability", kChat | kText, Rule::kRefused, "0"},
    {"dynatemp_range", kChat | kText, Rule::kRefused, "0"},
    {"samplers", kChat | kText, Rule::kRefused},
    {"n_predict", kChat | kText, Rule::kRefused},
    {"id_slot", kChat | kText, Rule::kRefused, "-1"},
    {"n_probs", kChat | kText, Rule::kRefused, "0"},
};

const Field* find_field(std::string_view name, Surfaces surfaces) {
  const auto* const end = std::end(kFields);
  const auto* const found = std::find_if(std::begin(kFields), end, [&](const Field& field) {
    return field.name == name && (field.surfaces & surfaces) != 0;
  });
  return found == end ? nullptr : found;
}

bool asks_for_nothing(const OrderedJson& value, std::string_view neutral) {
  if (value.is_null()) return true;
  return value == MUST(parse_ordered_json(neutral, "neutral value"));  // A literal of the table.
}

// A name from outside, fit for a message.
std::string shown(std::string_view name) {
  constexpr std::size_t kShownBytesMax = 64;
  if (name.size() <= kShownBytesMax) return std::string(name);
  return std::string(name.substr(0, kShownBytesMax)) + "…";
}

}  // namespace

std::string_view surface_path(RequestSurface surface) {
  constexpr std::array<std::string_view, 7> kPaths{
      "/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages",
      "/v1/embeddings",       "/tokenize",       "/detokenize",
  };
  return kPaths[static_cast<std::size_t>(surface)];
}

bool is_request_field(std::string_view name) {
  return find_field(name, kEverywhere) != nullptr;
}

Status check_fields(const OrderedJson& body, RequestSurface surface) {
  CHECK(body.is_object());
  for (const auto& [name, value] : body.items()) {
    const Field* const field = find_field(name, bit(surface));
    if (field == nullptr) {
      return Error{ErrorCode::kInvalidArgument,
                   shown(name) + std::string(kNoField) + std::string(surface_path(surface))};
    }
    if (field->rule == Rule::kRefused && !asks_for_nothing(value, field->neutral)) {
      return Error{ErrorCode::kUnsupported,
                   shown(name) + " is not supported by " + std::string(surface_path(surface))};
    }
  }
  return Ok{};
}

}  // namespace millrace
