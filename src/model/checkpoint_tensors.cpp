// Look-up by role, shape checks, slices of stacked experts, and the row order of rope pairs.
#include "model/checkpoint_tensors.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "formats/decode.h"
#include "formats/decode_blocks.h"

namespace millrace {
namespace {

bool is_expert(TensorRole role) {
  return role == TensorRole::kExpertGate || role == TensorRole::kExpertUp ||
         role == TensorRole::kExpertDown;
}

bool is_head(TensorRole role) {
  return role == TensorRole::kHeadKey || role == TensorRole::kHeadValue;
}

// Whether the parts of a layout have a dimension of their own.
bool is_stack(TensorLayout layout) {
  return layout == TensorLayout::kExperts || layout == TensorLayout::kPairedGateUp ||
         layout == TensorLayout::kExpertsGateUp;
}

bool is_of_up(TensorRole role) {
  return role == TensorRole::kUp || role == TensorRole::kExpertUp ||
         role == TensorRole::kExpertUpBias;
}

bool is_rotated(TensorRole role) {
  return role == TensorRole::kQuery || role == TensorRole::kKey || role == TensorRole::kQueryBias ||
         role == TensorRole::kKeyBias;
}

// The architectures whose GGUF converters reorder the rows of q and k. The others keep Hugging
// Face's order.
bool has_paired_rows(const Checkpoint& checkpoint, const ModelSpec& spec) {
  if (checkpoint.kind() == CheckpointKind::kLlama2c) return true;
  if (checkpoint.kind() != CheckpointKind::kGguf) return false;
  static constexpr std::string_view kPaired[] = {"LlamaForCausalLM",   "MixtralForCausalLM",
                                                 "GraniteForCausalLM", "SmolLM3ForCausalLM",
                                                 "OlmoForCausalLM",    "GraniteMoeForCausalLM"};
  return std::find(std::begin(kPaired), std::end(kPaired), spec.architecture) != std::end(kPaired);
}

Error wrong_shape(const CheckpointTensors& tensors, const TensorKey& key, const Shape& found,
                  const std::string& expected) {
  return Error{ErrorCode::kCorruptData, tensors.source().path() + ": tensor " +
                                            tensors.name_of(key) + " has shape " +
                                            to_string(found) + ", expected " + expected};
}

// "….up_proj" of "….up_proj.weight"; empty for other names.
std::string module_of(const std::string& name) {
  constexpr std::string_view kEnding = ".weight";
  if (!name.ends_with(kEnding)) return "";
  return name.substr(0, name.size() - kEnding.size());
}

}  // namespace

std::size_t StoredTensor::row_bytes() const {
  return static_cast<std::size_t>(storage_bytes(dtype, num_cols).value_or(0));
}

namespace {

// Where the row that the decoder calls `row` is stored.
std::size_t stored_row(const StoredTensor& tensor, std::size_t row) {
  const std::size_t head_dim = tensor.paired_head_dim;
  if (head_dim != 0) {
    const std::size_t within = row % head_dim;
    const std::size_t half = head_dim / 2;
    row = row - within + (within < half ? 2 * within : 2 * (within - half) + 1);
  }
  const RowRuns& runs = tensor.runs;
  if (runs.length == 0) return row;
  return runs.first + row / runs.length * runs.stride + row % runs.length;
}

constexpr std::size_t kMxGroup = 32;
constexpr std::size_t kMxBytes = kMxGroup / 2;

// One row of mxfp4 with its scales apart, as GGUF's blocks: a scale, then elements i and i + 16 of
// a group in a byte. OCP Microscaling Formats 1.0, section 5.3; the orders as both projects' files.
void join_row(const StoredTensor& tensor, std::size_t row, std::byte* blocks) {
  const std::size_t num_groups = tensor.num_cols / kMxGroup;
  const std::byte* elements = tensor.bytes.data() + row * num_groups * kMxBytes;
  const auto element = [](const std::byte* group, std::size_t i) {
    const auto pair = std::to_integer<unsigned>(group[i / 2]);
    return i % 2 == 0 ? pair & 15u : pair >> 4;
  };
  for (std::size_t g = 0; g < num_groups; ++g) {
    *blocks++ = tensor.apart_scales[row * num_groups + g];
    const std::byte* group = elements + g * kMxBytes;
    for (std::size_t i = 0; i < kMxBytes; ++i) {
      *blocks++ = static_cast<std::byte>(element(group, i) | element(group, i + kMxBytes) << 4);
    }
  }
}

// Rows of a matrix that lies across rows of blocks: each block that holds some of them is decoded.
void decode_across(const StoredTensor& tensor, std::size_t begin, std::size_t count,
                   std::byte* rows) {
  const QuantFormat& format = quant_format(*tensor.decoded_from);
  const std::size_t first = begin / format.group_size;
  const std::size_t num_groups = (begin + count - 1) / format.group_size - first + 1;
  const std::size_t line_bytes = tensor.transposed_pitch / format.group_size * format.group_bytes;
  std::vector<float> values(num_groups * format.group_size);
  for (std::size_t column = 0; column < tensor.num_cols; ++column) {
    decode(*tensor.decoded_from,
           tensor.bytes.subspan(column * line_bytes + first * format.group_bytes,
                                num_groups * format.group_bytes),
           values);
    for (std::size_t i = 0; i < count; ++i) {
      const float& value = values[begin - first * format.group_size + i];
      std::memcpy(rows + (i * tensor.num_cols + column) * sizeof(float), &value, sizeof(float));
    }
  }
}

// Calls visit(first stored row, how many, at which of the `count` rows) for rows that lie together.
template <class Visit>
void visit_runs(const StoredTensor& tensor, std::size_t begin, std::size_t count, Visit visit) {
  std::size_t at = 0;
  while (at < count) {
    const std::size_t first = stored_row(tensor, begin + at);
    std::size_t together = 1;
    while (at + together < count && stored_row(tensor, begin + at + together) == first + together)
      ++together;
    visit(tensor.quantized_row + first, together, at);
    at += together;
  }
}

// Rows that lie across those of the quantised matrix.
void gather_quantized_rows(const StoredTensor& tensor, std::size_t begin, std::size_t count,
                           std::byte* rows) {
  std::vector<float> across(tensor.quantized->num_cols);
  for (std::size_t col = 0; col < tensor.num_cols; ++col) {
    decode_quantized_rows(*tensor.quantized, tensor.quantized_row + col, 1, across);
    for (std::size_t i = 0; i < count; ++i) {
      std::memcpy(rows + (i * tensor.num_cols + col) * sizeof(float), &across[begin + i],
                  sizeof(float));
    }
  }
}

// Rows of a quantised matrix as f32, at any address.
void read_quantized_rows(const StoredTensor& tensor, std::size_t begin, std::size_t count,
                         std::byte* rows) {
  if (tensor.transposed_pitch != 0) return gather_quantized_rows(tensor, begin, count, rows);
  const std::size_t num_cols = tensor.num_cols;
  std::vector<float> values(count * num_cols);
  visit_runs(tensor, begin, count, [&](std::size_t first, std::size_t together, std::size_t at) {
    decode_quantized_rows(*tensor.quantized, first, together,
                          std::span(values).subspan(at * num_cols, together * num_cols));
  });
  std::memcpy(rows, values.data(), values.size() * sizeof(float));
}

// One row of a matrix that lies across the stored ones.
void gather_row(const StoredTensor& tensor, std::size_t row, std::byte* elements) {
  const std::size_t element_bytes = tensor.row_bytes() / tensor.num_cols;
  const std::byte* from = tensor.bytes.data() + row * element_bytes;
  for (std::size_t i = 0; i < tensor.num_cols; ++i) {
    std::memcpy(elements + i * element_bytes, from + i * tensor.transposed_pitch * element_bytes,
                element_bytes);
  }
}

}  // namespace

void read_rows(const StoredTensor& tensor, std::size_t begin, std::size_t count, std::byte* rows) {
  CHECK(begin + count <= tensor.num_rows);
  const std::size_t row_bytes = tensor.row_bytes();
  if (count == 0) return;
  if (tensor.quantized != nullptr) return read_quantized_rows(tensor, begin, count, rows);
  if (tensor.decoded_from) return decode_across(tensor, begin, count, rows);
  const bool is_dense = tensor.transposed_pitch == 0;
  const bool is_joined = tensor.apart_scales.empty();
  if (is_dense && is_joined && tensor.paired_head_dim == 0 && tensor.runs.length == 0) {
    std::memcpy(rows, tensor.bytes.data() + begin * row_bytes, count * row_bytes);
    return;
  }
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t row = stored_row(tensor, begin + i);
    if (!is_joined) {
      join_row(tensor, row, rows + i * row_bytes);
    } else if (is_dense) {
      std::memcpy(rows + i * row_bytes, tensor.bytes.data() + row * row_bytes, row_bytes);
    } else {
      gather_row(tensor, row, rows + i * row_bytes);
    }
  }
}

