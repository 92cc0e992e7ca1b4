// Rope kinds of config.json: default, linear, llama3, yarn; the others are refused by name.
#include "model/rope_config.h"

#include <algorithm>
#include <cmath>

namespace millrace {
namespace {

// Peng et al. 2023, arXiv:2309.00071, eq. 22: the temperature that goes with a stretch.
double yarn_temperature(double factor, double mscale) {
  return factor <= 1.0 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}

Status read_llama3(const ConfigReader& scaling, RopeSpec& rope) {
  rope.scaling = RopeScaling::kLlama3;
  rope.factor = TRY(scaling.number("factor"));
  rope.low_frequency_factor = TRY(scaling.number("low_freq_factor"));
  rope.high_frequency_factor = TRY(scaling.number("high_freq_factor"));
  rope.original_context = TRY(scaling.number("original_max_position_embeddings"));
  return Ok{};
}

Status read_yarn(const ConfigReader& scaling, double original_context, RopeSpec& rope) {
  if (!TRY(scaling.flag_or("truncate", true))) {
    return scaling.unsupported("truncate", "yarn bounds are always whole dimensions here");
  }
  rope.scaling = RopeScaling::kYarn;
  rope.factor = TRY(scaling.number("factor"));
  rope.original_context =
      TRY(scaling.number_or("original_max_position_embeddings", original_context));
  rope.beta_fast = TRY(scaling.number_or("beta_fast", 32.0));
  rope.beta_slow = TRY(scaling.number_or("beta_slow", 1.0));
  double temperature = yarn_temperature(rope.factor, 1.0);
  if (scaling.find("mscale") != nullptr && scaling.find("mscale_all_dim") != nullptr) {
    temperature = yarn_temperature(rope.factor, TRY(scaling.number("mscale"))) /
                  yarn_temperature(rope.factor, TRY(scaling.number("mscale_all_dim")));
  }
  rope.attention_factor = TRY(scaling.number_or("attention_factor", temperature));
  return Ok{};
}

Status read_scaling(const ConfigReader& scaling, double original_context, RopeSpec& rope) {
  const std::string legacy = TRY(scaling.text_or("type", "default"));
  const std::string type = TRY(scaling.text_or("rope_type", legacy));
  if (type == "default") return Ok{};
  if (type == "linear") {
    rope.scaling = RopeScaling::kLinear;
    rope.factor = TRY(scaling.number("factor"));
    return Ok{};
  }
  if (type == "llama3") return read_llama3(scaling, rope);
  if (type == "yarn") return read_yarn(scaling, original_context, rope);
  return scaling.unsupported(scaling.find("rope_type") != nullptr ? "rope_type" : "type",
                             "expected default, linear, llama3 or yarn");
}

}  // namespace

Result<RopeConfig> read_rope_config(const ConfigReader& config, std::size_t head_dim) {
  const auto parameters = TRY(config.object("rope_parameters"));
  const auto scaling = TRY(config.object("rope_scaling"));
  const double positions = static_cast<double>(TRY(config.count("max_position_embeddings")));

  RopeConfig result;
  RopeSpec& rope = result.rope;
  const double base = TRY(config.number_or("rope_theta", 10000.0));
  rope.base = parameters ? TRY(parameters->number_or("rope_theta", base)) : base;
  const double outer_part = TRY(config.number_or("partial_rotary_factor", 1.0));
  const double part =
      parameters ? TRY(parameters->number_or("partial_rotary_factor", outer_part)) : outer_part;
  if (!(part > 0.0 && part <= 1.0))
    return config.wrong("partial_rotary_factor", "a number in (0, 1]");
  rope.rotary_dim = static_cast<std::size_t>(static_cast<double>(head_dim) * part);
  if (parameters) {
    TRY(read_scaling(*parameters, positions, rope));
  } else if (scaling) {
    TRY(read_scaling(*scaling, positions, rope));
  }

  double stretched = positions;
  if (rope.scaling == RopeScaling::kLinear) stretched = positions * rope.factor;
  if (rope.scaling == RopeScaling::kYarn) {
    stretched = std::max(positions, rope.original_context * rope.factor);
  }
  if (!(stretched >= 1.0 && stretched <= static_cast<double>(kContextMax))) {
    return config.wrong("max_position_embeddings",
                        "1 to " + std::to_string(kContextMax) + " positions after rope scaling");
  }
  result.context_max = static_cast<std::size_t>(stretched);
  return result;
}

}  // namespace millrace
