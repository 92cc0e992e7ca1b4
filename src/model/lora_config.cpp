// Field by field; what is not known to be harmless is refused unless it says nothing.
#include "model/lora_config.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/json.h"
#include "model/config_reader.h"
#include "model/lora_adapter.h"

namespace millrace {
namespace {

// Fields that say how the adapter was trained, stored or begun, and nothing about what it computes;
// those that do are read below.
constexpr std::string_view kHarmless[] = {
    "peft_type",
    "auto_mapping",
    "base_model_name_or_path",
    "revision",
    "task_type",
    "inference_mode",
    "r",
    "target_modules",
    "exclude_modules",
    "lora_alpha",
    "lora_dropout",
    "fan_in_fan_out",
    "bias",
    "use_rslora",
    "init_lora_weights",
    "layers_to_transform",
    "layers_pattern",
    "rank_pattern",
    "alpha_pattern",
    "megatron_config",
    "megatron_core",
    "loftq_config",
    "eva_config",
    "corda_config",
    "runtime_config",
    "peft_version",
    "qalora_group_size",
    "ensure_weight_tying",
};
// These begin by changing the weights that they adapt, so that the adapter does not fit the model
// as it was published.
constexpr std::string_view kChangingStarts[] = {"pissa", "olora", "loftq", "corda"};

// null, false, [] and {} mean the same as leaving a field out.
bool says_nothing(const Json& value) {
  if (value.is_null()) return true;
  if (value.is_boolean()) return !value.get<bool>();
  return (value.is_array() || value.is_object()) && value.empty();
}

Status check_known(const Json& config, const ConfigReader& reader) {
  for (const auto& [key, value] : config.items()) {
    const bool is_known =
        std::find(std::begin(kHarmless), std::end(kHarmless), key) != std::end(kHarmless);
    if (is_known || says_nothing(value)) continue;
    if (key == "use_dora") return reader.unsupported(key, "DoRA is not implemented");
    if (key == "modules_to_save") {
      return reader.unsupported(key, "modules that are replaced whole are not implemented");
    }
    return reader.unsupported(key, "it is not known or not implemented");
  }
  return Ok{};
}

Status check_kind(const ConfigReader& reader) {
  const std::string kind = TRY(reader.text("peft_type"));
  if (kind != "LORA") return reader.unsupported("peft_type", kind + " is not LORA");
  const std::string bias = TRY(reader.text_or("bias", "none"));
  if (bias != "none") return reader.unsupported("bias", "trained biases are not implemented");
  const Json* start = reader.find("init_lora_weights");
  if (start == nullptr || !start->is_string()) return Ok{};
  const std::string name = start->get<std::string>();
  for (const std::string_view changing : kChangingStarts) {
    if (!name.starts_with(changing)) continue;
    return reader.unsupported("init_lora_weights",
                              name + " changes the model's own weights; convert the adapter first");
  }
  return Ok{};
}

Error with_field(const ConfigReader& reader, std::string_view key, Error error) {
  error.message = reader.name() + ": " + std::string(key) + ": " + error.message;
  return error;
}

Status check_count(const ConfigReader& reader, std::string_view key, std::size_t count) {
  if (count <= kLoraPatternsMax) return Ok{};
  return Error{ErrorCode::kTooLarge, reader.name() + ": " + std::string(key) + " has " +
                                         std::to_string(count) + " entries, at most " +
                                         std::to_string(kLoraPatternsMax) + " are allowed"};
}

Status read_targets(const ConfigReader& reader, LoraConfig& out) {
  const Json* targets = reader.find("target_modules");
  if (targets == nullptr) return Ok{};
  if (targets->is_string()) {
    const std::string text = targets->get<std::string>();
    std::string lower = text;
    for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    if (lower == "all-linear") return Ok{};
    Result<NamePattern> pattern = NamePattern::parse(text);
    if (!pattern.ok()) return with_field(reader, "target_modules", pattern.error());
    out.target_pattern = std::move(pattern).value();
    return Ok{};
  }
  if (!targets->is_array()) return reader.wrong("target_modules", "a list of names or a pattern");
  TRY(check_count(reader, "target_modules", targets->size()));
  for (const Json& target : *targets) {
    if (!target.is_string()) return reader.wrong("target_modules", "names");
    out.target_names.push_back(target.get<std::string>());
  }
  return Ok{};
}

// Calls take(pattern, value) for each entry, in the order of the file.
template <class Take>
Status read_patterns(const OrderedJson& config, const ConfigReader& reader, const char* key,
                     const Take& take) {
  const auto found = config.find(key);
  if (found == config.end() || found->is_null()) return Ok{};
  if (!found->is_object()) return reader.wrong(key, "an object of patterns and numbers");
  TRY(check_count(reader, key, found->size()));
  for (const auto& [pattern, value] : found->items()) {
    Result<NamePattern> parsed = NamePattern::parse(pattern);
    if (!parsed.ok()) return with_field(reader, key, parsed.error());
    if (!value.is_number()) return reader.wrong(key, "numbers");
    TRY(take(std::move(parsed).value(), value.template get<double>()));
  }
  return Ok{};
}

Result<std::size_t> checked_rank(const ConfigReader& reader, std::string_view key, double rank) {
  if (rank >= 1 && rank <= static_cast<double>(kLoraRankMax) && rank == std::floor(rank)) {
    return static_cast<std::size_t>(rank);
  }
  return reader.wrong(key, "ranks of 1 to " + std::to_string(kLoraRankMax));
}

// Beyond this a product leaves f32 for any weights at all.
Result<double> checked_alpha(const ConfigReader& reader, std::string_view key, double alpha) {
  constexpr double kAlphaMax = 1e9;
  if (std::abs(alpha) <= kAlphaMax) return alpha;
  return reader.wrong(key, "numbers of at most 1e9");
}

}  // namespace

bool LoraConfig::targets(std::string_view module) const {
  if (target_pattern) return target_pattern->matches(module);
  if (target_names.empty()) return true;
  return std::any_of(target_names.begin(), target_names.end(), [module](const std::string& name) {
    return module == name || module.ends_with("." + name);
  });
}

std::size_t LoraConfig::rank_of(std::string_view module) const {
  for (const auto& [pattern, value] : rank_pattern) {
    if (pattern.matches_end(module)) return value;
  }
  return rank;
}

double LoraConfig::scale_of(std::string_view module) const {
  double of_module = alpha;
  for (const auto& [pattern, value] : alpha_pattern) {
    if (!pattern.matches_end(module)) continue;
    of_module = value;
    break;
  }
  const auto ranks = static_cast<double>(rank_of(module));
  return of_module / (scaling == LoraScaling::kByRank ? ranks : std::sqrt(ranks));
}

Result<LoraConfig> parse_lora_config(std::string_view text, const std::string& name) {
  const JsonLimits limits{.bytes_max = kLoraConfigBytesMax, .depth_max = 16};
  const Json config = TRY(parse_json(text, name, limits));
  // The first pattern that matches counts, so their order does.
  const OrderedJson ordered = TRY(parse_ordered_json(text, name, limits));
  if (!config.is_object()) {
    return Error{ErrorCode::kCorruptData, name + ": expected an object"};
  }
  const ConfigReader reader(config, name);
  TRY(check_kind(reader));
  TRY(check_known(config, reader));
  LoraConfig out;
  out.rank = TRY(checked_rank(reader, "r", TRY(reader.number("r"))));
  out.alpha = TRY(checked_alpha(reader, "lora_alpha", TRY(reader.number("lora_alpha"))));
  if (TRY(reader.flag_or("use_rslora", false))) out.scaling = LoraScaling::kByRootOfRank;
  TRY(read_targets(reader, out));
  TRY(read_patterns(ordered, reader, "rank_pattern",
                    [&](NamePattern pattern, double value) -> Status {
                      const std::size_t rank = TRY(checked_rank(reader, "rank_pattern", value));
                      out.rank_pattern.emplace_back(std::move(pattern), rank);
                      return Ok{};
                    }));
  TRY(read_patterns(ordered, reader, "alpha_pattern",
                    [&](NamePattern pattern, double value) -> Status {
                      const double alpha = TRY(checked_alpha(reader, "alpha_pattern", value));
                      out.alpha_pattern.emplace_back(std::move(pattern), alpha);
                      return Ok{};
                    }));
  return out;
}

}  // namespace millrace
