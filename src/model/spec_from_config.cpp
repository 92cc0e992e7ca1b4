// config.json of the Hugging Face families that this program runs, one small reader per family
// (families/).
#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include "formats/quantization_config.h"
#include "model/families/family.h"
#include "model/read_spec.h"

namespace millrace {
namespace {

// Options of other families. A file of a family below that sets one asks for mathematics that is
// not done here, so anything but the neutral value is refused by name.
const Json& neutral_values() {
  static const Json values = {
      {"attn_logit_softcapping", nullptr},
      {"final_logit_softcapping", nullptr},
      {"attention_chunk_size", nullptr},
      {"logit_scale", 1.0},
      {"embedding_multiplier", 1.0},
      {"residual_multiplier", 1.0},
      {"logits_scaling", 1.0},
      {"use_qk_norm", false},
      {"qk_layernorm", false},
      {"alibi", false},
      {"is_encoder_decoder", false},
      {"no_rope_layers", nullptr},
      {"layernorm_type", nullptr},
  };
  return values;
}

Status refuse_foreign_options(const ConfigReader& config,
                              std::span<const std::string_view> own_options) {
  for (const auto& [key, neutral] : neutral_values().items()) {
    const Json* found = config.find(key);
    const bool is_own = std::find(own_options.begin(), own_options.end(), key) != own_options.end();
    if (found != nullptr && *found != neutral && !is_own) return config.unsupported(key, "");
  }
  return Ok{};
}

constexpr ConfigKeys kUsualKeys = {};

Result<std::uint64_t> read_count(const ConfigReader& config, const CountKey& key) {
  if (key.fallback != 0) return config.count_or(key.name, key.fallback);
  return config.count(key.name);
}

Status read_rope(const ConfigReader& config, const ConfigKeys& keys, AttentionSpec& attention,
                 ModelSpec& spec) {
  spec.context_max = TRY(read_count(config, keys.positions));
  if (!keys.has_rope) return Ok{};
  const RopeConfig rope =
      TRY(read_rope_config(config, attention.head_dim, spec.context_max, keys.rope));
  spec.context_max = rope.context_max;
  attention.rope = rope_index(spec, rope.rope);
  return Ok{};
}

Status read_attention(const ConfigReader& config, const ConfigKeys& keys, AttentionSpec& attention,
                      ModelSpec& spec) {
  attention.num_heads = TRY(read_count(config, keys.heads));
  if (attention.num_heads == 0) return config.wrong(keys.heads.name, "1 or more");
  const std::size_t kv_heads =
      keys.kv_heads.fallback != 0 ? keys.kv_heads.fallback : attention.num_heads;
  attention.num_kv_heads = TRY(config.count_or(keys.kv_heads.name, kv_heads));
  const std::size_t head_dim =
      keys.head_dim.fallback != 0 ? keys.head_dim.fallback : spec.hidden / attention.num_heads;
  attention.head_dim = TRY(config.count_or(keys.head_dim.name, head_dim));
  if (attention.head_dim == 0 || attention.head_dim > kHeadDimMax) {
    return config.wrong(keys.head_dim.name, "1 to " + std::to_string(kHeadDimMax));
  }
  attention.value_head_dim = attention.head_dim;
  attention.scale = inverse_root(static_cast<double>(attention.head_dim));
  return read_rope(config, keys, attention, spec);
}

// What all families share; every layer alike.
Result<ModelSpec> read_common(const ConfigReader& config, const ConfigKeys& keys) {
  ModelSpec spec;
  spec.vocabulary = TRY(read_count(config, keys.vocabulary));
  spec.hidden = TRY(read_count(config, keys.hidden));
  spec.final_norm = keys.norm;
  spec.final_norm.eps =
      static_cast<float>(TRY(config.number_or(keys.norm_eps, double{keys.norm.eps})));
  spec.has_tied_embeddings = TRY(config.flag_or("tie_word_embeddings", false));

  LayerSpec layer;
  layer.attention_norm = layer.feed_forward_norm = spec.final_norm;
  TRY(read_attention(config, keys, layer.attention, spec));
  const std::optional<std::size_t> width = keys.width_of_hidden != 0 && spec.hidden <= kHiddenMax
                                               ? std::optional(keys.width_of_hidden * spec.hidden)
                                               : std::nullopt;
  layer.feed_forward.width =
      width ? TRY(config.count_or(keys.width.name, *width)) : TRY(read_count(config, keys.width));
  layer.feed_forward.activation =
      TRY(read_activation(config, keys.activation, keys.default_activation));

  const std::uint64_t num_layers = TRY(read_count(config, keys.layers));
  if (num_layers == 0 || num_layers > kLayersMax) {
    return config.wrong(keys.layers.name, "1 to " + std::to_string(kLayersMax));
  }
  spec.layers.assign(num_layers, layer);
  return spec;
}

std::vector<const Family*> all_families() {
  std::vector<const Family*> families;
  for (const std::span<const Family> rows :
       {llama_families(), qwen_families(), gemma_families(), phi_families(), gpt_families(),
        expert_families(), deepseek_families(), gpt_oss_families()}) {
    for (const Family& family : rows) families.push_back(&family);
  }
  return families;
}

std::string joined_architectures() {
  std::string names;
  for (const Family* family : all_families()) {
    names += (names.empty() ? "" : ", ") + std::string(family->architecture);
  }
  return names;
}

Result<const Family*> find_family(const ConfigReader& config) {
  const Json* list = config.find("architectures");
  if (list == nullptr || !list->is_array() || list->empty() || !list->front().is_string()) {
    return config.wrong("architectures", "a list with one name");
  }
  const std::string name = list->front().get<std::string>();
  for (const Family* family : all_families()) {
    if (family->architecture == name) return family;
  }
  return config.unsupported("architectures", "this program runs " + joined_architectures());
}

// The object that holds the language model.
Result<ConfigReader> part_of(const ConfigReader& config, const Family& family) {
  if (family.part.empty()) return config;
  const std::optional<ConfigReader> part = TRY(config.object(family.part));
  if (!part) return config.wrong(family.part, "an object");
  return *part;
}

// An id or a list of ids.
Status add_ids(const ConfigReader& config, std::string_view key, std::vector<std::uint32_t>& ids) {
  const Json* value = config.find(key);
  if (value == nullptr) return Ok{};
  const Json list = value->is_array() ? *value : Json::array({*value});
  for (const Json& id : list) {
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() > kVocabularyMax) {
      return config.wrong(key, "token ids");
    }
    const auto token = id.get<std::uint32_t>();
    if (std::find(ids.begin(), ids.end(), token) == ids.end()) ids.push_back(token);
  }
  return Ok{};
}

Status read_special_ids(const ConfigReader& config, const Json& generation_config,
                        ModelSpec& spec) {
  TRY(add_ids(config, "eos_token_id", spec.eos_ids));
  if (generation_config.is_object()) {
    TRY(add_ids(ConfigReader(generation_config, "generation_config.json"), "eos_token_id",
                spec.eos_ids));
  }
  std::vector<std::uint32_t> bos;
  TRY(add_ids(config, "bos_token_id", bos));
  if (!bos.empty()) spec.bos_id = bos.front();
  return Ok{};
}

}  // namespace

