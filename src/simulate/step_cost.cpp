// Costs from a file, from formulas, and the ones that come along.
#include "simulate/step_cost.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "base/file.h"
#include "report/html.h"

namespace millrace {
namespace {

constexpr const char* kFormat = "millrace-step-cost";
constexpr int kVersion = 2;
constexpr std::size_t kRoofsMax = 16;
constexpr std::uint64_t kFileBytesMax = 1 << 20;

struct Term {
  const char* key;
  double LinearCost::*member;
  const char* label;
};
constexpr std::array<Term, 8> kTerms = {
    {{"per_step", &LinearCost::per_step, "step"},
     {"per_token", &LinearCost::per_token, "tokens x"},
     {"per_sequence", &LinearCost::per_sequence, "sequences x"},
     {"per_kv_token", &LinearCost::per_kv_token, "cache tokens x"},
     {"per_attended", &LinearCost::per_attended, "attended pairs x"},
     {"per_few_token", &LinearCost::per_few_token, "first 16 tokens x"},
     {"per_many_token", &LinearCost::per_many_token, "tokens beyond 16 x"},
     {"per_sampled", &LinearCost::per_sampled, "rows of logits x"}}};

Error corrupt(const std::string& name, const std::string& what) {
  return Error{ErrorCode::kCorruptData, name + ": " + what};
}

Result<StepCost::Roof> parse_roof(const Json& object, const std::string& name) {
  if (!object.is_object()) return corrupt(name, "roofs or host holds something else than objects");
  StepCost::Roof roof;
  if (const auto label = object.find("name"); label != object.end() && label->is_string()) {
    roof.name = label->get<std::string>();
  }
  double sum = 0;
  for (const Term& term : kTerms) {
    const auto field = object.find(term.key);
    if (field == object.end()) continue;
    const double value = field->is_number() ? field->get<double>() : -1;
    // A step of a billion tokens then still has a time that fits.
    if (!(value >= 0 && value <= 1e6)) {
      return corrupt(name, std::string(term.key) + " is not a number from 0 to 1e6");
    }
    roof.cost.*term.member = value;
    sum += value;
  }
  if (sum <= 0) return corrupt(name, "a roof or host without a term above 0");
  return roof;
}

Result<std::uint64_t> optional_count(const Json& object, const char* key, std::uint64_t max,
                                     const std::string& name) {
  const auto field = object.find(key);
  if (field == object.end()) return std::uint64_t{0};
  if (!field->is_number_unsigned() || field->get<std::uint64_t>() > max) {
    return corrupt(name, std::string(key) + " is not a number from 0 to " + std::to_string(max));
  }
  return field->get<std::uint64_t>();
}

}  // namespace

std::string cost_text(const LinearCost& cost) {
  std::string text;
  for (const Term& term : kTerms) {
    const double micros = cost.*term.member * 1e6;
    if (micros <= 0) continue;
    const bool is_tiny = micros < 0.1;
    text += (text.empty() ? "" : " + ") + std::string(term.label) + " " +
            number_text(is_tiny ? micros * 1e3 : micros, 3) + (is_tiny ? " ns" : " us");
  }
  return text.empty() ? "nothing" : text;
}

double StepCost::seconds(const StepShape& shape) const {
  double most = 0;
  for (const Roof& roof : roofs) most = std::max(most, roof.cost.seconds(shape));
  return most;
}

Result<StepCost> parse_step_cost(std::string_view text, const std::string& name) {
  const Json object = TRY(parse_json(text, name, {.bytes_max = kFileBytesMax, .depth_max = 8}));
  if (!object.is_object() || object.value("format", Json()) != kFormat) {
    return corrupt(name, std::string("expected an object with \"format\": \"") + kFormat + "\"");
  }
  const Json version = object.value("version", Json());
  if (version != 1 && version != kVersion) {
    return corrupt(name, "version is " + version.dump() + ", expected 1 or 2");
  }
  StepCost cost;
  const auto label = object.find("name");
  cost.name = label != object.end() && label->is_string() ? label->get<std::string>() : name;
  cost.cache_tokens = TRY(optional_count(object, "cache_tokens", 1ull << 36, name));
  cost.kv_bytes_per_token = TRY(optional_count(object, "kv_bytes_per_token", 1ull << 36, name));
  if (const auto host = object.find("host"); host != object.end()) {
    cost.host = TRY(parse_roof(*host, name)).cost;
  }
  const auto roofs = object.find("roofs");
  if (roofs == object.end() || !roofs->is_array() || roofs->empty() || roofs->size() > kRoofsMax) {
    return corrupt(name, "expected a list roofs of 1 to " + std::to_string(kRoofsMax));
  }
  for (const Json& roof : *roofs) cost.roofs.push_back(TRY(parse_roof(roof, name)));
  return cost;
}

Result<StepCost> read_step_cost(const std::string& path) {
  const std::string text = TRY(read_file(path, kFileBytesMax));
  return parse_step_cost(text, path);
}

OrderedJson step_cost_json(const StepCost& cost) {
  OrderedJson object = {{"format", kFormat}, {"version", kVersion}, {"name", cost.name}};
  if (cost.cache_tokens > 0) object["cache_tokens"] = cost.cache_tokens;
  if (cost.kv_bytes_per_token > 0) object["kv_bytes_per_token"] = cost.kv_bytes_per_token;
  object["roofs"] = OrderedJson::array();
  for (const StepCost::Roof& roof : cost.roofs) {
    OrderedJson terms = {{"name", roof.name}};
    for (const Term& term : kTerms) terms[term.key] = roof.cost.*term.member;
    object["roofs"].push_back(std::move(terms));
  }
  double host = 0;
  for (const Term& term : kTerms) host += cost.host.*term.member;
  for (const Term& term : kTerms) {
    if (host > 0) object["host"][term.key] = cost.host.*term.member;
  }
  return object;
}

// Of a step of T tokens, R of them with logits, that reads S_kv tokens of cache and attends A
// pairs:
//
//   compute = (2·P·T + 2·E·V·R + 4·H·D·L·A) / (F·mfu) + L·gap
//   memory  = (weights + 2·K·D·L·κ·S_kv) / (BW·mbu) + L·gap
//
// with P the parameters of the layers' matrices. Activations are left out: below 1 % of the weights
// up to hundreds of tokens, where memory is the slower roof. Source: the usual roofline (Williams,
// Waterman & Patterson 2009) applied to decoders as in Pope et al. 2022, arXiv:2211.05102, section
// 2; fractions of the ceilings are assumptions.
StepCost roofline_cost(const MachineRoofs& machine, const DecoderShape& shape) {
  const double attention_dim = shape.num_heads * shape.head_dim;
  const double kv_dim = shape.num_kv_heads * shape.head_dim;
  const double layer_params = 2 * shape.hidden * attention_dim + 2 * shape.hidden * kv_dim +
                              3 * shape.hidden * shape.feed_forward;
  const double params = layer_params * shape.num_layers;
  const double head_params = shape.hidden * shape.vocabulary;
  const double kv_bytes_per_token = 2 * kv_dim * shape.num_layers * shape.kv_bytes;
  const double flops = machine.flops_per_second * machine.flops_fraction;
  const double bytes = machine.bytes_per_second * machine.bytes_fraction;
  const double gaps = shape.num_layers * machine.layer_gap_seconds;

  LinearCost compute;
  compute.per_step = gaps;
  compute.per_token = 2 * params / flops;
  compute.per_sampled = 2 * head_params / flops;
  compute.per_attended = 4 * attention_dim * shape.num_layers / flops;
  LinearCost memory;
  memory.per_step = (params + head_params) * shape.weight_bytes / bytes + gaps;
  memory.per_kv_token = kv_bytes_per_token / bytes;

  StepCost cost;
  cost.name = machine.name + "-" + shape.name;
  cost.kv_bytes_per_token = static_cast<std::uint64_t>(kv_bytes_per_token);
  const double embedding = shape.has_own_head ? head_params : 0;
  const double weights = (params + head_params + embedding) * shape.weight_bytes;
  const double left = machine.memory_bytes * machine.memory_fraction - weights;
  cost.cache_tokens = static_cast<std::uint64_t>(std::max(0.0, left) / kv_bytes_per_token);
  cost.roofs = {{"compute", compute}, {"memory", memory}};
  return cost;
}

std::vector<StepCost> builtin_step_costs() {
  // NVIDIA's data sheet: 989 dense BF16 TFLOP/s, 4.8 TB/s, 141 GB.
  const MachineRoofs h200{.name = "h200",
                          .flops_per_second = 989e12,
                          .bytes_per_second = 4.8e12,
                          .memory_bytes = 141e9};
  const DecoderShape llama{.name = "llama-3.1-8b",
                           .num_layers = 32,
                           .hidden = 4096,
                           .num_heads = 32,
                           .num_kv_heads = 8,
                           .head_dim = 128,
                           .feed_forward = 14336,
                           .vocabulary = 128'256};
  const DecoderShape qwen{.name = "qwen2.5-0.5b",
                          .num_layers = 24,
                          .hidden = 896,
                          .num_heads = 14,
                          .num_kv_heads = 2,
                          .head_dim = 64,
                          .feed_forward = 4864,
                          .vocabulary = 151'936,
                          .has_own_head = false};
  return {roofline_cost(h200, llama), roofline_cost(h200, qwen)};
}

Result<StepCost> find_builtin_step_cost(std::string_view name) {
  std::string names;
  for (StepCost& cost : builtin_step_costs()) {
    if (cost.name == name) return std::move(cost);
    names += (names.empty() ? "" : ", ") + cost.name;
  }
  return Error{ErrorCode::kNotFound, "cost model '" + std::string(name) +
                                         "' is neither a file nor one that comes along: " + names};
}

}  // namespace millrace
