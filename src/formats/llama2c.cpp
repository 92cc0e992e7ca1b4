// The parser of llama2.c checkpoints.
#include "formats/llama2c.h"

#include <array>

#include "base/checked.h"
#include "formats/byte_reader.h"
#include "formats/extents.h"

namespace millrace {
namespace {

constexpr std::size_t kNumHeaderFields = 7;
constexpr std::array<const char*, kNumHeaderFields> kFieldNames = {
    "dim", "hidden_dim", "n_layers", "n_heads", "n_kv_heads", "vocab_size", "seq_len"};
constexpr std::int64_t kFieldMax = 1 << 24;
constexpr std::int64_t kLayersMax = 4'096;
constexpr std::uint32_t kMagicOfLaterVersions = 0x616b3432;  // "ak42"

Error corrupt(const std::string& name, const std::string& what) {
  return Error{ErrorCode::kCorruptData, name + ": llama2.c " + what};
}

Result<Llama2cConfig> read_config(ByteReader& reader, const std::string& name) {
  if (reader.num_left() < kNumHeaderFields * sizeof(std::int32_t)) {
    return corrupt(name, "header has " + std::to_string(reader.num_left()) + " bytes, expected " +
                             std::to_string(kNumHeaderFields * sizeof(std::int32_t)));
  }
  std::array<std::int64_t, kNumHeaderFields> fields{};
  for (std::int64_t& field : fields) field = reader.read<std::int32_t>().value_or(0);
  if (fields[0] == kMagicOfLaterVersions) {
    return Error{ErrorCode::kUnsupported,
                 name + ": llama2.c file has version " + std::to_string(fields[1]) +
                     " of the format, expected 0, which has no version in its header"};
  }
  constexpr std::size_t kVocabulary = 5;
  const bool shares_classifier = fields[kVocabulary] > 0;
  if (!shares_classifier) fields[kVocabulary] = -fields[kVocabulary];
  for (std::size_t i = 0; i < kNumHeaderFields; ++i) {
    if (fields[i] >= 1 && fields[i] <= kFieldMax) continue;
    return corrupt(name, std::string("header field ") + kFieldNames[i] + " is " +
                             std::to_string(fields[i]) + ", expected 1 to " +
                             std::to_string(kFieldMax));
  }
  const auto [hidden, feed_forward, layers, heads, kv_heads, vocabulary, context] = fields;
  if (layers > kLayersMax) {
    return corrupt(name, "header field n_layers is " + std::to_string(layers) +
                             ", expected at most " + std::to_string(kLayersMax));
  }
  if (hidden % heads != 0 || hidden / heads % 2 != 0) {
    return corrupt(name, "header field dim is " + std::to_string(hidden) + " for " +
                             std::to_string(heads) + " heads, expected an even number for each");
  }
  if (heads % kv_heads != 0) {
    return corrupt(name, "header field n_kv_heads is " + std::to_string(kv_heads) +
                             ", expected a divisor of the " + std::to_string(heads) + " heads");
  }
  return Llama2cConfig{.hidden_size = static_cast<std::uint32_t>(hidden),
                       .feed_forward_size = static_cast<std::uint32_t>(feed_forward),
                       .num_layers = static_cast<std::uint32_t>(layers),
                       .num_heads = static_cast<std::uint32_t>(heads),
                       .num_kv_heads = static_cast<std::uint32_t>(kv_heads),
                       .vocabulary_size = static_cast<std::uint32_t>(vocabulary),
                       .context_tokens = static_cast<std::uint32_t>(context),
                       .shares_classifier = shares_classifier};
}

// Hands out the tensors one after the other, as they lie in the file.
class TensorWalk {
 public:
  TensorWalk(ByteReader reader, const std::string& name) : reader_(reader), name_(name) {}

