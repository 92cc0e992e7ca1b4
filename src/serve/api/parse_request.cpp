// The body as JSON, the table of fields, the dialect's own fields, and the shared rest.
#include "serve/api/parse_request.h"

#include <utility>

#include "serve/api/chat_messages.h"
#include "serve/api/dialects.h"
#include "serve/api/generation_fields.h"
#include "serve/api/request_fields.h"
#include "serve/api/response_format.h"

namespace millrace {
namespace {

Status read_dialect(const FieldReader& body, const ApiLimits& limits, GenerationRequest& request) {
  switch (request.dialect) {
    case ApiDialect::kChat:
      return read_chat(body, limits, request);
    case ApiDialect::kCompletions:
      return read_completions(body, limits, request);
    case ApiDialect::kResponses:
      return read_responses(body, limits, request);
    case ApiDialect::kMessages:
      return read_anthropic(body, limits, request);
  }
  return Ok{};
}

// n, and best_of where it asks for nothing more.
Status read_choices(const FieldReader& body, const ApiLimits& limits, GenerationRequest& request) {
  const std::optional<std::uint64_t> n = TRY(body.count("n", 1, limits.choices_max));
  request.num_choices = n.value_or(1);
  const std::optional<std::uint64_t> best_of = TRY(body.count("best_of", 1, UINT64_MAX));
  if (best_of && *best_of != request.num_choices) {
    return Error{ErrorCode::kUnsupported, "best_of is " + std::to_string(*best_of) +
                                              ", only the value of n is supported, which is " +
                                              std::to_string(request.num_choices)};
  }
  return Ok{};
}

Status read_stream_options(const FieldReader& body, GenerationRequest& request) {
  const OrderedJson* const given = body.find("stream_options");
  if (given == nullptr) return Ok{};
  const FieldReader options = TRY(FieldReader::of(*given, "stream_options"));
  const std::optional<bool> is_stream = TRY(body.flag("stream"));
  if (!is_stream.value_or(false)) {
    return Error{ErrorCode::kInvalidArgument,
                 "stream_options is there, expected stream to be true"};
  }
  TRY(options.check_only({"include_usage", "include_obfuscation", "continuous_usage_stats"}));
  const std::optional<bool> usage = TRY(options.flag("include_usage"));
  request.includes_usage = usage.value_or(false);
  const std::optional<bool> continuous = TRY(options.flag("continuous_usage_stats"));
  if (continuous.value_or(false)) {
    return unsupported(options.path_of("continuous_usage_stats"), "is");
  }
  return Ok{};
}

Status check_counts(const ApiLimits& limits, const GenerationRequest& request) {
  std::size_t num_prompts = 1;
  if (const auto* texts = std::get_if<TextPrompts>(&request.prompt)) num_prompts = texts->size();
  if (const auto* ids = std::get_if<TokenPrompts>(&request.prompt)) num_prompts = ids->size();
  // Both are limited, so the product does not wrap.
  const std::size_t num_answers = num_prompts * request.num_choices;
  if (num_answers <= limits.answers_max) return Ok{};
  return Error{ErrorCode::kTooLarge, "n of " + std::to_string(request.num_choices) + " for " +
                                         std::to_string(num_prompts) + " prompts makes " +
                                         std::to_string(num_answers) + " answers, at most " +
                                         std::to_string(limits.answers_max) + " are allowed"};
}

}  // namespace

Result<OrderedJson> parse_body(std::string_view body, const ApiLimits& limits) {
  Result<OrderedJson> parsed =
      parse_ordered_json(body, "the body", {.depth_max = limits.json_depth_max});
  if (!parsed.ok()) {
    Error error = std::move(parsed).error();
    // To base it is damaged data; here it is a client's mistake.
    if (error.code == ErrorCode::kCorruptData) error.code = ErrorCode::kInvalidArgument;
    return error;
  }
  if (!parsed.value().is_object()) {
    return unexpected("the body", parsed.value(), "an object");
  }
  return parsed;
}

std::string requested_model(const OrderedJson& body) {
  const auto found = body.find("model");
  return found != body.end() && found->is_string() ? found->get<std::string>() : std::string();
}

Result<GenerationRequest> parse_generation(ApiDialect dialect, const OrderedJson& body,
                                           const ParseOptions& options) {
  const FieldReader reader = TRY(FieldReader::of(body, ""));
  TRY(check_fields(body, static_cast<RequestSurface>(dialect)));
  GenerationRequest request;
  request.dialect = dialect;
  request.sampling = options.sampling;
  TRY(read_dialect(reader, options.limits, request));
  TRY(read_choices(reader, options.limits, request));
  TRY(read_sampling(reader, request.sampling));
  TRY(read_common(reader, options.limits, request));
  TRY(read_stream_options(reader, request));
  TRY(check_counts(options.limits, request));
  return request;
}

}  // namespace millrace
