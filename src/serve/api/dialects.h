// What is particular to each dialect of generation; the parsers behind parse_generation.
#pragma once

#include "base/result.h"
#include "serve/api/field_reader.h"
#include "serve/api/generation_request.h"
#include "serve/api/parse_request.h"

namespace millrace {

// Each reads what its dialect has of its own into the request, whose dialect and sampling defaults
// are set; parse_generation reads the shared rest after it.
Status read_chat(const FieldReader& body, const ApiLimits& limits, GenerationRequest& request);
Status read_completions(const FieldReader& body, const ApiLimits& limits,
                        GenerationRequest& request);
Status read_responses(const FieldReader& body, const ApiLimits& limits, GenerationRequest& request);
Status read_anthropic(const FieldReader& body, const ApiLimits& limits, GenerationRequest& request);

// chat_template_kwargs, documents, add_generation_prompt and continue_final_message.
Status read_template_fields(const FieldReader& body, ChatPrompt& prompt);

// "none", "minimal", "low", "medium", "high", "xhigh" or "max", at `path`.
Result<std::string> checked_effort(const std::string& effort, const std::string& path);

}  // namespace millrace