std::optional<QuantKind> quant_kind(const StoredTensor& tensor) {
  if (tensor.quantized == nullptr) return quant_kind(tensor.dtype);
  return tensor.transposed_pitch == 0 ? quant_kind(*tensor.quantized) : std::nullopt;
}

bool has_float8_groups(const StoredTensor& tensor) {
  return tensor.quantized != nullptr && tensor.transposed_pitch == 0 &&
         has_float8_groups(*tensor.quantized);
}

void split_rows(const StoredTensor& tensor, std::size_t begin, std::size_t count,
                const QuantSpans& out) {
  CHECK(tensor.quantized != nullptr);
  const std::size_t num_groups = out.scales.size() / count;
  visit_runs(tensor, begin, count, [&](std::size_t first, std::size_t together, std::size_t at) {
    const auto part = [at, together](auto span, std::size_t width) {
      return span.empty() ? span : span.subspan(at * width, together * width);
    };
    split_quantized_rows(*tensor.quantized, first, together,
                         {.quants = part(out.quants, tensor.num_cols),
                          .scales = part(out.scales, num_groups),
                          .minima = part(out.minima, num_groups)});
  });
}

CheckpointTensors::CheckpointTensors(const Checkpoint& checkpoint, const ModelSpec& spec)
    : checkpoint_(&checkpoint), spec_(&spec) {}

