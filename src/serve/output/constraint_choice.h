// What the sampler must be held to, from what the client asked for.
#pragma once

#include <optional>

#include "base/result.h"
#include "constrain/constraint_spec.h"
#include "serve/api/generation_request.h"
#include "serve/output/answer_format.h"

namespace millrace {

// Nothing when any text will do. A required or named tool call is forced in the model's own format;
// with tools to choose freely from and a format for the text, either may come; a model that thinks
// first may do so before what is asked for. kUnsupported when a call must be forced and the
// model's format is none that can be.
Result<std::optional<ConstraintSpec>> constraint_choice(const GenerationRequest& request,
                                                        const AnswerFormat& format,
                                                        ReasoningStart start);

}  // namespace millrace
