// Requests of embeddings and of the tokeniser, and the bodies of their replies.
#include <cmath>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "serve/api/chat_messages.h"
#include "serve/api/dialects.h"
#include "serve/api/generation_fields.h"
#include "serve/api/parse_request.h"
#include "serve/api/request_fields.h"

namespace millrace {
namespace {

constexpr std::size_t kModelBytesMax = 512;
constexpr std::size_t kDimensionsMax = std::size_t{1} << 20;
constexpr std::size_t kTokensMax = std::size_t{1} << 26;

std::string dumped(const OrderedJson& value) {
  return value.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

// RFC 4648, section 4.
std::string base64(const std::string& bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t bits = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      const std::uint32_t byte = i + j < bytes.size() ? static_cast<std::uint8_t>(bytes[i + j]) : 0;
      bits = bits << 8 | byte;
    }
    for (std::size_t j = 0; j < 4; ++j) {
      text += i + j > bytes.size() ? '=' : kDigits[bits >> (18 - 6 * j) & 63];
    }
  }
  return text;
}

void cut(std::vector<float>& vector, std::size_t dimensions) {
  if (dimensions >= vector.size()) return;
  vector.resize(dimensions);
  double sum = 0;
  for (const float x : vector) sum += static_cast<double>(x) * static_cast<double>(x);
  if (sum <= 0) return;
  const double scale = 1 / std::sqrt(sum);
  for (float& x : vector) x = static_cast<float>(static_cast<double>(x) * scale);
}

OrderedJson encoded(const std::vector<float>& vector, EmbeddingRequest::Encoding encoding) {
  if (encoding == EmbeddingRequest::Encoding::kFloat) return OrderedJson(vector);
  static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "base64 has little-endian floats");
  std::string bytes(vector.size() * sizeof(float), '\0');
  if (!vector.empty()) std::memcpy(bytes.data(), vector.data(), bytes.size());
  return base64(bytes);
}

Result<std::string> model_of(const FieldReader& body) {
  std::optional<std::string> model = TRY(body.text("model", kModelBytesMax));
  return std::move(model).value_or("");
}

Status read_flag(const FieldReader& body, const char* name, bool& to) {
  const std::optional<bool> value = TRY(body.flag(name));
  if (value) to = *value;
  return Ok{};
}

}  // namespace

Result<EmbeddingRequest> parse_embedding(const OrderedJson& body, const ApiLimits& limits) {
  const FieldReader reader = TRY(FieldReader::of(body, ""));
  TRY(check_fields(body, RequestSurface::kEmbeddings));
  EmbeddingRequest request;
  request.model = TRY(model_of(reader));
  request.input = TRY(read_prompts(reader, "input", limits));
  const std::optional<std::string> encoding = TRY(reader.text("encoding_format", 64));
  if (encoding && *encoding != "float" && *encoding != "base64") {
    return unexpected("encoding_format", *encoding, "float or base64");
  }
  if (encoding == "base64") request.encoding = EmbeddingRequest::Encoding::kBase64;
  request.dimensions = TRY(reader.count("dimensions", 1, kDimensionsMax));
  request.truncate_prompt_tokens = TRY(reader.count("truncate_prompt_tokens", 1, kTokensMax));
  request.class_name = TRY(read_class_name(reader));
  request.cache_salt = TRY(reader.text("cache_salt", 512));
  request.timeout = TRY(read_timeout(reader, limits));
  std::optional<std::string> user = TRY(reader.text("user", 512));
  request.user = std::move(user).value_or("");
  return request;
}

Result<TokenizeRequest> parse_tokenize(const OrderedJson& body, const ApiLimits& limits) {
  const FieldReader reader = TRY(FieldReader::of(body, ""));
  TRY(check_fields(body, RequestSurface::kTokenize));
  TokenizeRequest request;
  request.model = TRY(model_of(reader));
  TRY(read_flag(reader, "add_special_tokens", request.adds_special_tokens));
  TRY(read_flag(reader, "add_special", request.adds_special_tokens));
  TRY(read_flag(reader, "parse_special", request.parses_special_tokens));
  TRY(read_flag(reader, "return_token_strs", request.shows_pieces));
  TRY(read_flag(reader, "with_pieces", request.shows_pieces));
  const int num_prompts = static_cast<int>(reader.has("prompt")) +
                          static_cast<int>(reader.has("content")) +
                          static_cast<int>(reader.has("messages"));
  if (num_prompts != 1) {
    return Error{ErrorCode::kInvalidArgument,
                 "prompt, content and messages: " + std::to_string(num_prompts) +
                     " of them are there, expected one"};
  }
  if (reader.has("messages")) {
    ChatPrompt prompt;
    prompt.messages = TRY(chat_messages(reader, limits));
    prompt.tools = TRY(chat_tools(reader, limits));
    TRY(read_template_fields(reader, prompt));
    request.prompt = std::move(prompt);
    return request;
  }
  std::string text =
      TRY(reader.required_text(reader.has("prompt") ? "prompt" : "content", SIZE_MAX));
  request.prompt = std::move(text);
  return request;
}

Result<DetokenizeRequest> parse_detokenize(const OrderedJson& body, const ApiLimits&) {
  const FieldReader reader = TRY(FieldReader::of(body, ""));
  TRY(check_fields(body, RequestSurface::kDetokenize));
  DetokenizeRequest request;
  request.model = TRY(model_of(reader));
  if (!reader.has("tokens")) return missing("tokens", "an array of token ids");
  request.tokens = TRY(reader.tokens("tokens", kTokensMax));
  return request;
}

std::string embedding_body(const EmbeddingRequest& request, const std::string& model,
                           std::vector<std::vector<float>> vectors, std::size_t num_prompt_tokens) {
  OrderedJson data = OrderedJson::array();
  for (std::size_t i = 0; i < vectors.size(); ++i) {
    if (request.dimensions) cut(vectors[i], *request.dimensions);
    data.push_back({{"object", "embedding"},
                    {"index", i},
                    {"embedding", encoded(vectors[i], request.encoding)}});
  }
  return dumped(
      {{"object", "list"},
       {"data", std::move(data)},
       {"model", model},
       {"usage", {{"prompt_tokens", num_prompt_tokens}, {"total_tokens", num_prompt_tokens}}}});
}

std::string tokenize_body(const std::vector<TokenId>& ids, const std::vector<std::string>& pieces,
                          const TokenizeRequest& request, std::size_t context_tokens) {
  OrderedJson body{{"count", ids.size()}, {"max_model_len", context_tokens}, {"tokens", ids}};
  if (request.shows_pieces) body["token_strs"] = pieces;
  return dumped(body);
}

std::string detokenize_body(const std::string& text) {
  // vLLM's name and llama.cpp's.
  return dumped({{"prompt", text}, {"content", text}});
}

std::string apply_template_body(const std::string& prompt) {
  return dumped({{"prompt", prompt}});
}

std::string count_tokens_body(std::size_t num_tokens) {
  return dumped({{"input_tokens", num_tokens}});
}

}  // namespace millrace