// Where this checkpoint, of several spellings, has the tensor; the usual one when it has none.
TensorPlace CheckpointTensors::place_of(const TensorKey& key) const {
  if (checkpoint_->kind() == CheckpointKind::kGguf) return gguf_place_of(key);
  TensorPlace place = hugging_face_place(key.role, spec_->architecture, key.layer, key.expert);
  if (holds(place.name)) return place;
  for (std::string& name : spellings_of(place.name, spec_->architecture)) {
    if (holds(name)) place.name = std::move(name);
  }
  return place;
}

// GGUF's converters keep q, k and v in one tensor for some architectures, and gate and up under
// the name of up.
TensorPlace CheckpointTensors::gguf_place_of(const TensorKey& key) const {
  TensorPlace place{.name = gguf_name(key.role, key.layer), .layout = usual_layout(key.role)};
  if (is_expert(key.role)) place.layout = TensorLayout::kExperts;
  if (is_head(key.role)) {
    // Files of before 2025 hold both in one piece, as Hugging Face's do.
    if (source().find(place.name) != nullptr) return {place.name, TensorLayout::kExperts};
    place.name = "blk." + std::to_string(key.layer) + ".attn_kv_b.weight";
    place.is_transposed = key.role == TensorRole::kHeadKey;
    return place;
  }
  if (key.role == TensorRole::kFeedForwardNorm && source().find(place.name) == nullptr &&
      !spec_->layers[key.layer].attention_post_norm) {
    place.name = gguf_name(TensorRole::kAttentionPostNorm, key.layer);  // gpt-oss
    return place;
  }
  std::string fused = gguf_fused_name(key.role, key.layer);
  if (!fused.empty() && source().find(place.name) == nullptr && source().find(fused) != nullptr) {
    return {.name = std::move(fused), .layout = TensorLayout::kStackedQkv};
  }
  const bool is_half = key.role == TensorRole::kGate || key.role == TensorRole::kUp;
  if (!is_half || spec_->layers[key.layer].feed_forward.kind != FeedForwardKind::kGated ||
      source().find(gguf_name(TensorRole::kGate, key.layer)) != nullptr) {
    return place;
  }
  return {.name = gguf_name(TensorRole::kUp, key.layer), .layout = TensorLayout::kStackedGateUp};
}

namespace {

RowRuns latent_runs(TensorRole role, const LatentSpec& latent) {
  switch (role) {
    case TensorRole::kSharedKey:
    case TensorRole::kSharedKeyBias:
      return {.first = latent.rank, .length = latent.rotary_dim, .stride = latent.rotary_dim};
    case TensorRole::kHeadValue:
      return {.first = latent.plain_dim, .length = latent.value_dim, .stride = latent.value_dim};
    default:
      return {};  // The first rows, or all columns.
  }
}

}  // namespace

