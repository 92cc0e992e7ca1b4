// What a client asked of the tokeniser and of embeddings: requests that generate nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/token_id.h"
#include "serve/api/generation_request.h"

namespace millrace {

// POST /v1/embeddings. One vector for each input.
struct EmbeddingRequest {
  enum class Encoding : std::uint8_t { kFloat, kBase64 };

  std::string model;
  std::variant<TextPrompts, TokenPrompts> input;
  Encoding encoding = Encoding::kFloat;  // base64: little-endian 32-bit floats
  // Keep the first so many numbers and normalise again; absent: all.
  std::optional<std::size_t> dimensions;
  std::optional<std::size_t> truncate_prompt_tokens;  // keep so many tokens at the input's end
  std::optional<std::string> class_name;
  std::optional<std::string> cache_salt;
  std::optional<Duration> timeout;
  std::string user;
};

// The body of the reply; `vectors` as they came, in the order of the inputs. Cut to `dimensions`
// and normalised here.
std::string embedding_body(const EmbeddingRequest& request, const std::string& model,
                           std::vector<std::vector<float>> vectors, std::size_t num_prompt_tokens);

// POST /tokenize: a text, or a conversation that the template makes a text of.
struct TokenizeRequest {
  std::string model;
  std::variant<std::string, ChatPrompt> prompt;
  bool adds_special_tokens = true;  // of texts
  bool parses_special_tokens = true;
  bool shows_pieces = false;  // return_token_strs, with_pieces
};
std::string tokenize_body(const std::vector<TokenId>& ids, const std::vector<std::string>& pieces,
                          const TokenizeRequest& request, std::size_t context_tokens);

// POST /detokenize.
struct DetokenizeRequest {
  std::string model;
  std::vector<TokenId> tokens;
};
std::string detokenize_body(const std::string& text);

// POST /apply-template and POST /v1/messages/count_tokens take a conversation and answer with its
// prompt, or with how many tokens that has.
std::string apply_template_body(const std::string& prompt);
std::string count_tokens_body(std::size_t num_tokens);

}  // namespace millrace
