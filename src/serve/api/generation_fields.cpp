// Ranges of the shared fields, and what their absence means.
#include "serve/api/generation_fields.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <utility>

#include "text/stop_matcher.h"

namespace millrace {
namespace {

constexpr std::size_t kUserBytesMax = 512;
constexpr std::size_t kSaltBytesMax = 512;
constexpr std::size_t kPromptTokensMax = std::size_t{1} << 26;
constexpr std::size_t kStopTokensMax = kStopIdsMax / 2;  // The model's own come on top.

Status read_float(const FieldReader& body, const char* name, float& to) {
  const std::optional<double> value = TRY(body.number(name));
  if (value) to = static_cast<float>(*value);
  return Ok{};
}

Status read_flag(const FieldReader& body, const char* name, bool& to) {
  const std::optional<bool> value = TRY(body.flag(name));
  if (value) to = *value;
  return Ok{};
}

// 0 and -1 mean "all" in vLLM and llama.cpp.
Status read_top_k(const FieldReader& body, SamplingParams& sampling) {
  const OrderedJson* const value = body.find("top_k");
  if (value == nullptr) return Ok{};
  if (*value == -1 || *value == 0) {
    sampling.top_k = std::nullopt;
    return Ok{};
  }
  const std::optional<std::uint64_t> top_k =
      TRY(body.count("top_k", 1, std::numeric_limits<std::uint32_t>::max()));
  sampling.top_k = static_cast<std::uint32_t>(*top_k);
  return Ok{};
}

// Any 64 bits; a negative number stands for its two's complement.
Status read_seed(const FieldReader& body, SamplingParams& sampling) {
  const OrderedJson* const value = body.find("seed");
  if (value == nullptr) return Ok{};
  if (!value->is_number_integer()) return unexpected("seed", *value, "a whole number of 64 bits");
  sampling.seed = value->is_number_unsigned()
                      ? value->get<std::uint64_t>()
                      : static_cast<std::uint64_t>(value->get<std::int64_t>());
  return Ok{};
}

Status read_logit_bias(const FieldReader& body, SamplingParams& sampling) {
  const OrderedJson* const value = body.find("logit_bias");
  if (value == nullptr) return Ok{};
  if (!value->is_object()) {
    return unexpected("logit_bias", *value, "an object of token ids and biases");
  }
  if (value->size() > kLogitBiasesMax) {
    return too_many("logit_bias", value->size(), kLogitBiasesMax, "entries");
  }
  for (const auto& [key, bias] : value->items()) {
    TokenId token = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), token);
    if (error != std::errc() || end != key.data() + key.size()) {
      return Error{ErrorCode::kInvalidArgument,
                   "logit_bias has the key " +
                       OrderedJson(key.substr(0, 32))
                           .dump(-1, ' ', true, OrderedJson::error_handler_t::replace) +
                       ", expected a token id"};
    }
    if (!bias.is_number()) return unexpected("logit_bias." + key, bias, "a number");
    sampling.logit_bias.push_back({token, bias.get<float>()});
  }
  return Ok{};
}

// A number of tokens to keep; -1 (vLLM) and truncation "auto" (OpenAI): as many as fit.
Status read_truncation(const FieldReader& body, GenerationRequest& request) {
  const std::optional<std::string> truncation = TRY(body.text("truncation", 64));
  if (truncation && *truncation != "auto" && *truncation != "disabled") {
    return unexpected("truncation", *truncation, "auto or disabled");
  }
  const OrderedJson* const given = body.find("truncate_prompt_tokens");
  request.truncates_prompt = truncation == "auto" || (given != nullptr && *given == -1);
  if (given != nullptr && *given == -1) return Ok{};
  request.truncate_prompt_tokens = TRY(body.count("truncate_prompt_tokens", 1, kPromptTokensMax));
  return Ok{};
}