namespace {

// What is not read of quantised matrices; a family may have a scheme of its own.
Status refuse_quantization(const Json& config, const ConfigReader& whole, const ConfigReader& part,
                           const Family& family) {
  constexpr std::string_view kKey = "quantization_config";
  for (const std::string_view option : family.own_options) {
    if (option == kKey) return Ok{};
  }
  if (whole.find(kKey) == nullptr && part.find(kKey) != nullptr) {
    return part.unsupported(kKey, "expected at the top of the file");
  }
  TRY(read_quantization_config(config, whole.name()));
  return Ok{};
}

}  // namespace

std::vector<std::string> supported_architectures() {
  std::vector<std::string> names;
  for (const Family* family : all_families()) names.emplace_back(family->architecture);
  return names;
}

Result<ModelSpec> spec_from_config(const Json& config, const Json& generation_config,
                                   const std::string& name) {
  const ConfigReader whole(config, name);
  const Family* family = TRY(find_family(whole));
  const ConfigReader reader = TRY(part_of(whole, *family));
  TRY(refuse_foreign_options(whole, family->own_options));
  TRY(refuse_foreign_options(reader, family->own_options));
  TRY(refuse_quantization(config, whole, reader, *family));
  ModelSpec spec = TRY(read_common(reader, family->keys != nullptr ? *family->keys : kUsualKeys));
  spec.architecture = family->runs_as.empty() ? family->architecture : family->runs_as;
  TRY(family->read(reader, spec));
  TRY(read_special_ids(whole, generation_config, spec));
  Status checked = check_spec(spec);
  if (!checked.ok()) return with_context(std::move(checked).error(), name);
  return spec;
}

}  // namespace millrace
