// What clients are told whose prompt does not fit into a model's context.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "serve/api/api_error.h"
#include "serve/api/generation_request.h"
#include "serve/service/model_service.h"

namespace millrace {

// Nothing where every prompt fits with what is to follow it. Words, code and both numbers are those
// by which clients of OpenAI and of Anthropic know that a conversation has grown too long.
std::optional<ApiError> context_refusal(const GenerationRequest& request,
                                        std::span<const PreparedPrompt> prompts,
                                        const ModelService& model);
// The same for inputs of embeddings.
std::optional<ApiError> context_refusal(std::span<const std::vector<TokenId>> inputs,
                                        const ModelService& model);

}  // namespace millrace
