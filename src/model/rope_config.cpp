// Rope kinds of config.json: default, linear, dynamic, llama3, yarn, longrope; the others are
// refused by name.
#include "model/rope_config.h"

#include <algorithm>
#include <cmath>

namespace millrace {
namespace {

// Peng et al. 2023, arXiv:2309.00071, eq. 22: the temperature that goes with a stretch.
double yarn_temperature(double factor, double mscale) {
  return factor <= 1.0 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}

// The positions that a config.json names.
struct RopeOrigin {
  double positions = 0.0;         // max_position_embeddings
  double original_context = 0.0;  // original_max_position_embeddings beside it, or the same
  bool is_stated = false;         // beside it, not within the scaling
};

Status read_llama3(const ConfigReader& scaling, RopeSpec& rope) {
  rope.scaling = RopeScaling::kLlama3;
  rope.factor = TRY(scaling.number("factor"));
  rope.low_frequency_factor = TRY(scaling.number("low_freq_factor"));
  rope.high_frequency_factor = TRY(scaling.number("high_freq_factor"));
  rope.original_context = TRY(scaling.number("original_max_position_embeddings"));
  return Ok{};
}

Status read_yarn(const ConfigReader& scaling, double original_context, RopeSpec& rope) {
  rope.scaling = RopeScaling::kYarn;
  rope.factor = TRY(scaling.number("factor"));
  rope.original_context =
      TRY(scaling.number_or("original_max_position_embeddings", original_context));
  rope.beta_fast = TRY(scaling.number_or("beta_fast", 32.0));
  rope.beta_slow = TRY(scaling.number_or("beta_slow", 1.0));
  rope.has_whole_bounds = TRY(scaling.flag_or("truncate", true));
  double temperature = yarn_temperature(rope.factor, 1.0);
  const double mscale = TRY(scaling.number_or("mscale", 0.0));
  const double all_dim = TRY(scaling.number_or("mscale_all_dim", 0.0));
  if (mscale != 0.0 && all_dim != 0.0) {  // Zero counts as absent, as in transformers.
    temperature = yarn_temperature(rope.factor, mscale) / yarn_temperature(rope.factor, all_dim);
  }
  rope.attention_factor = TRY(scaling.number_or("attention_factor", temperature));
  return Ok{};
}

Result<std::vector<double>> read_factors(const ConfigReader& scaling, std::string_view key) {
  const Json* list = scaling.find(key);
  if (list == nullptr || !list->is_array() || list->size() > kHeadDimMax) {
    return scaling.wrong(key, "a list of numbers");
  }
  std::vector<double> factors;
  for (const Json& factor : *list) {
    if (!factor.is_number()) return scaling.wrong(key, "a list of numbers");
    factors.push_back(factor.get<double>());
  }
  return factors;
}

// Ding et al. 2024, arXiv:2402.13753, as Phi-3 publishes it.
Status read_longrope(const ConfigReader& scaling, const RopeOrigin& origin, RopeSpec& rope) {
  for (const char* key : {"short_mscale", "long_mscale"}) {
    if (scaling.find(key) != nullptr) {
      return scaling.unsupported(key, "expected the one attention_factor of longrope");
    }
  }
  rope.scaling = RopeScaling::kLongrope;
  rope.short_divisors = TRY(read_factors(scaling, "short_factor"));
  rope.long_divisors = TRY(read_factors(scaling, "long_factor"));
  rope.original_context = origin.original_context;
  if (!origin.is_stated) {
    rope.original_context =
        TRY(scaling.number_or("original_max_position_embeddings", origin.original_context));
  }
  if (!(rope.original_context > 1.0)) {
    return scaling.wrong("original_max_position_embeddings", "more than 1");
  }
  rope.factor = TRY(scaling.number_or("factor", origin.positions / rope.original_context));
  const double temperature =
      rope.factor <= 1.0 ? 1.0
                         : std::sqrt(1.0 + std::log(rope.factor) / std::log(rope.original_context));
  rope.attention_factor = TRY(scaling.number_or("attention_factor", temperature));
  return Ok{};
}

Status read_dynamic(const ConfigReader& scaling, const RopeOrigin& origin, RopeSpec& rope) {
  rope.scaling = RopeScaling::kDynamic;
  rope.factor = TRY(scaling.number("factor"));
  rope.original_context = origin.positions;
  return Ok{};
}

Status read_scaling(const ConfigReader& scaling, const RopeOrigin& origin, RopeSpec& rope) {
  const std::string legacy = TRY(scaling.text_or("type", "default"));
  const std::string type = TRY(scaling.text_or("rope_type", legacy));
  if (type == "default") return Ok{};
  if (type == "linear") {
    rope.scaling = RopeScaling::kLinear;
    rope.factor = TRY(scaling.number("factor"));
    return Ok{};
  }
  if (type == "llama3") return read_llama3(scaling, rope);
  if (type == "dynamic") return read_dynamic(scaling, origin, rope);
  // "su" is what Phi-3's first files say; they also say "yarn" to the same factors.
  const bool has_factors = scaling.find("short_factor") != nullptr;
  if (type == "longrope" || type == "su" || (type == "yarn" && has_factors)) {
    return read_longrope(scaling, origin, rope);
  }
  if (type == "yarn") return read_yarn(scaling, origin.original_context, rope);
  return scaling.unsupported(scaling.find("rope_type") != nullptr ? "rope_type" : "type",
                             "expected default, linear, dynamic, llama3, yarn or longrope");
}

}  // namespace

Result<std::size_t> stretched_context(const RopeSpec& rope, std::size_t positions) {
  const auto before = static_cast<double>(positions);
  double stretched = before;
  if (rope.scaling == RopeScaling::kLinear || rope.scaling == RopeScaling::kDynamic) {
    stretched = before * rope.factor;
  }
  if (rope.scaling == RopeScaling::kYarn) {
    stretched = std::max(before, rope.original_context * rope.factor);
  }
  if (stretched >= 1.0 && stretched <= static_cast<double>(kContextMax)) {
    return static_cast<std::size_t>(stretched);
  }
  return Error{ErrorCode::kCorruptData, "the context is " + std::to_string(positions) +
                                            " positions, " + std::to_string(stretched) +
                                            " after rope scaling: expected 1 to " +
                                            std::to_string(kContextMax)};
}

Result<RopeConfig> read_rope_config(const ConfigReader& config, std::size_t head_dim,
                                    std::size_t positions, const RopeKeys& keys) {
  auto parameters = TRY(config.object("rope_parameters"));
  if (parameters && !keys.layer_type.empty()) {
    const auto of_type = TRY(parameters->object(keys.layer_type));
    if (of_type) parameters = of_type;
  }
  const auto scaling = TRY(config.object("rope_scaling"));
  RopeOrigin origin;
  origin.positions = static_cast<double>(positions);
  origin.is_stated = config.find("original_max_position_embeddings") != nullptr;
  origin.original_context =
      TRY(config.number_or("original_max_position_embeddings", origin.positions));

  RopeConfig result;
  RopeSpec& rope = result.rope;
  const double base = TRY(config.number_or(keys.base, keys.default_base));
  rope.base = parameters ? TRY(parameters->number_or("rope_theta", base)) : base;
  const double outer_part = TRY(config.number_or(keys.part, keys.default_part));
  const double part =
      parameters ? TRY(parameters->number_or("partial_rotary_factor", outer_part)) : outer_part;
  if (!(part > 0.0 && part <= 1.0)) return config.wrong(keys.part, "a number in (0, 1]");
  rope.rotary_dim = static_cast<std::size_t>(static_cast<double>(head_dim) * part);
  if (parameters) {
    TRY(read_scaling(*parameters, origin, rope));
  } else if (scaling && keys.reads_rope_scaling) {
    TRY(read_scaling(*scaling, origin, rope));
  }
  result.context_max = positions;
  if (!keys.stretches_positions) return result;
  Result<std::size_t> context = stretched_context(rope, positions);
  if (!context.ok()) return with_context(std::move(context).error(), config.name());
  result.context_max = context.value();
  return result;
}

}  // namespace millrace
