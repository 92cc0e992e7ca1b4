// One row per ErrorCode, and the field that a message is about.
#include "serve/api/api_error.h"

#include <utility>

#include "base/check.h"
#include "base/json.h"
#include "serve/api/request_fields.h"

namespace millrace {
namespace {

struct Row {
  int status;
  const char* type;  // OpenAI's
  const char* code;  // OpenAI's, or ""
};

Row row_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return {400, "invalid_request_error", ""};
    case ErrorCode::kUnauthenticated:
      return {401, "authentication_error", "invalid_api_key"};
    case ErrorCode::kPermissionDenied:
      return {403, "permission_error", "permission_denied"};
    case ErrorCode::kNotFound:
      return {404, "invalid_request_error", "not_found"};
    case ErrorCode::kTooLarge:
      return {400, "invalid_request_error", "limit_exceeded"};
    case ErrorCode::kResourceExhausted:
      return {429, "rate_limit_error", "rate_limit_exceeded"};
    case ErrorCode::kDeadlineExceeded:
      return {408, "timeout_error", "timeout"};
    case ErrorCode::kCancelled:
      return {499, "cancelled_error", "cancelled"};
    case ErrorCode::kUnsupported:
      return {400, "invalid_request_error", "unsupported_parameter"};
    case ErrorCode::kCorruptData:
      return {500, "server_error", "internal_error"};
    case ErrorCode::kUnavailable:
      return {503, "server_error", "unavailable"};
  }
  CHECK(false);  // Every enumerator has a row above.
  return {};
}

const char* anthropic_type(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 408:
      return "timeout_error";
    case 413:
      return "request_too_large";
    case 429:
      return "rate_limit_error";
    case 503:
      return "overloaded_error";
    default:
      return status < 500 ? "invalid_request_error" : "api_error";
  }
}

bool is_path_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.' || c == '[' || c == ']';
}

// The path at the front of the message, "messages[2].role is …", when it is a field's of a request,
// or one that the message says is none.
std::string field_named_in(const std::string& message) {
  std::size_t end = 0;
  while (end < message.size() && is_path_byte(message[end])) ++end;
  std::string path = message.substr(0, end);
  if (std::string_view(message).substr(end).starts_with(kNoField)) return path;
  return is_request_field(path.substr(0, path.find_first_of(".["))) ? path : std::string();
}

}  // namespace

ApiError api_error(const Error& error) {
  const Row row = row_of(error.code);
  ApiError result{.status = row.status,
                  .type = row.type,
                  .code = row.code,
                  .message = error.message,
                  .param = row.status < 500 ? field_named_in(error.message) : std::string(),
                  .retry_after = std::nullopt};
  if (std::string_view(error.message).substr(result.param.size()).starts_with(kNoField)) {
    result.code = "unknown_parameter";
  }
  if (error.code == ErrorCode::kNotFound && result.param == "model")
    result.code = "model_not_found";
  if (row.status == 429 || row.status == 503) result.retry_after = std::chrono::seconds(1);
  return result;
}

ApiError context_error(std::string message, std::string param) {
  return {.status = 400,
          .type = "invalid_request_error",
          .code = "context_length_exceeded",
          .message = std::move(message),
          .param = std::move(param),
          .retry_after = std::nullopt};
}

ApiError api_error(int status, std::string message) {
  return {.status = status,
          .type = status < 500 ? "invalid_request_error" : "server_error",
          .code = {},
          .message = std::move(message),
          .param = {},
          .retry_after = std::nullopt};
}

OrderedJson error_json(const ApiError& error, ErrorForm form) {
  if (form == ErrorForm::kAnthropic) {
    return {{"type", "error"},
            {"error", {{"type", anthropic_type(error.status)}, {"message", error.message}}}};
  }
  const auto or_null = [](const std::string& text) {
    return text.empty() ? OrderedJson(nullptr) : OrderedJson(text);
  };
  return {{"error",
           {{"message", error.message},
            {"type", error.type},
            {"param", or_null(error.param)},
            {"code", or_null(error.code)}}}};
}

std::string error_body(const ApiError& error, ErrorForm form) {
  return error_json(error, form).dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

}  // namespace millrace