Result<TokenPrompts> token_prompts(const FieldReader& body, const char* name,
                                   const OrderedJson& value) {
  TokenPrompts prompts;
  if (value[0].is_number()) {
    std::vector<TokenId> only = TRY(body.tokens(name, kPromptTokensMax));
    prompts.push_back(std::move(only));
    return prompts;
  }
  for (std::size_t i = 0; i < value.size(); ++i) {
    const std::string path = body.path_of(name, i);
    if (!value[i].is_array()) return unexpected(path, value[i], "an array of token ids");
    if (value[i].empty()) return unexpected(path, value[i], "at least one token id");
    std::vector<TokenId>& prompt = prompts.emplace_back();
    prompt.reserve(value[i].size());
    for (std::size_t j = 0; j < value[i].size(); ++j) {
      const TokenId id = TRY(token_id(value[i][j], path));
      prompt.push_back(id);
    }
  }
  return prompts;
}

}  // namespace

Status read_sampling(const FieldReader& body, SamplingParams& sampling) {
  TRY(read_float(body, "temperature", sampling.temperature));
  TRY(read_float(body, "top_p", sampling.top_p));
  TRY(read_float(body, "min_p", sampling.min_p));
  TRY(read_float(body, "repetition_penalty", sampling.repetition_penalty));
  TRY(read_float(body, "presence_penalty", sampling.presence_penalty));
  TRY(read_float(body, "frequency_penalty", sampling.frequency_penalty));
  TRY(read_top_k(body, sampling));
  TRY(read_seed(body, sampling));
  TRY(read_logit_bias(body, sampling));
  // Ids are held against the model's vocabulary by the engine.
  return check_sampling(sampling, std::numeric_limits<std::size_t>::max());
}

Status read_common(const FieldReader& body, const ApiLimits& limits, GenerationRequest& request) {
  std::optional<std::string> model = TRY(body.text("model", kUserBytesMax));
  request.model = std::move(model).value_or("");
  const std::optional<std::uint64_t> min_tokens =
      TRY(body.count("min_tokens", 0, limits.max_tokens_max));
  request.min_tokens = min_tokens.value_or(0);
  if (request.max_tokens && request.min_tokens > *request.max_tokens) {
    return Error{ErrorCode::kInvalidArgument, "min_tokens is " +
                                                  std::to_string(request.min_tokens) +
                                                  ", expected at most max_tokens, which is " +
                                                  std::to_string(*request.max_tokens)};
  }
  request.stop_ids = TRY(body.tokens("stop_token_ids", kStopTokensMax));
  TRY(read_flag(body, "ignore_eos", request.ignores_eos));
  TRY(read_flag(body, "include_stop_str_in_output", request.shows_stop));
  TRY(read_flag(body, "skip_special_tokens", request.skips_special_tokens));
  TRY(read_flag(body, "add_special_tokens", request.adds_special_tokens));
  TRY(read_truncation(body, request));
  TRY(read_flag(body, "stream", request.is_stream));
  request.class_name = TRY(read_class_name(body));
  request.cache_salt = TRY(body.text("cache_salt", kSaltBytesMax));
  request.timeout = TRY(read_timeout(body, limits));
  std::optional<std::string> user = TRY(body.text("user", kUserBytesMax));
  request.user = std::move(user).value_or("");
  if (const OrderedJson* const metadata = body.find("metadata"); metadata != nullptr) {
    if (!metadata->is_object()) return unexpected("metadata", *metadata, "an object");
    request.metadata = *metadata;
  }
  return Ok{};
}

Status read_stops(const FieldReader& body, const char* name, const ApiLimits& limits,
                  GenerationRequest& request) {
  std::vector<std::string> stops = TRY(body.texts(
      name, std::min(limits.stop_strings_max, StopMatcher::kStopsMax), StopMatcher::kStopBytesMax));
  std::size_t num_bytes = 0;
  for (std::size_t i = 0; i < stops.size(); ++i) {
    if (stops[i].empty()) {
      return unexpected(body.path_of(name, i), "", "at least one character");
    }
    num_bytes += stops[i].size();
  }
  if (num_bytes > StopMatcher::kTotalBytesMax) {
    return too_many(name, num_bytes, StopMatcher::kTotalBytesMax, "bytes");
  }
  request.stops = std::move(stops);
  return Ok{};
}

