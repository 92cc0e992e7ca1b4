// What files say about a model and a ModelSpec does not keep, because running needs none of it.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "base/result.h"
#include "formats/checkpoint.h"
#include "model/model_spec.h"

namespace millrace {

struct ExportFacts {
  std::string name;  // for people: general.name
  // Positions before rope scaling stretches them: max_position_embeddings.
  std::optional<std::size_t> positions;
  // The feed-forward width that the files name beside the experts' own.
  std::optional<std::size_t> dense_width;
  Json generation = nullptr;  // of generation_config.json; only how to sample is used
};

// The name is the checkpoint's folder or file where it has none of its own.
Result<ExportFacts> read_export_facts(const Checkpoint& checkpoint);

// The facts' number, or the one that gives the spec's context back.
std::size_t unscaled_positions(const ModelSpec& spec, const ExportFacts& facts);
std::size_t dense_width(const ModelSpec& spec, const ExportFacts& facts);

}  // namespace millrace
