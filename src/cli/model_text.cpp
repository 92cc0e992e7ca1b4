// Finding and loading a model's tokeniser and chat template.
#include "cli/model_text.h"

#include <algorithm>

#include "base/file.h"
#include "cli/hub_models.h"
#include "formats/tokenizer_archive.h"
#include "formats/tokenizer_folder.h"
#include "formats/tokenizer_gguf.h"
#include "formats/tokenizer_json.h"
#include "formats/tokenizer_sentencepiece.h"
#include "formats/tokenizer_tiktoken.h"

namespace millrace {
namespace {

std::optional<std::string> text_of(const Tokenizer& tokenizer, const TokenizerSpec& spec,
                                   std::optional<TokenId> id) {
  if (!id) return std::nullopt;
  if (std::optional<std::string> text = token_text(spec, id)) return text;
  return std::string(tokenizer.piece(*id));
}

// The nameless template or the one called "default".
std::optional<std::string> default_template(const TokenizerSpec& spec) {
  for (const std::string_view wanted : {"", "default"}) {
    for (const TokenizerSpec::NamedTemplate& named : spec.chat_templates) {
      if (named.name == wanted) return named.source;
    }
  }
  return std::nullopt;
}

const char* model_name(const TokenizerSpec& spec) {
  switch (spec.model) {
    case TokenizerModel::kBpe:
      return "BPE";
    case TokenizerModel::kUnigram:
      return "Unigram";
    case TokenizerModel::kWordPiece:
      return "WordPiece";
    case TokenizerModel::kWordLevel:
      return "WordLevel";
  }
  return "unknown";
}

}  // namespace

std::optional<std::string> token_text(const TokenizerSpec& spec, std::optional<TokenId> id) {
  if (!id) return std::nullopt;
  for (const AddedToken& token : spec.added_tokens) {
    if (token.id == *id) return token.content;
  }
  if (*id < spec.pieces.size()) return spec.pieces[*id].text;
  return std::nullopt;
}

Result<TokenizerSpec> load_model_tokenizer_spec(const Checkpoint& checkpoint) {
  if (checkpoint.kind() == CheckpointKind::kGguf) {
    return load_tokenizer_spec(*checkpoint.gguf_metadata());
  }
  if (checkpoint.packed() != nullptr) {
    const auto bytes = checkpoint.packed()->section(PackedSection::kTokenizer);
    if (!bytes.empty()) return read_tokenizer_archive(bytes, checkpoint.path() + ": tokenizer");
    return Error{ErrorCode::kNotFound, checkpoint.path() + " was packed without a tokenizer"};
  }
  return load_tokenizer_spec(checkpoint.folder());
}

Result<TokenizerSpec> load_tokenizer_spec_at(const std::string& named) {
  const std::string path = TRY(local_model(named));
  if (is_directory(path)) return load_tokenizer_spec(path);
  if (path.ends_with(".json")) return parse_tokenizer_json(TRY(read_json_file(path)), path);
  const bool is_vocabulary =
      path.find(".model") != std::string::npos || path.ends_with(".tiktoken");
  if (file_exists(path) && is_vocabulary) {
    constexpr std::uint64_t kBytesMax = 256ull << 20;
    const std::string bytes = TRY(read_file(path, kBytesMax));
    // A lone tiktoken file does not say how it cuts words; Llama 3's is the one in circulation.
    if (looks_like_tiktoken(bytes)) return parse_tiktoken(bytes, path, "llama-bpe");
    return parse_sentencepiece(bytes, path);
  }
  return load_model_tokenizer_spec(TRY(open_checkpoint(path)));
}

Result<ModelText> load_model_text(const Checkpoint& checkpoint) {
  const TokenizerSpec spec = TRY(load_model_tokenizer_spec(checkpoint));
  return make_model_text(spec);
}

Result<ModelText> make_model_text(const TokenizerSpec& spec) {
  Tokenizer tokenizer = TRY(Tokenizer::create(spec));
  ModelText text{.tokenizer = std::move(tokenizer),
                 .chat_template = default_template(spec),
                 .bos_text = std::nullopt,
                 .eos_text = std::nullopt};
  text.bos_text = text_of(text.tokenizer, spec, spec.bos_id);
  text.eos_text = text_of(text.tokenizer, spec, spec.eos_id);
  return text;
}

SamplingParams default_sampling(const Checkpoint& checkpoint) {
  const Json& config = checkpoint.generation_config();
  SamplingParams sampling;
  if (!config.is_object()) return sampling;
  const auto number = [&](const char* key) -> std::optional<float> {
    const auto found = config.find(key);
    if (found == config.end() || !found->is_number()) return std::nullopt;
    return found->get<float>();
  };
  sampling.temperature = number("temperature").value_or(sampling.temperature);
  sampling.top_p = number("top_p").value_or(sampling.top_p);
  sampling.min_p = number("min_p").value_or(sampling.min_p);
  sampling.repetition_penalty = number("repetition_penalty").value_or(sampling.repetition_penalty);
  if (const auto top_k = number("top_k"); top_k && *top_k >= 1.0f) {
    sampling.top_k = static_cast<std::uint32_t>(*top_k);
  }
  return sampling;
}

Result<OrderedJson> describe_tokenizer(const TokenizerSpec& spec) {
  const ModelText text = TRY(make_model_text(spec));
  OrderedJson json = {{"kind", model_name(spec)},
                      {"tokens", text.tokenizer.num_tokens()},
                      {"added_tokens", spec.added_tokens.size()}};
  if (text.bos_text) json["bos"] = *text.bos_text;
  if (text.eos_text) json["eos"] = *text.eos_text;
  json["end_of_generation"] = OrderedJson::array();
  for (const TokenId id : text.tokenizer.end_of_generation_ids()) {
    json["end_of_generation"].push_back(text_of(text.tokenizer, spec, id).value_or(""));
  }
  json["chat_template"] =
      text.chat_template ? OrderedJson(*text.chat_template) : OrderedJson(nullptr);
  return json;
}

std::string tokenizer_line(const OrderedJson& description) {
  std::string line = description["kind"].get<std::string>() + " of " +
                     std::to_string(description["tokens"].get<std::size_t>()) + " tokens";
  if (description.contains("bos")) line += ", begins with " + description["bos"].get<std::string>();
  if (description.contains("eos")) line += ", ends with " + description["eos"].get<std::string>();
  return line +
         (description["chat_template"].is_null() ? "; no chat template" : "; has a chat template");
}

}  // namespace millrace
