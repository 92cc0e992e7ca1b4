// Each way to ask for a form, and that there is one of them at most.
#include "serve/api/response_format.h"

#include <string>
#include <utility>

namespace millrace {
namespace {

using Kind = ResponseFormat::Kind;

constexpr std::size_t kChoicesOfFormatMax = 4096;

Result<ResponseFormat> schema_format(const OrderedJson& schema, const std::string& path,
                                     const ApiLimits& limits) {
  if (!schema.is_object() && !schema.is_boolean()) {
    return unexpected(path, schema, "a JSON schema");
  }
  const std::size_t num_bytes =
      schema.dump(-1, ' ', false, OrderedJson::error_handler_t::replace).size();
  if (num_bytes > limits.schema_bytes_max) {
    return too_many(path, num_bytes, limits.schema_bytes_max, "bytes");
  }
  return ResponseFormat{.kind = Kind::kJsonSchema, .schema = schema};
}

// A schema as an object, or as the text of one, which vLLM's clients send too.
Result<ResponseFormat> schema_or_text(const FieldReader& reader, const char* name,
                                      const ApiLimits& limits) {
  const OrderedJson& value = *reader.find(name);
  if (!value.is_string()) return schema_format(value, reader.path_of(name), limits);
  Result<OrderedJson> parsed = parse_ordered_json(
      value.get_ref<const std::string&>(), reader.path_of(name),
      {.bytes_max = limits.schema_bytes_max, .depth_max = limits.json_depth_max});
  if (!parsed.ok()) {
    Error error = std::move(parsed).error();
    if (error.code == ErrorCode::kCorruptData) error.code = ErrorCode::kInvalidArgument;
    return error;
  }
  return schema_format(parsed.value(), reader.path_of(name), limits);
}

Result<ResponseFormat> pattern_format(Kind kind, const FieldReader& reader, const char* name,
                                      const ApiLimits& limits) {
  std::string pattern = TRY(reader.required_text(name, limits.schema_bytes_max));
  return ResponseFormat{.kind = kind, .pattern = std::move(pattern)};
}

Result<ResponseFormat> choice_format(const FieldReader& reader, const char* name,
                                     const ApiLimits& limits) {
  std::vector<std::string> choices =
      TRY(reader.texts(name, kChoicesOfFormatMax, limits.schema_bytes_max));
  if (choices.empty()) {
    return unexpected(reader.path_of(name), OrderedJson::array(), "at least one string");
  }
  return ResponseFormat{.kind = Kind::kChoice, .choices = std::move(choices)};
}

// The only one of several ways so far.
class OnlyFormat {
 public:
  Status take(const std::string& path, ResponseFormat format) {
    if (format.kind == Kind::kText) return Ok{};
    if (!path_.empty()) {
      return Error{ErrorCode::kInvalidArgument,
                   path + " and " + path_ + " both say what the answer must look like"};
    }
    path_ = path;
    format_ = std::move(format);
    return Ok{};
  }
  ResponseFormat format() && { return std::move(format_); }