// Rows of q, k and v or of gate and up within one stored tensor.
RowRuns row_runs(const LayerSpec& layer, TensorRole role, TensorLayout layout) {
  if (layout == TensorLayout::kWhole || layout == TensorLayout::kExperts) return {};
  if (layout == TensorLayout::kPairedGateUp) {
    return {.first = is_of_up(role) ? std::size_t{1} : 0, .length = 1, .stride = 2};
  }
  if (layout == TensorLayout::kExpertsGateUp) {
    const std::size_t width = layer.feed_forward.width;
    return {.first = is_of_up(role) ? width : 0, .length = width, .stride = width};
  }
  if (layer.attention.latent) return latent_runs(role, *layer.attention.latent);
  if (layout == TensorLayout::kStackedGateUp) {
    const std::size_t width = layer.feed_forward.width;
    return {.first = role == TensorRole::kUp ? width : 0, .length = width, .stride = width};
  }
  const AttentionSpec& attention = layer.attention;
  // Stacked is grouped with one group.
  const std::size_t num_groups =
      layout == TensorLayout::kGroupedQkv ? attention.num_kv_heads : std::size_t{1};
  const std::size_t query = attention.num_heads / num_groups * attention.head_dim;
  const std::size_t kv = attention.num_kv_heads / num_groups * attention.head_dim;
  RowRuns runs{.first = 0, .length = query, .stride = query + 2 * kv};
  if (role == TensorRole::kQuery || role == TensorRole::kQueryBias) return runs;
  const bool is_key = role == TensorRole::kKey || role == TensorRole::kKeyBias;
  runs.first = is_key ? query : query + kv;
  runs.length = kv;
  return runs;
}

std::size_t stored_rows(const LayerSpec& layer, TensorLayout layout, std::size_t num_rows) {
  if (layout == TensorLayout::kWhole || layout == TensorLayout::kExperts) return num_rows;
  if (layout == TensorLayout::kPairedGateUp || layout == TensorLayout::kExpertsGateUp) {
    return 2 * num_rows;
  }
  if (layout == TensorLayout::kLatentRows) {
    return layer.attention.latent->rank + layer.attention.latent->rotary_dim;
  }
  if (layout == TensorLayout::kStackedGateUp) return 2 * layer.feed_forward.width;
  const AttentionSpec& attention = layer.attention;
  return (attention.num_heads + 2 * attention.num_kv_heads) * attention.head_dim;
}

std::size_t CheckpointTensors::paired_head_dim(const TensorKey& key) const {
  if (!is_rotated(key.role) || !has_paired_rows(*checkpoint_, *spec_)) return 0;
  return spec_->layers[key.layer].attention.head_dim;
}

Status CheckpointTensors::check_type(const SourceTensor& tensor) const {
  if (can_decode(tensor.dtype)) return Ok{};
  return Error{ErrorCode::kUnsupported, source().path() + ": tensor " + std::string(tensor.name) +
                                            " is of type " + std::string(dtype_name(tensor.dtype)) +
                                            ", which holds no weights"};
}

// Weights with scales beside them are quantised, whatever their config leaves unsaid.
Status CheckpointTensors::check_unscaled(const std::string& name) const {
  for (const char* ending : {"_scale", "_scale_inv"}) {
    if (source().find(name + ending) == nullptr) continue;
    return Error{ErrorCode::kUnsupported,
                 source().path() + ": tensor " + name + " has scales in " + name + ending +
                     ", but config.json has no quantization_config that says how they apply"};
  }
  return Ok{};
}

StoredParts CheckpointTensors::parts_of(const TensorKey& key, const TensorPlace& place,
                                        std::size_t num_rows, std::size_t num_cols) const {
  const LayerSpec& layer = spec_->layers[key.layer];
  StoredParts parts;
  if (place.layout == TensorLayout::kHeadRows) {
    const LatentSpec& latent = *layer.attention.latent;
    parts.count = layer.attention.num_heads;
    parts.index = key.expert;
    parts.part = {latent.plain_dim + latent.value_dim, latent.rank};
    return parts;
  }
  if (is_stack(place.layout)) {
    parts.count = is_head(key.role) ? layer.attention.num_heads : layer.feed_forward.num_experts;
    parts.index = key.expert;
    parts.is_stacked = true;
  }
  const std::size_t all_rows = stored_rows(layer, place.layout, num_rows);
  parts.part = place.is_transposed ? Shape{num_cols, all_rows} : Shape{all_rows, num_cols};
  return parts;
}

