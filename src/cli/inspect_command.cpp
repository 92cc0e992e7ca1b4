// `millrace inspect MODEL`: what a checkpoint is, from its headers alone.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <set>

#include "cli/command.h"
#include "cli/hub_models.h"
#include "cli/model_text.h"
#include "cli/quantity.h"
#include "memory/kv_cache.h"
#include "model/checkpoint_tensors.h"
#include "model/loaded_model.h"
#include "model/read_spec.h"

namespace millrace {
namespace {

struct InspectOptions {
  std::string model;
  bool as_json = false;
  bool lists_tensors = false;
};

// The part of the model that a role belongs to.
const char* part_of(TensorRole role) {
  if (role <= TensorRole::kPositions) return "embedding";
  if (role == TensorRole::kOutput || role == TensorRole::kOutputBias) return "output";
  if (role >= TensorRole::kExpertGate || role == TensorRole::kRouter) return "experts";
  if (role >= TensorRole::kGate) return "feed-forward";
  const bool norm =
      role <= TensorRole::kAttentionPostNorm ||
      (role >= TensorRole::kFeedForwardNorm && role <= TensorRole::kFeedForwardPostNorm);
  return norm ? "norms" : "attention";
}

// Stored bytes by part; tensors that no role claims are "other".
std::map<std::string, std::uint64_t> bytes_by_part(const Checkpoint& checkpoint,
                                                   const ModelSpec& spec) {
  const CheckpointTensors tensors(checkpoint, spec);
  std::map<std::string, std::uint64_t> parts;
  std::set<const TensorInfo*> counted;
  std::uint64_t claimed = 0;
  for (std::size_t role = 0; role < kNumTensorRoles; ++role) {
    const bool stacked = checkpoint.kind() == CheckpointKind::kGguf;
    for (std::size_t layer = 0; layer < spec.layers.size(); ++layer) {
      const auto kind = static_cast<TensorRole>(role);
      const std::size_t num_experts = kind < TensorRole::kExpertGate || stacked
                                          ? 1
                                          : spec.layers[layer].feed_forward.num_experts;
      for (std::size_t expert = 0; expert < num_experts; ++expert) {
        for (const TensorInfo* info : tensors.stored_parts({kind, layer, expert})) {
          // Some files keep several roles in one tensor: it counts for the first of them.
          if (!counted.insert(info).second) continue;
          parts[part_of(kind)] += info->bytes.size();
          claimed += info->bytes.size();
        }
      }
      if (kind < TensorRole::kAttentionNorm) break;  // Not one of a layer's.
    }
  }
  const std::uint64_t all = checkpoint.weights().num_bytes();
  if (all > claimed) parts["other"] = all - claimed;
  return parts;
}

// How many tensors and bytes of each stored type.
struct TypeTotal {
  std::size_t num_tensors = 0;
  std::uint64_t num_bytes = 0;
  bool is_readable = true;
};
std::map<std::string, TypeTotal> totals_by_type(const Checkpoint& checkpoint) {
  std::map<std::string, TypeTotal> totals;
  for (const TensorInfo& info : checkpoint.weights().tensors()) {
    TypeTotal& total = totals[info.type_name];
    ++total.num_tensors;
    total.num_bytes += info.bytes.size();
    // FP8 means something together with the scales of a scheme that is read.
    const bool is_fp8 = info.type_name == "F8_E4M3" || info.type_name == "F8_E8M0";
    const bool is_readable =
        info.refusal.empty() || (is_fp8 && checkpoint.quantization() != nullptr);
    total.is_readable = total.is_readable && is_readable;
  }
  return totals;
}

// "8 of 32 heads x 128", or a range where layers differ.
std::string attention_text(const ModelSpec& spec) {
  const AttentionSpec& first = spec.layers.front().attention;
  std::size_t num_sliding = 0;
  bool all_alike = true;
  for (const LayerSpec& layer : spec.layers) {
    num_sliding += layer.attention.kind == AttentionKind::kSliding ? 1 : 0;
    all_alike = all_alike && layer.attention.num_heads == first.num_heads &&
                layer.attention.num_kv_heads == first.num_kv_heads;
  }
  std::string text = std::to_string(first.num_heads) + " heads, " +
                     std::to_string(first.num_kv_heads) + " key/value heads, dimension " +
                     std::to_string(first.head_dim);
  if (!all_alike) text += " (first layer; others differ)";
  if (num_sliding > 0) {
    for (const LayerSpec& layer : spec.layers) {
      if (layer.attention.kind != AttentionKind::kSliding) continue;
      text += ", window of " + std::to_string(layer.attention.window) + " in " +
              std::to_string(num_sliding) + " of " + std::to_string(spec.layers.size()) + " layers";
      break;
    }
  }
  return text;
}

std::string feed_forward_text(const ModelSpec& spec) {
  std::size_t num_sparse = 0;
  const FeedForwardSpec* sparse = nullptr;
  const FeedForwardSpec* dense = nullptr;
  for (const LayerSpec& layer : spec.layers) {
    const bool experts = layer.feed_forward.kind == FeedForwardKind::kExperts;
    num_sparse += experts ? 1 : 0;
    (experts ? sparse : dense) = &layer.feed_forward;
  }
  std::string text;
  if (dense != nullptr) text = "width " + std::to_string(dense->width);
  if (sparse != nullptr) {
    text += (text.empty() ? "" : "; ") + std::to_string(sparse->num_selected) + " of " +
            std::to_string(sparse->num_experts) + " experts of width " +
            std::to_string(sparse->width) + " in " + std::to_string(num_sparse) + " layers";
  }
  return text;
}

OrderedJson spec_json(const ModelSpec& spec) {
  const ParameterCount count = count_parameters(spec);
  const AttentionSpec& attention = spec.layers.front().attention;
  OrderedJson json = {
      {"architecture", spec.architecture},
      {"parameters", count.total},
      {"active_parameters", count.active},
      {"layers", spec.layers.size()},
      {"hidden_size", spec.hidden},
      {"heads", attention.num_heads},
      {"kv_heads", attention.num_kv_heads},
      {"head_dim", attention.head_dim},
      {"feed_forward", feed_forward_text(spec)},
      {"vocabulary", spec.vocabulary},
      {"context", spec.context_max},
      {"tied_embeddings", spec.has_tied_embeddings},
  };
  for (const DType dtype : {DType::kF16, DType::kI8}) {
    const std::string name = dtype == DType::kI8 ? "int8" : std::string(dtype_name(dtype));
    // The spec was checked, so its cache is within every limit.
    json["kv_bytes_per_token"][name] = MUST(kv_bytes_per_token(kv_cache_spec(spec, dtype, 16)));
  }
  return json;
}

void print_line(const char* name, const std::string& text) {
  std::printf("%-18s %s\n", name, text.c_str());
}

void print_lines(const OrderedJson& json, const ModelSpec* spec) {
  print_line("path", json["path"]);
  print_line("format", json["format"]);
  if (json.contains("quantization")) print_line("quantised", json["quantization"]);
  if (spec != nullptr) {
    const OrderedJson& model = json["model"];
    print_line("architecture", spec->architecture);
    std::string parameters = show_count(model["parameters"]);
    if (model["active_parameters"] != model["parameters"]) {
      parameters += ", " + show_count(model["active_parameters"]) + " active per token";
    }
    print_line("parameters", parameters);
    print_line("layers", std::to_string(spec->layers.size()) + " of hidden size " +
                             std::to_string(spec->hidden));
    print_line("attention", attention_text(*spec));
    print_line("feed-forward", feed_forward_text(*spec));
    print_line("vocabulary", std::to_string(spec->vocabulary) +
                                 (spec->has_tied_embeddings ? ", output tied to embedding" : ""));
    print_line("context", std::to_string(spec->context_max) + " tokens");
    print_line("cache per token", show_bytes(model["kv_bytes_per_token"]["f16"]) + " in f16, " +
                                      show_bytes(model["kv_bytes_per_token"]["int8"]) + " in int8");
  } else {
    print_line("model", json["model_error"]);
  }
  print_line("tokeniser", json.contains("tokenizer") ? tokenizer_line(json["tokenizer"])
                                                     : json["tokenizer_error"].get<std::string>());
  print_line("weights", show_bytes(json["weight_bytes"]));
  for (const auto& [part, bytes] : json["bytes_by_part"].items()) {
    print_line("", part + ": " + show_bytes(bytes));
  }
  for (const auto& [type, total] : json["types"].items()) {
    print_line("", type + ": " + std::to_string(total["tensors"].get<std::size_t>()) +
                       " tensors, " + show_bytes(total["bytes"]) +
                       (total["readable"] ? "" : " (not supported)"));
  }
}

void print_tensors(const WeightSource& weights) {
  for (const TensorInfo& info : weights.tensors()) {
    std::printf("%-60s %-10s %s\n", info.name.c_str(), info.type_name.c_str(),
                to_string(info.shape).c_str());
  }
}

void print_json(const OrderedJson& json) {
  std::printf("%s\n", json.dump(2, ' ', false, OrderedJson::error_handler_t::replace).c_str());
}

// The keys "model" and "bytes_by_part", or why there is no model.
void add_model(const Checkpoint& checkpoint, const Result<ModelSpec>& spec, OrderedJson& json) {
  json["bytes_by_part"] = OrderedJson::object();
  if (spec.ok()) {
    json["model"] = spec_json(spec.value());
    json["bytes_by_part"] = bytes_by_part(checkpoint, spec.value());
  } else if (checkpoint.weights().tensors().empty()) {
    json["model_error"] = "none: only a vocabulary, without weights";
  } else {
    json["model_error"] = spec.error().message;
  }
}

void add_tokenizer(const Result<TokenizerSpec>& spec, OrderedJson& json) {
  Result<OrderedJson> description =
      spec.ok() ? describe_tokenizer(spec.value()) : Result<OrderedJson>(spec.error());
  if (description.ok()) {
    json["tokenizer"] = std::move(description).value();
  } else {
    json["tokenizer_error"] = description.error().message;
  }
}

Status inspect_checkpoint(const Checkpoint& checkpoint, const InspectOptions& options) {
  const WeightSource& weights = checkpoint.weights();
  OrderedJson json = {{"path", options.model}, {"format", weights.format_name()}};
  if (checkpoint.quantization() != nullptr) {
    json["quantization"] = checkpoint.quantization()->summary;
  }
  const Result<ModelSpec> spec = read_spec(checkpoint);
  add_model(checkpoint, spec, json);
  add_tokenizer(load_model_tokenizer_spec(checkpoint), json);
  json["weight_bytes"] = checkpoint.packed() != nullptr
                             ? checkpoint.packed()->section(PackedSection::kWeights).size()
                             : weights.num_bytes();
  json["types"] = OrderedJson::object();
  for (const auto& [type, total] : totals_by_type(checkpoint)) {
    json["types"][type] = {{"tensors", total.num_tensors},
                           {"bytes", total.num_bytes},
                           {"readable", total.is_readable}};
  }
  if (options.as_json) {
    print_json(json);
  } else {
    print_lines(json, spec.ok() ? &spec.value() : nullptr);
  }
  if (options.lists_tensors && !options.as_json) print_tensors(weights);
  return Ok{};
}

// Tokeniser files without a model.
Status inspect_vocabulary(const TokenizerSpec& spec, const InspectOptions& options) {
  OrderedJson json = {{"path", options.model}, {"format", "tokeniser files"}};
  json["tokenizer"] = TRY(describe_tokenizer(spec));
  if (options.as_json) {
    print_json(json);
  } else {
    print_line("path", options.model);
    print_line("format", json["format"]);
    print_line("model", "none: only a vocabulary, without weights");
    print_line("tokeniser", tokenizer_line(json["tokenizer"]));
  }
  return Ok{};
}

Status inspect(const InspectOptions& options) {
  const std::string path = TRY(local_model(options.model));
  Result<Checkpoint> checkpoint = open_checkpoint(path);
  if (checkpoint.ok()) return inspect_checkpoint(checkpoint.value(), options);
  const Result<TokenizerSpec> spec = load_tokenizer_spec_at(options.model);
  if (spec.ok()) return inspect_vocabulary(spec.value(), options);
  return std::move(checkpoint).error();
}

}  // namespace

void add_inspect_command(CLI::App& app, Action& action) {
  CLI::App* command =
      app.add_subcommand("inspect", "Shape, sizes, tokeniser and template of a checkpoint");
  auto options = std::make_shared<InspectOptions>();
  command
      ->add_option("model", options->model,
                   "Hugging Face folder, .gguf file, llama2.c .bin file, or tokeniser files")
      ->type_name("PATH")
      ->required();
  command->add_flag("--json", options->as_json, "One JSON object");
  command->add_flag("--tensors", options->lists_tensors, "List every tensor");
  command->callback([options, &action] { action = [options] { return inspect(*options); }; });
}

}  // namespace millrace