Status read_max_tokens(const FieldReader& body, std::initializer_list<const char*> names,
                       const ApiLimits& limits, GenerationRequest& request) {
  // Who asks about the prompt may want no more than that.
  const std::uint64_t least = request.echoes_prompt || request.prompt_logprobs ? 0 : 1;
  for (const char* const name : names) {
    const std::optional<std::uint64_t> value = TRY(body.count(name, least, limits.max_tokens_max));
    if (!value || request.max_tokens) continue;
    request.generates = *value > 0;
    request.max_tokens = std::max<std::size_t>(*value, 1);
  }
  return Ok{};
}

Result<std::optional<Duration>> read_timeout(const FieldReader& body, const ApiLimits& limits) {
  const std::optional<double> value = TRY(body.number("timeout"));
  if (!value) return std::optional<Duration>();
  if (!(*value > 0 && *value <= static_cast<double>(limits.timeout_max.count()))) {
    return unexpected("timeout", *value,
                      "seconds above 0 and at most " + std::to_string(limits.timeout_max.count()));
  }
  return std::optional<Duration>(
      std::chrono::duration_cast<Duration>(std::chrono::duration<double>(*value)));
}

Result<std::optional<std::string>> read_class_name(const FieldReader& body) {
  const OrderedJson* const value = body.find("priority");
  if (value != nullptr && !value->is_string()) {
    return unexpected("priority", *value, "the name of a service class");
  }
  return body.text("priority", 64);
}

Result<std::variant<TextPrompts, TokenPrompts>> read_prompts(const FieldReader& body,
                                                             const char* name,
                                                             const ApiLimits& limits) {
  using Prompts = std::variant<TextPrompts, TokenPrompts>;
  constexpr const char* kExpected = "a string, an array of strings or an array of token ids";
  const OrderedJson* const value = body.find(name);
  if (value == nullptr) return missing(name, kExpected);
  if (value->is_string()) return Prompts(TextPrompts{value->get<std::string>()});
  if (!value->is_array() || value->empty()) return unexpected(name, *value, kExpected);
  const bool is_one_prompt_of_ids = (*value)[0].is_number();
  if (!is_one_prompt_of_ids && value->size() > limits.prompts_max) {
    return too_many(name, value->size(), limits.prompts_max, "prompts");
  }
  if ((*value)[0].is_string()) {
    TextPrompts texts = TRY(body.texts(name, limits.prompts_max, SIZE_MAX));
    return Prompts(std::move(texts));
  }
  if (!is_one_prompt_of_ids && !(*value)[0].is_array()) {
    return unexpected(body.path_of(name, 0), (*value)[0], "a string or token ids");
  }
  TokenPrompts prompts = TRY(token_prompts(body, name, *value));
  return Prompts(std::move(prompts));
}

void set_thinking(Thinking thinking, OrderedJson& arguments) {
  for (const char* const name : {"enable_thinking", "thinking"}) {
    if (!arguments.contains(name)) arguments[name] = thinking == Thinking::kOn;
  }
}

Status set_verbosity(const FieldReader& reader, OrderedJson& arguments) {
  const std::optional<std::string> verbosity = TRY(reader.text("verbosity", 64));
  if (!verbosity) return Ok{};
  if (*verbosity != "low" && *verbosity != "medium" && *verbosity != "high") {
    return unexpected(reader.path_of("verbosity"), *verbosity, "low, medium or high");
  }
  if (!arguments.contains("verbosity")) arguments["verbosity"] = *verbosity;
  return Ok{};
}

void set_reasoning_effort(const std::string& effort, OrderedJson& arguments) {
  if (effort == "none") return set_thinking(Thinking::kOff, arguments);
  if (!arguments.contains("reasoning_effort")) arguments["reasoning_effort"] = effort;
}

}  // namespace millrace
