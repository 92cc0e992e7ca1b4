// The shapes of published models, by name: what a benchmark needs of a model whose weights are not
// at hand.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/export_facts.h"
#include "model/model_spec.h"

namespace millrace {

// The numbers of the published config.json. Zero where a family has no such number.
struct PublicShape {
  std::string_view name;        // "qwen2.5-0.5b"
  std::string_view repository;  // whose config.json it is
  std::string_view architecture;
  std::size_t hidden = 0;
  std::size_t num_layers = 0;
  std::size_t num_heads = 0;
  std::size_t num_kv_heads = 0;
  std::size_t head_dim = 0;
  std::size_t feed_forward = 0;  // intermediate_size
  std::size_t vocabulary = 0;
  std::size_t context = 0;
  double rope_base = 10000.0;
  double llama3_factor = 0.0;  // rope_scaling of type llama3, original context 8192
  float norm_eps = 1e-5f;
  bool has_tied_embeddings = false;
  std::size_t window = 0;
  std::size_t num_experts = 0;
  std::size_t num_selected = 0;
  std::size_t expert_width = 0;  // where it is not feed_forward
};

std::span<const PublicShape> public_shapes();

// kNotFound naming the closest names when there is no such shape.
Result<const PublicShape*> find_public_shape(std::string_view name);

// Parts of a shape that may be made smaller or larger.
struct ShapeChanges {
  std::optional<std::size_t> num_layers = std::nullopt;
  std::optional<std::size_t> vocabulary = std::nullopt;
  std::optional<std::size_t> context = std::nullopt;
};

// Without special ids. kInvalidArgument when a change is beyond what models may have.
Result<ModelSpec> spec_of(const PublicShape& shape, const ShapeChanges& changes = {});
ExportFacts facts_of(const PublicShape& shape);

}  // namespace millrace