  // No tensor is listed under an empty name; its bytes are skipped.
  Status take(std::string tensor_name, std::initializer_list<std::uint64_t> extents) {
    const auto checked = check_extents(std::span(extents.begin(), extents.size()));
    // Fields are at most 2^24, so three of them and an element's bytes stay below 2^74: check.
    const auto num_bytes =
        checked ? checked_mul(checked->num_elements, sizeof(float)) : std::nullopt;
    const auto bytes = num_bytes ? reader_.take(*num_bytes) : std::nullopt;
    if (!bytes) {
      return corrupt(name_, (tensor_name.empty() ? "table of rope" : "tensor " + tensor_name) +
                                " of shape " +
                                extents_text(std::span(extents.begin(), extents.size())) +
                                " needs more than the " + std::to_string(reader_.num_left()) +
                                " bytes that are left");
    }
    if (tensor_name.empty()) return Ok{};
    tensors.push_back({.name = std::move(tensor_name),
                       .type_name = "F32",
                       .dtype = DType::kF32,
                       .shape = checked->shape,
                       .bytes = *bytes,
                       .refusal = ""});
    return Ok{};
  }

  // One tensor for each layer, [num_layers, extents...] in the file.
  Status take_layers(std::uint32_t num_layers, const std::string& suffix,
                     std::initializer_list<std::uint64_t> extents) {
    for (std::uint32_t layer = 0; layer < num_layers; ++layer)
      TRY(take("model.layers." + std::to_string(layer) + "." + suffix, extents));
    return Ok{};
  }

  std::size_t num_left() const { return reader_.num_left(); }

  std::vector<TensorInfo> tensors;

 private:
  ByteReader reader_;
  const std::string& name_;
};

Status take_all(TensorWalk& walk, const Llama2cConfig& config) {
  const std::uint64_t E = config.hidden_size;
  const std::uint64_t F = config.feed_forward_size;
  const std::uint64_t V = config.vocabulary_size;
  const std::uint64_t kv_width = std::uint64_t{config.num_kv_heads} * config.head_dim();
  const std::uint32_t L = config.num_layers;
  TRY(walk.take("model.embed_tokens.weight", {V, E}));
  TRY(walk.take_layers(L, "input_layernorm.weight", {E}));
  TRY(walk.take_layers(L, "self_attn.q_proj.weight", {E, E}));
  TRY(walk.take_layers(L, "self_attn.k_proj.weight", {kv_width, E}));
  TRY(walk.take_layers(L, "self_attn.v_proj.weight", {kv_width, E}));
  TRY(walk.take_layers(L, "self_attn.o_proj.weight", {E, E}));
  TRY(walk.take_layers(L, "post_attention_layernorm.weight", {E}));
  TRY(walk.take_layers(L, "mlp.gate_proj.weight", {F, E}));
  TRY(walk.take_layers(L, "mlp.down_proj.weight", {E, F}));
  TRY(walk.take_layers(L, "mlp.up_proj.weight", {F, E}));
  TRY(walk.take("model.norm.weight", {E}));
  // Cosines and sines of every position, which readers of the format have long computed themselves.
  TRY(walk.take("", {config.context_tokens, config.head_dim() / 2}));
  TRY(walk.take("", {config.context_tokens, config.head_dim() / 2}));
  if (!config.shares_classifier) TRY(walk.take("lm_head.weight", {V, E}));
  return Ok{};
}

}  // namespace

Result<Llama2cImage> parse_llama2c(std::span<const std::byte> image, const std::string& name) {
  ByteReader reader(image);
  const Llama2cConfig config = TRY(read_config(reader, name));
  TensorWalk walk(reader, name);
  TRY(take_all(walk, config));
  if (walk.num_left() != 0) {
    return corrupt(name, "file has " + std::to_string(walk.num_left()) +
                             " bytes after its last tensor, expected none");
  }
  return Llama2cImage{config, std::move(walk.tensors)};
}

Result<std::unique_ptr<Llama2cFile>> Llama2cFile::open(const std::string& path) {
  std::unique_ptr<Llama2cFile> file(new Llama2cFile(path));
  const auto bytes = TRY(file->map(path));
  Llama2cImage image = TRY(parse_llama2c(bytes, path));
  file->config_ = image.config;
  file->append(std::move(image.tensors));
  TRY(file->index_names());
  return file;
}

}  // namespace millrace
