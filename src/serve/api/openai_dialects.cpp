// Chat completions and completions.
#include <algorithm>
#include <array>
#include <utility>

#include "serve/api/chat_messages.h"
#include "serve/api/dialects.h"
#include "serve/api/generation_fields.h"
#include "serve/api/response_format.h"

namespace millrace {
namespace {

// What OpenAI's completions generate when nothing is said.
constexpr std::size_t kCompletionTokensDefault = 16;

// vLLM's, beside the answer; -1 is its word for all of the vocabulary.
Status read_prompt_logprobs(const FieldReader& body, GenerationRequest& request) {
  const std::optional<std::uint64_t> count = TRY(body.count("prompt_logprobs", 0, kTopLogprobsMax));
  if (!count) return Ok{};
  const std::optional<bool> is_stream = TRY(body.flag("stream"));
  if (is_stream.value_or(false)) {
    return Error{ErrorCode::kUnsupported, "prompt_logprobs with stream is not supported"};
  }
  request.prompt_logprobs = static_cast<std::uint32_t>(*count);
  request.shows_prompt_logprobs = true;
  return Ok{};
}

Status read_chat_logprobs(const FieldReader& body, SamplingParams& sampling) {
  const std::optional<bool> wants = TRY(body.flag("logprobs"));
  const std::optional<std::uint64_t> top = TRY(body.count("top_logprobs", 0, kTopLogprobsMax));
  if (wants.value_or(false)) {
    sampling.top_logprobs = static_cast<std::uint32_t>(top.value_or(0));
  } else if (top.value_or(0) > 0) {
    return Error{ErrorCode::kInvalidArgument,
                 "top_logprobs is " + std::to_string(*top) + ", expected logprobs to be true"};
  }
  return Ok{};
}

Status read_reasoning(const FieldReader& body, GenerationRequest& request, OrderedJson& arguments) {
  const std::optional<std::string> effort = TRY(body.text("reasoning_effort", 64));
  if (effort) {
    const std::string checked = TRY(checked_effort(*effort, "reasoning_effort"));
    set_reasoning_effort(checked, arguments);
  }
  TRY(set_verbosity(body, arguments));
  const std::optional<bool> shows = TRY(body.flag("include_reasoning"));
  if (!shows.value_or(true)) request.reasoning = ReasoningOutput::kOmitted;
  const std::optional<bool> separate = TRY(body.flag("separate_reasoning"));
  if (!separate.value_or(true)) request.reasoning = ReasoningOutput::kInContent;
  const std::optional<std::string> format = TRY(body.text("reasoning_format", 64));
  if (!format) return Ok{};
  if (*format == "none") {
    request.reasoning = ReasoningOutput::kInContent;
  } else if (*format != "auto" && *format != "deepseek") {
    return unexpected("reasoning_format", *format, "auto, deepseek or none");
  }
  return Ok{};
}

}  // namespace

Result<std::string> checked_effort(const std::string& effort, const std::string& path) {
  constexpr std::array<std::string_view, 7> kEfforts{"none", "minimal", "low", "medium",
                                                     "high", "xhigh",   "max"};
  if (std::find(kEfforts.begin(), kEfforts.end(), effort) != kEfforts.end()) return effort;
  return unexpected(path, effort, "none, minimal, low, medium, high, xhigh or max");
}

Status read_template_fields(const FieldReader& body, ChatPrompt& prompt) {
  if (const OrderedJson* const arguments = body.find("chat_template_kwargs");
      arguments != nullptr) {
    if (!arguments->is_object()) {
      return unexpected("chat_template_kwargs", *arguments, "an object");
    }
    prompt.arguments = *arguments;
  }
  const OrderedJson* const documents = TRY(body.array("documents", ApiLimits{}.prompts_max));
  if (documents != nullptr) {
    for (std::size_t i = 0; i < documents->size(); ++i) {
      TRY(FieldReader::of((*documents)[i], body.path_of("documents", i)));
    }
    prompt.documents = *documents;
  }
  const std::optional<bool> continues = TRY(body.flag("continue_final_message"));
  prompt.continues_final_message = continues.value_or(false);
  const std::optional<bool> adds = TRY(body.flag("add_generation_prompt"));
  const bool adds_prompt = adds.value_or(!prompt.continues_final_message);
  if (prompt.continues_final_message && adds_prompt) {
    return Error{ErrorCode::kInvalidArgument,
                 "continue_final_message is true, expected add_generation_prompt to be false"};
  }
  if (prompt.continues_final_message && prompt.messages.back()["role"] != "assistant") {
    return Error{ErrorCode::kInvalidArgument,
                 "continue_final_message is true, expected the last of messages to be the "
                 "assistant's"};
  }
  prompt.generation_prompt = adds_prompt ? GenerationPrompt::kOn : GenerationPrompt::kOff;
  return Ok{};
}

Status read_chat(const FieldReader& body, const ApiLimits& limits, GenerationRequest& request) {
  ChatPrompt prompt;
  prompt.messages = TRY(chat_messages(body, limits));
  prompt.tools = TRY(chat_tools(body, limits));
  request.tool_choice = TRY(tool_choice(body, prompt.tools, NamePlace::kInFunction));
  if (request.tool_choice.mode == ToolChoice::Mode::kNone) prompt.tools = nullptr;
  const std::optional<bool> parallel = TRY(body.flag("parallel_tool_calls"));
  request.calls_in_parallel = parallel.value_or(true);
  TRY(read_template_fields(body, prompt));
  TRY(read_reasoning(body, request, prompt.arguments));
  request.prompt = std::move(prompt);
  TRY(read_chat_logprobs(body, request.sampling));
  TRY(read_prompt_logprobs(body, request));
  TRY(read_max_tokens(body, {"max_completion_tokens", "max_tokens"}, limits, request));
  TRY(read_stops(body, "stop", limits, request));
  request.format = TRY(response_format(body, limits));
  return Ok{};
}

Status read_completions(const FieldReader& body, const ApiLimits& limits,
                        GenerationRequest& request) {
  auto prompts = TRY(read_prompts(body, "prompt", limits));
  std::visit([&](auto&& each) { request.prompt = std::forward<decltype(each)>(each); },
             std::move(prompts));
  const std::optional<std::uint64_t> logprobs = TRY(body.count("logprobs", 0, kTopLogprobsMax));
  if (logprobs) request.sampling.top_logprobs = static_cast<std::uint32_t>(*logprobs);
  const std::optional<bool> echo = TRY(body.flag("echo"));
  request.echoes_prompt = echo.value_or(false);
  TRY(read_prompt_logprobs(body, request));
  if (request.echoes_prompt && logprobs) {
    request.prompt_logprobs =
        std::max(request.prompt_logprobs.value_or(0), *request.sampling.top_logprobs);
  }
  TRY(read_max_tokens(body, {"max_tokens", "max_completion_tokens"}, limits, request));
  if (!request.max_tokens) request.max_tokens = kCompletionTokensDefault;
  TRY(read_stops(body, "stop", limits, request));
  request.format = TRY(response_format(body, limits));
  request.reasoning = ReasoningOutput::kInContent;
  return Ok{};
}

}  // namespace millrace
