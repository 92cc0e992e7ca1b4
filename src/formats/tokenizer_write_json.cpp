// Vocabulary, merges, added tokens and what goes around a text.
#include "formats/tokenizer_write_json.h"

#include <algorithm>
#include <set>
#include <vector>

#include "formats/text_quote.h"
#include "formats/tokenizer_write_merges.h"
#include "formats/tokenizer_write_steps.h"

namespace millrace {
namespace {

// Ordered objects look every new key up in a list, which takes minutes for a vocabulary; keys that
// are known to be new are appended.
void append_new(OrderedJson& object, const std::string& key, OrderedJson value) {
  auto& members = object.get_ref<OrderedJson::object_t&>();
  members.emplace_back(key, std::move(value));
}

bool is_filler(const TokenizerSpec& spec, TokenId id) {
  const Piece& piece = spec.pieces[id];
  if (piece.type != PieceType::kUnused) return false;
  return piece.text.empty() || piece.text == "[PAD" + std::to_string(id) + "]";
}

std::vector<AddedToken> added_by_id(const TokenizerSpec& spec) {
  std::vector<AddedToken> tokens = spec.added_tokens;
  std::sort(tokens.begin(), tokens.end(),
            [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
  return tokens;
}

// The library numbers added tokens that the vocabulary lacks on from its size, so they may be
// absent from it only when that gives their ids.
bool added_follow_vocabulary(const TokenizerSpec& spec, const std::vector<AddedToken>& added) {
  if (added.empty()) return true;
  const std::size_t first = added.front().id;
  for (std::size_t i = 0; i < added.size(); ++i) {
    if (added[i].id != first + i) return false;
  }
  for (TokenId id = 0; id < spec.pieces.size(); ++id) {
    const bool is_added = id >= first && id < first + added.size();
    if (!is_added && is_filler(spec, id) != (id >= first + added.size())) return false;
  }
  return true;
}

Result<OrderedJson> vocabulary_json(const TokenizerSpec& spec,
                                    const std::vector<AddedToken>& added) {
  std::vector<const std::string*> texts(spec.pieces.size(), nullptr);
  for (TokenId id = 0; id < texts.size(); ++id) {
    if (!is_filler(spec, id)) texts[id] = &spec.pieces[id].text;
  }
  const bool leaves_out = added_follow_vocabulary(spec, added);
  for (const AddedToken& token : added) {
    if (token.id < texts.size()) texts[token.id] = leaves_out ? nullptr : &token.content;
  }
  OrderedJson vocabulary = OrderedJson::object();
  std::set<std::string_view> seen;
  for (TokenId id = 0; id < texts.size(); ++id) {
    if (texts[id] == nullptr) continue;
    if (!seen.insert(*texts[id]).second) {
      return Error{ErrorCode::kUnsupported,
                   "tokenizer.json cannot hold two tokens of one text: " + in_quotes(*texts[id])};
    }
    append_new(vocabulary, *texts[id], id);
  }
  return vocabulary;
}

OrderedJson or_null(const std::string& text) {
  return text.empty() ? OrderedJson(nullptr) : OrderedJson(text);
}

std::optional<std::string> text_of(const TokenizerSpec& spec, std::optional<TokenId> id) {
  if (!id) return std::nullopt;
  for (const AddedToken& token : spec.added_tokens) {
    if (token.id == *id) return token.content;
  }
  if (*id >= spec.pieces.size()) return std::nullopt;
  return spec.pieces[*id].text;
}

Result<OrderedJson> model_json(const TokenizerSpec& spec, const std::vector<AddedToken>& added) {
  const std::optional<std::string> unk = text_of(spec, spec.unk_id);
  OrderedJson model;
  model["type"] = "BPE";
  model["dropout"] = nullptr;
  model["unk_token"] = unk ? OrderedJson(*unk) : OrderedJson(nullptr);
  model["continuing_subword_prefix"] = or_null(spec.continuing_subword_prefix);
  model["end_of_word_suffix"] = or_null(spec.end_of_word_suffix);
  model["fuse_unk"] = spec.fuse_unk;
  model["byte_fallback"] = spec.byte_fallback;
  model["ignore_merges"] = spec.ignore_merges;
  model["vocab"] = TRY(vocabulary_json(spec, added));
  OrderedJson merges = OrderedJson::array();
  for (const auto& [left, right] : merges_of(spec)) {
    merges.push_back(OrderedJson::array({left, right}));
  }
  model["merges"] = std::move(merges);
  return model;
}

OrderedJson added_tokens_json(const std::vector<AddedToken>& added) {
  OrderedJson list = OrderedJson::array();
  for (const AddedToken& token : added) {
    list.push_back({{"id", token.id},
                    {"content", token.content},
                    {"single_word", token.single_word},
                    {"lstrip", token.lstrip},
                    {"rstrip", token.rstrip},
                    {"normalized", token.normalized},
                    {"special", token.special}});
  }
  return list;
}

// ---- What goes around a text ----

OrderedJson sequence_item(const char* name, int type_id) {
  return {{"Sequence", {{"id", name}, {"type_id", type_id}}}};
}

// The text between its prefix and suffix, as the part `name` of a template.
void append_text(const TokenizerSpec& spec, const char* name, int type_id, OrderedJson& items) {
  const auto append_tokens = [&](const std::vector<TokenId>& ids) {
    for (const TokenId id : ids) {
      const std::string text = text_of(spec, id).value_or("");
      items.push_back({{"SpecialToken", {{"id", text}, {"type_id", type_id}}}});
    }
  };
  append_tokens(spec.prefix_ids);
  items.push_back(sequence_item(name, type_id));
  append_tokens(spec.suffix_ids);
}

OrderedJson post_processor_json(const TokenizerSpec& spec) {
  if (spec.prefix_ids.empty() && spec.suffix_ids.empty()) return nullptr;
  OrderedJson single = OrderedJson::array();
  append_text(spec, "A", 0, single);
  OrderedJson pair = single;
  append_text(spec, "B", 1, pair);
  OrderedJson tokens = OrderedJson::object();
  for (const std::vector<TokenId>* ids : {&spec.prefix_ids, &spec.suffix_ids}) {
    for (const TokenId id : *ids) {
      const std::string text = text_of(spec, id).value_or("");
      tokens[text] = {{"id", text}, {"ids", {id}}, {"tokens", {text}}};
    }
  }
  return {{"type", "TemplateProcessing"},
          {"single", std::move(single)},
          {"pair", std::move(pair)},
          {"special_tokens", std::move(tokens)}};
}

bool has_one(const std::vector<TokenId>& ids, std::optional<TokenId> id) {
  return id && std::find(ids.begin(), ids.end(), *id) != ids.end();
}

}  // namespace

Result<OrderedJson> tokenizer_json_of(const TokenizerSpec& spec) {
  if (spec.model != TokenizerModel::kBpe) {
    return Error{ErrorCode::kUnsupported,
                 "only BPE vocabularies are written as tokenizer.json so far"};
  }
  const std::vector<AddedToken> added = added_by_id(spec);
  OrderedJson json;
  json["version"] = "1.0";
  json["truncation"] = nullptr;
  json["padding"] = nullptr;
  json["added_tokens"] = added_tokens_json(added);
  json["normalizer"] = normalizers_json(spec.normalizers);
  json["pre_tokenizer"] = pre_tokenizers_json(spec.pre_tokenizers);
  json["post_processor"] = post_processor_json(spec);
  json["decoder"] = decoders_json(spec.decoders);
  json["model"] = TRY(model_json(spec, added));
  return json;
}

OrderedJson tokenizer_config_json_of(const TokenizerSpec& spec, std::size_t context_tokens) {
  OrderedJson config;
  config["tokenizer_class"] = "PreTrainedTokenizerFast";
  const auto add_token = [&](const char* key, std::optional<TokenId> id) {
    if (const std::optional<std::string> text = text_of(spec, id)) config[key] = *text;
  };
  add_token("bos_token", spec.bos_id);
  add_token("eos_token", spec.eos_id);
  add_token("unk_token", spec.unk_id);
  add_token("pad_token", spec.pad_id);
  config["add_bos_token"] = has_one(spec.prefix_ids, spec.bos_id);
  config["add_eos_token"] = has_one(spec.suffix_ids, spec.eos_id);
  config["clean_up_tokenization_spaces"] = false;
  config["model_max_length"] = context_tokens;
  if (spec.chat_templates.size() == 1 && spec.chat_templates.front().name.empty()) {
    config["chat_template"] = spec.chat_templates.front().source;
  } else if (!spec.chat_templates.empty()) {
    OrderedJson list = OrderedJson::array();
    for (const TokenizerSpec::NamedTemplate& chat : spec.chat_templates) {
      list.push_back(
          {{"name", chat.name.empty() ? "default" : chat.name}, {"template", chat.source}});
    }
    config["chat_template"] = std::move(list);
  }
  return config;
}

}  // namespace millrace