Result<StoredTensor> CheckpointTensors::mxfp4_matrix(const TensorKey& key, const TensorPlace& place,
                                                     std::size_t num_rows,
                                                     std::size_t num_cols) const {
  const SourceTensor blocks = TRY(source().tensor(place.name + "_blocks"));
  const SourceTensor scales = TRY(source().tensor(place.name + "_scales"));
  for (const SourceTensor* part : {&blocks, &scales}) {
    if (part->dtype == DType::kU8) continue;
    return Error{ErrorCode::kUnsupported,
                 source().path() + ": tensor " + std::string(part->name) + " is of type " +
                     std::string(dtype_name(part->dtype)) + ", expected u8"};
  }
  const LayerSpec& layer = spec_->layers[key.layer];
  const std::size_t num_experts = layer.feed_forward.num_experts;
  const std::size_t all_rows = stored_rows(layer, place.layout, num_rows);
  const std::size_t num_groups = num_cols / kMxGroup;
  const Shape groups = {num_experts, all_rows, num_groups};
  const Shape elements = {num_experts, all_rows, num_groups, kMxBytes};
  if (num_cols % kMxGroup != 0) {
    return Error{ErrorCode::kCorruptData, source().path() + ": tensor " + std::string(blocks.name) +
                                              " holds rows of " + std::to_string(num_cols) +
                                              ", expected a multiple of 32"};
  }
  if (blocks.shape != elements) {
    return wrong_shape(*this, key, blocks.shape, to_string(elements));
  }
  if (scales.shape != groups) return wrong_shape(*this, key, scales.shape, to_string(groups));
  const std::size_t block_bytes = blocks.bytes.size() / num_experts;
  const std::size_t scale_bytes = scales.bytes.size() / num_experts;
  return StoredTensor{
      .name = std::string(blocks.name),
      .dtype = DType::kMXFP4,
      .num_rows = num_rows,
      .num_cols = num_cols,
      .bytes = blocks.bytes.subspan(key.expert * block_bytes, block_bytes),
      .paired_head_dim = 0,
      .runs = row_runs(spec_->layers[key.layer], key.role, place.layout),
      .transposed_pitch = 0,
      .decoded_from = std::nullopt,
      .apart_scales = scales.bytes.subspan(key.expert * scale_bytes, scale_bytes),
      .quantized_row = 0,
      .quantized = nullptr,
  };
}

std::vector<const TensorInfo*> CheckpointTensors::stored_parts(const TensorKey& key) const {
  const std::string name = name_of(key);
  const std::string module = module_of(name);
  if (checkpoint_->quantization() != nullptr && !module.empty())
    return weight_tensors_of(source(), module);
  const TensorInfo* info = source().find(name);
  return info == nullptr ? std::vector<const TensorInfo*>() : std::vector{info};
}

bool CheckpointTensors::holds(const std::string& name) const {
  if (source().find(name) != nullptr) return true;
  const QuantizationConfig* config = checkpoint_->quantization();
  return config != nullptr && has_quantized_linear(source(), *config, module_of(name));
}

Result<std::optional<StoredTensor>> CheckpointTensors::quantized(const TensorKey& key,
                                                                 std::size_t num_rows,
                                                                 std::size_t num_cols) const {
  const TensorPlace place = place_of(key);
  const QuantizationConfig* config = checkpoint_->quantization();
  const std::string module = module_of(place.name);
  if (config == nullptr || module.empty()) return std::optional<StoredTensor>();
  const StoredParts parts = parts_of(key, place, num_rows, num_cols);
  // The tools of GPTQ and AWQ write linears, whichever way the matrix lay before.
  const bool is_turned = place.is_transposed && place.layout != TensorLayout::kHeadRows;
  const std::size_t all_rows = parts.count * parts.part[is_turned ? 1 : 0];
  auto linear = TRY(
      find_quantized_linear(source(), *config, module, all_rows, parts.part[is_turned ? 0 : 1]));
  if (!linear.has_value()) return std::optional<StoredTensor>();
  const bool is_bytes = linear->quants == QuantizedLinear::Quants::kInt8 ||
                        linear->quants == QuantizedLinear::Quants::kE4M3;
  if (parts.is_stacked || (is_turned && is_bytes)) {
    return Error{ErrorCode::kUnsupported,
                 source().path() + ": tensor " + place.name +
                     " is quantised and stacked or transposed, which is not read"};
  }
  StoredTensor stored;
  stored.name = linear->name;
  stored.num_rows = num_rows;
  stored.num_cols = num_cols;
  stored.bytes = linear->bytes;
  stored.runs = row_runs(spec_->layers[key.layer], key.role, place.layout);
  stored.transposed_pitch = place.is_transposed && !is_turned ? parts.part[1] : 0;
  stored.quantized_row = parts.index * parts.part[0];
  stored.quantized = std::make_shared<const QuantizedLinear>(std::move(*linear));
  return std::optional<StoredTensor>(std::move(stored));
}

