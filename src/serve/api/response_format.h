// What an answer must look like: OpenAI's response_format and the peers' fields for the same.
#pragma once

#include "base/result.h"
#include "serve/api/field_reader.h"
#include "serve/api/generation_request.h"
#include "serve/api/parse_request.h"

namespace millrace {

// From response_format, structured_outputs and guided_* (vLLM), grammar and json_schema
// (llama.cpp); kInvalidArgument when more than one asks for something.
Result<ResponseFormat> response_format(const FieldReader& body, const ApiLimits& limits);

// {"type": "text" | "json_object" | "json_schema", …}: with "json_schema": {"name", "schema"}
// (chat), or with name and schema beside the type (the responses dialect's text.format and
// Anthropic's output_config.format).
Result<ResponseFormat> format_object(const FieldReader& format, const ApiLimits& limits);

}  // namespace millrace
