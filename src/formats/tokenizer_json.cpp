// The vocabulary, merges, added tokens and post-processor of tokenizer.json.
#include "formats/tokenizer_json.h"

#include <algorithm>
#include <string_view>

#include "formats/text_quote.h"
#include "formats/tokenizer_fields.h"
#include "text/flat_table.h"

namespace millrace {
namespace {

Error duplicate_id(const std::string& name, TokenId id) {
  return Error{ErrorCode::kCorruptData, name + ": id " + std::to_string(id) + " occurs twice"};
}

// Makes room for `id`; ids that no token ever gets stay holes.
Status reserve_piece(TokenId id, const std::string& name, TokenizerSpec& spec) {
  // Real vocabularies have few holes; an id far past the end would cost memory for nothing.
  constexpr std::size_t kHolesMax = 1 << 20;
  if (id > spec.pieces.size() + kHolesMax) {
    return Error{ErrorCode::kCorruptData,
                 name + ": id " + std::to_string(id) + " is far past the " +
                     std::to_string(spec.pieces.size()) + " tokens before it"};
  }
  while (spec.pieces.size() <= id) {
    spec.pieces.push_back({.text = {}, .score = 0, .type = PieceType::kUnused});
  }
  return Ok{};
}

// {"piece": id, …}, in any order.
Status parse_vocabulary(const JsonObject& model, TokenizerSpec& spec) {
  const JsonObject vocabulary = TRY(model.get_object("vocab"));
  std::vector<bool> seen;
  for (const auto& [text, value] : vocabulary.json.items()) {
    const std::optional<TokenId> id = as_token_id(value);
    if (!id) return vocabulary.wrong(text.c_str(), "a token id below 2^24");
    if (*id > vocabulary.json.size() + (1u << 20)) {
      return vocabulary.wrong(text.c_str(), "an id within the vocabulary");
    }
    if (*id >= spec.pieces.size()) {
      spec.pieces.resize(*id + 1, {.text = {}, .score = 0, .type = PieceType::kUnused});
      seen.resize(*id + 1, false);
    }
    if (seen[*id]) return duplicate_id(vocabulary.name, *id);
    seen[*id] = true;
    spec.pieces[*id] = {.text = text, .score = 0, .type = PieceType::kNormal};
  }
  return Ok{};
}

// "a b", or ["a", "b"] since version 0.20 of the library.
Status parse_merges(const JsonObject& model, TokenizerSpec& spec) {
  const Json& merges = *TRY(model.get_array("merges"));
  spec.merges.reserve(merges.size());
  for (const Json& merge : merges) {
    if (const auto* text = merge.get_ptr<const std::string*>()) {
      const std::size_t space = text->find(' ');
      if (space == std::string::npos) {
        return Error{ErrorCode::kCorruptData,
                     model.name + ": merge " + in_quotes(*text) + " has no space"};
      }
      // A published Llama 2 file lost the no-break spaces of three merges to plain ones; such
      // merges cannot apply, and the pieces that they would make are out of use.
      if (text->find(' ', space + 1) != std::string::npos) continue;
      spec.merges.emplace_back(text->substr(0, space), text->substr(space + 1));
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
               merge[1].is_string()) {
      spec.merges.emplace_back(*merge[0].get_ptr<const std::string*>(),
                               *merge[1].get_ptr<const std::string*>());
    } else {
      return Error{ErrorCode::kCorruptData,
                   model.name + ": a merge is neither a string nor two strings"};
    }
  }
  return Ok{};
}

std::optional<TokenId> find_piece(const TokenizerSpec& spec, std::string_view text) {
  for (const AddedToken& token : spec.added_tokens) {
    if (token.content == text) return token.id;
  }
  for (TokenId id = 0; id < spec.pieces.size(); ++id) {
    if (spec.pieces[id].text == text) return id;
  }
  return std::nullopt;
}

Status parse_bpe(const JsonObject& model, TokenizerSpec& spec) {
  spec.model = TokenizerModel::kBpe;
  const Json* dropout = model.find("dropout");
  if (dropout != nullptr && !(dropout->is_number() && *dropout == 0)) {
    return Error{ErrorCode::kUnsupported, model.name + ": dropout is not supported"};
  }
  TRY(parse_vocabulary(model, spec));
  TRY(parse_merges(model, spec));
  spec.byte_fallback = TRY(model.get_bool_or("byte_fallback", false));
  spec.fuse_unk = TRY(model.get_bool_or("fuse_unk", false));
  spec.ignore_merges = TRY(model.get_bool_or("ignore_merges", false));
  spec.continuing_subword_prefix = TRY(model.get_string_or("continuing_subword_prefix", ""));
  spec.end_of_word_suffix = TRY(model.get_string_or("end_of_word_suffix", ""));
  const std::string unk = TRY(model.get_string_or("unk_token", ""));
  if (!unk.empty()) spec.unk_id = find_piece(spec, unk);
  return Ok{};
}

// [["piece", score], …]; the index is the id.
Status parse_unigram(const JsonObject& model, TokenizerSpec& spec) {
  spec.model = TokenizerModel::kUnigram;
  for (const Json& entry : *TRY(model.get_array("vocab"))) {
    const bool is_pair =
        entry.is_array() && entry.size() == 2 && entry[0].is_string() && entry[1].is_number();
    if (!is_pair) return model.wrong("vocab", "pairs of a piece and its score");
    spec.pieces.push_back(
        {.text = *entry[0].get_ptr<const std::string*>(), .score = entry[1].get<double>()});
  }
  if (model.find("unk_id") != nullptr) spec.unk_id = TRY(model.get_token_id("unk_id"));
  spec.byte_fallback = TRY(model.get_bool_or("byte_fallback", false));
  spec.fuse_unk = true;
  return Ok{};
}

Status parse_word_piece(const JsonObject& model, TokenizerSpec& spec) {
  spec.model = TokenizerModel::kWordPiece;
  TRY(parse_vocabulary(model, spec));
  spec.continuing_subword_prefix = TRY(model.get_string_or("continuing_subword_prefix", "##"));
  spec.word_characters_max = TRY(model.get_count_or("max_input_chars_per_word", 100));
  spec.unk_id = find_piece(spec, TRY(model.get_string_or("unk_token", "[UNK]")));
  return Ok{};
}

Status parse_word_level(const JsonObject& model, TokenizerSpec& spec) {
  spec.model = TokenizerModel::kWordLevel;
  TRY(parse_vocabulary(model, spec));
  spec.unk_id = find_piece(spec, TRY(model.get_string_or("unk_token", "<unk>")));
  return Ok{};
}

// Old files have no type, and the reference library takes the first kind that the fields fit.
std::string guess_type(const JsonObject& model) {
  if (model.find("merges") != nullptr) return "BPE";
  if (model.find("max_input_chars_per_word") != nullptr) return "WordPiece";
  const Json* vocabulary = model.find("vocab");
  if (vocabulary == nullptr) return "";
  return vocabulary->is_array() ? "Unigram" : "WordLevel";
}

Status parse_model(const JsonObject& model, TokenizerSpec& spec) {
  const std::string type = TRY(model.get_string_or("type", guess_type(model)));
  if (type == "BPE") return parse_bpe(model, spec);
  if (type == "Unigram") return parse_unigram(model, spec);
  if (type == "WordPiece") return parse_word_piece(model, spec);
  if (type == "WordLevel") return parse_word_level(model, spec);
  return Error{ErrorCode::kUnsupported,
               model.name + ": type " + in_quotes(type) + " is not supported"};
}

Result<AddedToken> parse_added_token(const JsonObject& object, TokenId id) {
  AddedToken token;
  token.id = id;
  token.content = TRY(object.get_string("content"));
  token.special = TRY(object.get_bool_or("special", false));
  token.single_word = TRY(object.get_bool_or("single_word", false));
  token.lstrip = TRY(object.get_bool_or("lstrip", false));
  token.rstrip = TRY(object.get_bool_or("rstrip", false));
  token.normalized = TRY(object.get_bool_or("normalized", !token.special));
  return token;
}

Status add_token(AddedToken token, const std::string& name, TokenizerSpec& spec) {
  TRY(reserve_piece(token.id, name, spec));
  if (token.content.empty()) return Ok{};
  Piece& piece = spec.pieces[token.id];
  if (piece.type == PieceType::kUnused) piece.type = PieceType::kUserDefined;
  piece.text = token.content;
  const auto known = std::find_if(spec.added_tokens.begin(), spec.added_tokens.end(),
                                  [&token](const AddedToken& t) { return t.id == token.id; });
  if (known == spec.added_tokens.end()) {
    spec.added_tokens.push_back(std::move(token));
  } else {
    *known = std::move(token);
  }
  return Ok{};
}

// A token that the model knows has the model's id, whatever the list says: so has the library.
Status parse_added_tokens(const JsonObject& root, TokenizerSpec& spec) {
  if (root.find("added_tokens") == nullptr) return Ok{};
  StringTable model_ids;
  // Unigram may list a piece twice; the last one counts.
  for (auto id = static_cast<TokenId>(spec.pieces.size()); id-- > 0;) {
    if (!spec.pieces[id].text.empty()) model_ids.insert(spec.pieces[id].text, id);
  }
  for (const Json& element : *TRY(root.get_array("added_tokens"))) {
    const JsonObject object = TRY(as_json_object(element, root.name + ": added_tokens"));
    AddedToken token = TRY(parse_added_token(object, TRY(object.get_token_id("id"))));
    if (const auto known = model_ids.find(token.content)) token.id = *known;
    TRY(add_token(std::move(token), object.name, spec));
  }
  return Ok{};
}

// ---- Post-processors: what they put around a single text ----

// The ids of a SpecialToken of a template.
Status append_template_ids(const JsonObject& processor, const std::string& token,
                           std::vector<TokenId>& ids) {
  const JsonObject all = TRY(processor.get_object("special_tokens"));
  const JsonObject entry = TRY(all.get_object(token.c_str()));
  for (const Json& value : *TRY(entry.get_array("ids"))) {
    const std::optional<TokenId> id = as_token_id(value);
    if (!id) return entry.wrong("ids", "token ids");
    ids.push_back(*id);
  }
  return Ok{};
}

// Puts ids around what is around the text so far.
void wrap_text(const std::vector<TokenId>& before, const std::vector<TokenId>& after,
               TokenizerSpec& spec) {
  spec.prefix_ids.insert(spec.prefix_ids.begin(), before.begin(), before.end());
  spec.suffix_ids.insert(spec.suffix_ids.end(), after.begin(), after.end());
}

Status parse_template(const JsonObject& processor, TokenizerSpec& spec) {
  std::vector<TokenId> before;
  std::vector<TokenId> after;
  bool before_text = true;
  for (const Json& element : *TRY(processor.get_array("single"))) {
    const JsonObject item = TRY(as_json_object(element, processor.name + ": single"));
    if (item.find("Sequence") != nullptr) {
      before_text = false;
      continue;
    }
    const JsonObject special = TRY(item.get_object("SpecialToken"));
    TRY(append_template_ids(processor, TRY(special.get_string("id")),
                            before_text ? before : after));
  }
  wrap_text(before, after, spec);
  if (!before_text) return Ok{};
  return Error{ErrorCode::kCorruptData, processor.name + ": single has no Sequence"};
}

// ["[SEP]", 102], as BertProcessing and RobertaProcessing have it.
Status append_named_id(const JsonObject& processor, const char* key, std::vector<TokenId>& ids) {
  const Json& pair = *TRY(processor.get_array(key));
  const std::optional<TokenId> id = pair.size() == 2 ? as_token_id(pair[1]) : std::nullopt;
  if (!id) return processor.wrong(key, "a token and its id");
  ids.push_back(*id);
  return Ok{};
}

Status parse_post_processor(const JsonObject& processor, std::size_t depth, TokenizerSpec& spec) {
  constexpr std::size_t kDepthMax = 8;
  const std::string type = TRY(processor.get_string("type"));
  if (type == "ByteLevel") return Ok{};  // Adjusts offsets only.
  if (type == "TemplateProcessing") return parse_template(processor, spec);
  if (type == "BertProcessing" || type == "RobertaProcessing") {
    std::vector<TokenId> before;
    std::vector<TokenId> after;
    TRY(append_named_id(processor, "cls", before));
    TRY(append_named_id(processor, "sep", after));
    wrap_text(before, after, spec);
    return Ok{};
  }
  if (type == "Sequence" && depth < kDepthMax) {
    for (const Json& element : *TRY(processor.get_array("processors"))) {
      const JsonObject inner = TRY(as_json_object(element, processor.name));
      TRY(parse_post_processor(inner, depth + 1, spec));
    }
    return Ok{};
  }
  return Error{ErrorCode::kUnsupported,
               processor.name + ": type " + in_quotes(type) + " is not supported"};
}

}  // namespace

Result<TokenizerSpec> parse_tokenizer_json(const Json& json, const std::string& name) {
  const JsonObject root = TRY(as_json_object(json, name));
  TokenizerSpec spec;
  TRY(parse_model(TRY(root.get_object("model")), spec));
  TRY(parse_added_tokens(root, spec));
  if (const Json* steps = root.find("normalizer")) {
    spec.normalizers = TRY(parse_normalizers(*steps, name + ": normalizer"));
  }
  if (const Json* steps = root.find("pre_tokenizer")) {
    spec.pre_tokenizers = TRY(parse_pre_tokenizers(*steps, name + ": pre_tokenizer"));
  }
  if (const Json* steps = root.find("decoder")) {
    spec.decoders = TRY(parse_decoders(*steps, name + ": decoder"));
  } else {
    spec.decoders.emplace_back(SpaceJoinDecoder{});
  }
  if (root.find("post_processor") != nullptr) {
    TRY(parse_post_processor(TRY(root.get_object("post_processor")), 0, spec));
  }
  add_known_end_tokens(spec);
  return spec;
}

// ---- tokenizer_config.json ----

namespace {

// "bos_token": a string, or an object with the string as its content.
Result<std::string> token_name(const JsonObject& config, const char* key) {
  const Json* field = config.find(key);
  if (field == nullptr) return std::string();
  if (field->is_object()) return TRY(config.get_object(key)).get_string("content");
  return config.get_string(key);
}

Status apply_token_name(const JsonObject& config, const char* key, const TokenizerSpec& spec,
                        std::optional<TokenId>& id) {
  const std::string text = TRY(token_name(config, key));
  if (text.empty()) return Ok{};
  if (const std::optional<TokenId> found = find_piece(spec, text)) id = found;
  return Ok{};
}

// {"151643": {"content": …}, …}
Status apply_added_tokens(const JsonObject& config, TokenizerSpec& spec) {
  if (config.find("added_tokens_decoder") == nullptr) return Ok{};
  const JsonObject all = TRY(config.get_object("added_tokens_decoder"));
  for (const auto& [key, value] : all.json.items()) {
    const bool is_number =
        !key.empty() && key.size() < 9 && key.find_first_not_of("0123456789") == std::string::npos;
    if (!is_number) return all.wrong(key.c_str(), "a token id as its key");
    const auto id = static_cast<TokenId>(std::stoul(key));
    const JsonObject object = TRY(as_json_object(value, all.name + " " + key));
    TRY(add_token(TRY(parse_added_token(object, id)), object.name, spec));
  }
  return Ok{};
}

// The classes of transformers that rebuild the post-processor from add_bos_token and
// add_eos_token; others leave what tokenizer.json says.
struct ClassRule {
  std::string_view name;
  TextEnds fallback;  // What the class does when the file does not say.
};
constexpr ClassRule kClassRules[] = {
    {"LlamaTokenizer", {.add_bos = true}},     {"LlamaTokenizerFast", {.add_bos = true}},
    {"CodeLlamaTokenizer", {.add_bos = true}}, {"CodeLlamaTokenizerFast", {.add_bos = true}},
    {"GemmaTokenizer", {.add_bos = true}},     {"GemmaTokenizerFast", {.add_bos = true}},
    {"CohereTokenizer", {.add_bos = true}},    {"CohereTokenizerFast", {.add_bos = true}},
};

Status apply_text_ends(const JsonObject& config, TokenizerSpec& spec) {
  const std::string name = TRY(config.get_string_or("tokenizer_class", ""));
  for (const ClassRule& rule : kClassRules) {
    if (rule.name != name) continue;
    TextEnds ends;
    ends.add_bos = TRY(config.get_bool_or("add_bos_token", rule.fallback.add_bos));
    ends.add_eos = TRY(config.get_bool_or("add_eos_token", rule.fallback.add_eos));
    set_text_ends(ends, spec);
  }
  return Ok{};
}

// A string, or a list of {"name": …, "template": …}.
Status apply_chat_templates(const JsonObject& config, TokenizerSpec& spec) {
  const Json* field = config.find("chat_template");
  if (field == nullptr) return Ok{};
  if (field->is_string()) {
    spec.chat_templates.push_back({"", TRY(config.get_string("chat_template"))});
    return Ok{};
  }
  for (const Json& element : *TRY(config.get_array("chat_template"))) {
    const JsonObject entry = TRY(as_json_object(element, config.name + ": chat_template"));
    const std::string name = TRY(entry.get_string("name"));
    spec.chat_templates.push_back(
        {name == "default" ? "" : name, TRY(entry.get_string("template"))});
  }
  return Ok{};
}

}  // namespace

Status apply_tokenizer_config(const Json& json, const std::string& name, TokenizerSpec& spec) {
  const JsonObject config = TRY(as_json_object(json, name));
  TRY(apply_added_tokens(config, spec));
  TRY(apply_token_name(config, "bos_token", spec, spec.bos_id));
  TRY(apply_token_name(config, "eos_token", spec, spec.eos_id));
  TRY(apply_token_name(config, "pad_token", spec, spec.pad_id));
  TRY(apply_text_ends(config, spec));
  TRY(apply_chat_templates(config, spec));
  add_known_end_tokens(spec);
  return Ok{};
}

void set_text_ends(TextEnds ends, TokenizerSpec& spec) {
  spec.prefix_ids.clear();
  spec.suffix_ids.clear();
  if (ends.add_bos && spec.bos_id) spec.prefix_ids.push_back(*spec.bos_id);
  if (ends.add_eos && spec.eos_id) spec.suffix_ids.push_back(*spec.eos_id);
}

void add_known_end_tokens(TokenizerSpec& spec) {
  constexpr std::string_view kEndTokens[] = {"<|eot_id|>",
                                             "<|eom_id|>",
                                             "<|im_end|>",
                                             "<|end|>",
                                             "<end_of_turn>",
                                             "<|endoftext|>",
                                             "<|end_of_text|>",
                                             "<|eot|>",
                                             "<EOT>",
                                             "_<EOT>",
                                             "<|EOT|>",
                                             "<|return|>",
                                             "<|call|>",
                                             "<|END_OF_TURN_TOKEN|>",
                                             "<|end_of_role|>",
                                             "<\xEF\xBD\x9C"
                                             "end\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>"};
  const auto add = [&spec](TokenId id) {
    std::vector<TokenId>& ids = spec.end_of_generation_ids;
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
  };
  const auto has = [&spec](std::string_view text) {
    return std::any_of(spec.added_tokens.begin(), spec.added_tokens.end(),
                       [text](const AddedToken& token) { return token.content == text; });
  };
  // In the harmony format <|end|> only ends a message, and <|return|> or <|call|> the turn.
  const bool is_harmony = has("<|return|>") && has("<|call|>");
  for (const AddedToken& token : spec.added_tokens) {
    if (!token.special || (is_harmony && token.content == "<|end|>")) continue;
    const bool known = std::find(std::begin(kEndTokens), std::end(kEndTokens), token.content) !=
                       std::end(kEndTokens);
    if (known) add(token.id);
  }
  if (spec.eos_id) add(*spec.eos_id);
}

}  // namespace millrace