 private:
  std::string path_;
  ResponseFormat format_;
};

struct Names {
  const char* json;
  const char* regex;
  const char* grammar;
  const char* choice;
};

Status take_named(const FieldReader& reader, const Names& names, const ApiLimits& limits,
                  OnlyFormat& only) {
  if (names.json != nullptr && reader.has(names.json)) {
    ResponseFormat format = TRY(schema_or_text(reader, names.json, limits));
    TRY(only.take(reader.path_of(names.json), std::move(format)));
  }
  if (names.regex != nullptr && reader.has(names.regex)) {
    ResponseFormat format = TRY(pattern_format(Kind::kRegex, reader, names.regex, limits));
    TRY(only.take(reader.path_of(names.regex), std::move(format)));
  }
  if (names.grammar != nullptr && reader.has(names.grammar)) {
    ResponseFormat format = TRY(pattern_format(Kind::kGrammar, reader, names.grammar, limits));
    TRY(only.take(reader.path_of(names.grammar), std::move(format)));
  }
  if (names.choice != nullptr && reader.has(names.choice)) {
    ResponseFormat format = TRY(choice_format(reader, names.choice, limits));
    TRY(only.take(reader.path_of(names.choice), std::move(format)));
  }
  return Ok{};
}

Status take_structured_outputs(const FieldReader& body, const ApiLimits& limits, OnlyFormat& only) {
  const OrderedJson* const given = body.find("structured_outputs");
  if (given == nullptr) return Ok{};
  const FieldReader reader = TRY(FieldReader::of(*given, "structured_outputs"));
  TRY(reader.check_only({"json", "regex", "grammar", "choice", "json_object",
                         "disable_any_whitespace", "disable_additional_properties",
                         "finish_at_limit"}));
  TRY(take_named(reader, {"json", "regex", "grammar", "choice"}, limits, only));
  const std::optional<bool> json_object = TRY(reader.flag("json_object"));
  if (json_object.value_or(false)) {
    TRY(only.take(reader.path_of("json_object"), {.kind = Kind::kJsonObject}));
  }
  return Ok{};
}

// How JSON is written and what becomes of an answer at its limit, whoever asked for the form; the
// first two are vLLM's.
Status read_style(const FieldReader& body, ResponseFormat& format) {
  const OrderedJson* const given = body.find("structured_outputs");
  if (given == nullptr) return Ok{};
  const FieldReader reader = TRY(FieldReader::of(*given, "structured_outputs"));
  if (TRY(reader.flag("disable_any_whitespace")).value_or(false)) {
    format.style.whitespace = JsonWhitespace::kSpaced;
  }
  if (TRY(reader.flag("disable_additional_properties")).value_or(false)) {
    format.style.unnamed_properties = UnnamedProperties::kForbidden;
  }
  if (!TRY(reader.flag("finish_at_limit")).value_or(true)) {
    format.at_token_limit = AtTokenLimit::kCut;
  }
  return Ok{};
}

}  // namespace

Result<ResponseFormat> format_object(const FieldReader& format, const ApiLimits& limits) {
  const std::string type = TRY(format.required_text("type", 64));
  if (type == "text") return ResponseFormat{};
  if (type == "json_object") {
    // With a schema beside it, as llama.cpp takes it.
    const OrderedJson* const schema = format.find("schema");
    if (schema != nullptr) return schema_format(*schema, format.path_of("schema"), limits);
    return ResponseFormat{.kind = Kind::kJsonObject};
  }
  if (type != "json_schema") {
    return unexpected(format.path_of("type"), type, "text, json_object or json_schema");
  }
  const OrderedJson* const nested = format.find("json_schema");
  const FieldReader place =
      nested == nullptr ? format : TRY(FieldReader::of(*nested, format.path_of("json_schema")));
  const OrderedJson* const schema = place.find("schema");
  if (schema == nullptr) return missing(place.path_of("schema"), "a JSON schema");
  TRY(place.flag("strict"));
  return schema_format(*schema, place.path_of("schema"), limits);
}

Result<ResponseFormat> response_format(const FieldReader& body, const ApiLimits& limits) {
  OnlyFormat only;
  if (const OrderedJson* const given = body.find("response_format"); given != nullptr) {
    const FieldReader reader = TRY(FieldReader::of(*given, "response_format"));
    ResponseFormat format = TRY(format_object(reader, limits));
    TRY(only.take("response_format", std::move(format)));
  }
  TRY(take_structured_outputs(body, limits, only));
  TRY(take_named(body, {"guided_json", "guided_regex", "guided_grammar", "guided_choice"}, limits,
                 only));
  TRY(take_named(body, {"json_schema", nullptr, "grammar", nullptr}, limits, only));
  ResponseFormat format = std::move(only).format();
  TRY(read_style(body, format));
  return format;
}

}  // namespace millrace