Result<StoredTensor> CheckpointTensors::matrix(const TensorKey& key, std::size_t num_rows,
                                               std::size_t num_cols) const {
  auto quantized_matrix = TRY(quantized(key, num_rows, num_cols));
  if (quantized_matrix.has_value()) return std::move(*quantized_matrix);
  const TensorPlace place = place_of(key);
  if (is_expert(key.role) && source().find(place.name) == nullptr &&
      source().find(place.name + "_blocks") != nullptr) {
    return mxfp4_matrix(key, place, num_rows, num_cols);
  }
  TRY(check_unscaled(place.name));
  const SourceTensor source = TRY(checkpoint_->weights().tensor(place.name));
  TRY(check_type(source));
  const StoredParts parts = parts_of(key, place, num_rows, num_cols);
  Shape expected = {parts.count * parts.part[0], parts.part[1]};
  if (parts.is_stacked) expected = {parts.count, parts.part[0], parts.part[1]};
  // GGUF drops the dimension of a single row.
  const bool is_row = num_rows == 1 && source.shape == Shape{num_cols};
  if (source.shape != expected && !is_row) {
    return wrong_shape(*this, key, source.shape, to_string(expected));
  }
  const bool is_decoded = place.is_transposed && is_block_type(source.dtype);
  if (is_decoded && key.role != TensorRole::kHeadKey) {
    return Error{ErrorCode::kUnsupported, "tensor " + std::string(source.name) +
                                              " is transposed and of block type " +
                                              std::string(dtype_name(source.dtype))};
  }
  const std::size_t one_bytes = source.bytes.size() / parts.count;
  return StoredTensor{
      .name = std::string(source.name),
      .dtype = is_decoded ? DType::kF32 : source.dtype,
      .num_rows = num_rows,
      .num_cols = num_cols,
      .bytes = source.bytes.subspan(parts.index * one_bytes, one_bytes),
      .paired_head_dim = paired_head_dim(key),
      .runs = row_runs(spec_->layers[key.layer], key.role, place.layout),
      .transposed_pitch = place.is_transposed ? parts.part[1] : 0,
      .decoded_from = is_decoded ? std::optional(source.dtype) : std::nullopt,
      .apart_scales = {},
      .quantized_row = 0,
      .quantized = nullptr,
  };
}

Result<StoredTensor> CheckpointTensors::vector(const TensorKey& key,
                                               std::size_t num_elements) const {
  const TensorPlace place = place_of(key);
  const SourceTensor source = TRY(checkpoint_->weights().tensor(place.name));
  TRY(check_type(source));
  Shape expected = {stored_rows(spec_->layers[key.layer], place.layout, num_elements)};
  if (is_stack(place.layout)) {
    const std::size_t num_experts = spec_->layers[key.layer].feed_forward.num_experts;
    expected = {num_experts, expected[0] / num_experts};
  }
  if (source.shape != expected) return wrong_shape(*this, key, source.shape, to_string(expected));
  if (is_block_type(source.dtype)) {
    return Error{ErrorCode::kUnsupported, "tensor " + std::string(source.name) +
                                              " is a vector of block type " +
                                              std::string(dtype_name(source.dtype))};
  }
  return StoredTensor{
      .name = std::string(source.name),
      .dtype = source.dtype,
      .num_rows = num_elements,
      .num_cols = 1,
      .bytes = source.bytes,
      .paired_head_dim = paired_head_dim(key),
      .runs = row_runs(spec_->layers[key.layer], key.role, place.layout),
      .transposed_pitch = 0,
      .decoded_from = std::nullopt,
      .apart_scales = {},
      .quantized_row = 0,
      .quantized = nullptr,
  };
}

}  // namespace millrace
