// The writers behind make_answer_writer, and the bodies of whole answers.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "serve/api/answer.h"
#include "serve/api/answer_pieces.h"

namespace millrace {

// What a writer keeps of the request: it outlives it.
struct AnswerSettings {
  ApiDialect dialect = ApiDialect::kChat;
  std::size_t num_choices = 1;  // of all prompts together
  bool includes_usage = false;
  bool has_logprobs = false;
  bool has_prompt_logprobs = false;  // in a field of their own
  AnswerIdentity identity;
  OrderedJson echoed = OrderedJson::object();  // what a response repeats of its request
};

std::unique_ptr<AnswerWriter> make_chat_stream(AnswerSettings settings);
std::unique_ptr<AnswerWriter> make_completions_stream(AnswerSettings settings);
std::unique_ptr<AnswerWriter> make_responses_stream(AnswerSettings settings);
std::unique_ptr<AnswerWriter> make_anthropic_stream(AnswerSettings settings);

// A whole body of every choice's pieces.
using AnswerBody = OrderedJson (*)(const AnswerSettings& settings,
                                   const std::vector<AnswerPieces>& choices, const Usage& usage);
OrderedJson chat_body(const AnswerSettings& settings, const std::vector<AnswerPieces>& choices,
                      const Usage& usage);
OrderedJson completions_body(const AnswerSettings& settings,
                             const std::vector<AnswerPieces>& choices, const Usage& usage);
OrderedJson responses_body(const AnswerSettings& settings, const std::vector<AnswerPieces>& choices,
                           const Usage& usage);
OrderedJson anthropic_body(const AnswerSettings& settings, const std::vector<AnswerPieces>& choices,
                           const Usage& usage);

// What a response repeats of its request: its tools, choices and settings.
OrderedJson responses_echo(const GenerationRequest& request);

}  // namespace millrace
