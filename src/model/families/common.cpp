// What several readers of config.json need.
#include <array>
#include <cmath>
#include <utility>

#include "model/families/family.h"

namespace millrace {

Result<Activation> read_activation(const ConfigReader& config, std::string_view key,
                                   std::string_view fallback) {
  static constexpr std::array<std::pair<std::string_view, Activation>, 8> kNames = {{
      {"silu", Activation::kSilu},
      {"swish", Activation::kSilu},
      {"gelu", Activation::kGelu},
      {"gelu_new", Activation::kGeluTanh},
      {"gelu_fast", Activation::kGeluTanh},
      {"gelu_pytorch_tanh", Activation::kGeluTanh},
      {"relu", Activation::kRelu},
      {"relu2", Activation::kRelu2},
  }};
  const std::string name = TRY(config.text_or(key, std::string(fallback)));
  for (const auto& [known, activation] : kNames) {
    if (known == name) return activation;
  }
  return config.unsupported(key, "expected silu, gelu, gelu_new, gelu_pytorch_tanh, relu or relu2");
}

void slide(LayerSpec& layer, std::size_t window) {
  layer.attention.kind = AttentionKind::kSliding;
  layer.attention.window = window;
}

Result<std::vector<bool>> read_sliding(const ConfigReader& config, std::size_t num_layers,
                                       bool (*is_sliding)(const ConfigReader&, std::size_t layer)) {
  const Json* types = config.find("layer_types");
  if (types != nullptr && (!types->is_array() || types->size() != num_layers)) {
    return config.wrong("layer_types", "a list of " + std::to_string(num_layers) + " names");
  }
  std::vector<bool> sliding(num_layers);
  for (std::size_t i = 0; i < num_layers; ++i) {
    if (types == nullptr) {
      sliding[i] = is_sliding(config, i);
      continue;
    }
    const Json& type = (*types)[i];
    if (type != "full_attention" && type != "sliding_attention") {
      return config.unsupported("layer_types", "expected full_attention or sliding_attention");
    }
    sliding[i] = type == "sliding_attention";
  }
  return sliding;
}

Status read_window_everywhere(const ConfigReader& config, ModelSpec& spec) {
  const auto has_window = [](const ConfigReader& file, std::size_t) {
    return file.find("sliding_window") != nullptr;
  };
  const std::vector<bool> sliding = TRY(read_sliding(config, spec.layers.size(), has_window));
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    if (sliding[i]) slide(spec.layers[i], TRY(config.count("sliding_window")));
  }
  return Ok{};
}

float inverse_root(double x) {
  return static_cast<float>(1.0 / std::sqrt(x));
}

Result<double> read_positive(const ConfigReader& config, std::string_view key, double fallback) {
  const double number = TRY(config.number_or(key, fallback));
  if (number > 0.0 && std::isfinite(number)) return number;
  return config.wrong(key, "a positive number");
}

}  // namespace millrace
