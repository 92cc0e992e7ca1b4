// A PEFT folder: names matched with the matrices of the model, shapes checked, then packed.
#include "model/lora_adapter.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <utility>

#include "base/checked.h"
#include "base/file.h"
#include "formats/decode.h"
#include "formats/safetensors.h"
#include "model/checkpoint_tensors.h"
#include "model/lora_config.h"

namespace millrace {
namespace {

constexpr std::string_view kPrefix = "base_model.model.";
constexpr std::string_view kDownSuffix = ".lora_A.weight";
constexpr std::string_view kUpSuffix = ".lora_B.weight";
constexpr std::string_view kWeightSuffix = ".weight";

// A matrix of the model that is, or is part of, a module that adapters name.
struct Piece {
  std::size_t layer = 0;
  LoraSlot slot = LoraSlot::kQuery;
  RowRuns runs;              // its rows in the module's
  std::size_t num_rows = 0;  // N
};
// What an adapter may name, under every spelling of it.
struct Module {
  std::size_t num_rows = 0;  // of all pieces together
  std::size_t num_cols = 0;
  std::vector<Piece> pieces;
};
using Modules = std::map<std::string, Module, std::less<>>;

struct SlotShape {
  LoraSlot slot;
  TensorRole role;
  std::size_t num_rows;
  std::size_t num_cols;
};

// The matrices of a layer that the decoder can add to; experts and latent attention have none.
std::vector<SlotShape> slots_of(const LayerSpec& layer, std::size_t hidden) {
  std::vector<SlotShape> slots;
  const AttentionSpec& attention = layer.attention;
  if (!attention.latent) {
    const std::size_t key = attention.num_kv_heads * attention.head_dim;
    const std::size_t value = attention.num_kv_heads * attention.value_head_dim;
    const std::size_t query = attention.num_heads * attention.head_dim;
    slots.push_back({LoraSlot::kQuery, TensorRole::kQuery, query, hidden});
    slots.push_back({LoraSlot::kKey, TensorRole::kKey, key, hidden});
    slots.push_back({LoraSlot::kValue, TensorRole::kValue, value, hidden});
    slots.push_back({LoraSlot::kAttentionOutput, TensorRole::kAttentionOutput, hidden,
                     attention.output_width()});
  }
  const FeedForwardSpec& feed_forward = layer.feed_forward;
  if (feed_forward.kind == FeedForwardKind::kExperts) return slots;
  if (feed_forward.kind == FeedForwardKind::kGated) {
    slots.push_back({LoraSlot::kGate, TensorRole::kGate, feed_forward.width, hidden});
  }
  slots.push_back({LoraSlot::kUp, TensorRole::kUp, feed_forward.width, hidden});
  slots.push_back({LoraSlot::kDown, TensorRole::kDown, hidden, feed_forward.width});
  return slots;
}

// By the names of the classes for generation; PEFT drops the first part for a bare model.
std::vector<std::string> spellings(const std::string& name, const std::string& architecture) {
  std::vector<std::string> all = spellings_of(name, architecture);
  all.push_back(name);
  for (const std::string_view first : {"model.", "transformer.", "gpt_neox."}) {
    if (name.starts_with(first)) all.push_back(name.substr(first.size()));
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

Modules modules_of(const ModelSpec& spec) {
  Modules modules;
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    const LayerSpec& layer = spec.layers[i];
    for (const SlotShape& slot : slots_of(layer, spec.hidden)) {
      const TensorPlace place = hugging_face_place(slot.role, spec.architecture, i);
      CHECK(place.name.ends_with(kWeightSuffix));
      const std::string name = place.name.substr(0, place.name.size() - kWeightSuffix.size());
      for (const std::string& spelling : spellings(name, spec.architecture)) {
        Module& module = modules[spelling];
        module.num_rows = stored_rows(layer, place.layout, slot.num_rows);
        module.num_cols = slot.num_cols;
        module.pieces.push_back(
            {i, slot.slot, row_runs(layer, slot.role, place.layout), slot.num_rows});
      }
    }
  }
  return modules;
}

// One module of the adapter, found and checked, not yet packed.
struct Found {
  std::string name;
  const Module* module = nullptr;
  SourceTensor down;
  SourceTensor up;
  std::size_t rank = 0;
  float scale = 1.0f;
};

std::optional<WeightFormat> format_of(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return WeightFormat::kF32;
    case DType::kF16:
      return WeightFormat::kF16;
    case DType::kBF16:
      return WeightFormat::kBF16;
    default:
      return std::nullopt;
  }
}

class AdapterReader {
 public:
  AdapterReader(const SafetensorsFolder& source, const LoraConfig& config, const ModelSpec& spec,
                const LoraLimits& limits)
      : source_(source), config_(config), limits_(limits), modules_(modules_of(spec)) {}

  Result<std::vector<Found>> find_all() const {
    std::vector<Found> all;
    for (const TensorInfo& info : source_.tensors()) {
      const std::string_view name = info.name;
      const bool is_down = name.ends_with(kDownSuffix);
      if (!name.starts_with(kPrefix) || (!is_down && !name.ends_with(kUpSuffix))) {
        return refusal(info.name);
      }
      const std::string_view suffix = is_down ? kDownSuffix : kUpSuffix;
      const std::string_view module =
          name.substr(kPrefix.size(), name.size() - kPrefix.size() - suffix.size());
      const std::string stem(name.substr(0, name.size() - suffix.size()));
      const std::string other = stem + std::string(is_down ? kUpSuffix : kDownSuffix);
      if (source_.find(other) == nullptr) {
        return error(ErrorCode::kCorruptData, info.name,
                     "stands alone, expected " + other + " too");
      }
      if (is_down) all.push_back(TRY(find_module(std::string(module), info.name, other)));
    }
    if (all.empty()) {
      return Error{ErrorCode::kCorruptData, source_.path() + " holds no adapted modules"};
    }
    return all;
  }

 private:
  Error error(ErrorCode code, const std::string& tensor, const std::string& what) const {
    return {code, source_.path() + ": tensor " + tensor + " " + what};
  }

  // What else adapters hold, by name.
  Error refusal(const std::string& tensor) const {
    const auto contains = [&tensor](const char* part) {
      return tensor.find(part) != std::string::npos;
    };
    if (contains("lora_magnitude_vector")) {
      return error(ErrorCode::kUnsupported, tensor, "belongs to DoRA, which is not implemented");
    }
    if (contains("lora_embedding_")) {
      return error(ErrorCode::kUnsupported, tensor, "adapts embeddings, which is not implemented");
    }
    if (contains("lora_B.bias")) {
      return error(ErrorCode::kUnsupported, tensor, "is a trained bias, which is not implemented");
    }
    return error(ErrorCode::kUnsupported, tensor,
                 "is no pair of a low-rank adapter (base_model.model.NAME.lora_A.weight and "
                 "lora_B.weight)");
  }

  Result<Found> find_module(const std::string& name, const std::string& down,
                            const std::string& up) const {
    const auto module = modules_.find(name);
    if (module == modules_.end()) {
      return error(ErrorCode::kUnsupported, down,
                   "adapts " + name +
                       ", which is none of this model's projections of attention and dense "
                       "feed-forward parts");
    }
    if (!config_.targets(name)) {
      return error(ErrorCode::kCorruptData, down,
                   "adapts " + name + ", which target_modules does not name");
    }
    Found found;
    found.name = name;
    found.module = &module->second;
    found.down = TRY(source_.tensor(down));
    found.up = TRY(source_.tensor(up));
    found.rank = config_.rank_of(name);
    found.scale = static_cast<float>(config_.scale_of(name));
    if (found.rank > limits_.rank_max) {
      return error(ErrorCode::kTooLarge, down,
                   "has rank " + std::to_string(found.rank) + ", at most " +
                       std::to_string(limits_.rank_max) + " are configured");
    }
    TRY(check_tensor(found.down, {found.rank, module->second.num_cols}));
    TRY(check_tensor(found.up, {module->second.num_rows, found.rank}));
    return found;
  }

  Status check_tensor(const SourceTensor& tensor, const Shape& expected) const {
    const std::string name(tensor.name);
    if (!format_of(tensor.dtype)) {
      return error(
          ErrorCode::kUnsupported, name,
          "is of type " + std::string(dtype_name(tensor.dtype)) + ", expected f32, f16 or bf16");
    }
    if (tensor.shape == expected) return Ok{};
    return error(ErrorCode::kCorruptData, name,
                 "has shape " + to_string(tensor.shape) + ", expected " + to_string(expected));
  }

  const SafetensorsFolder& source_;
  const LoraConfig& config_;
  const LoraLimits& limits_;
  const Modules modules_;
};

// Places matrices one after another in a buffer: first counted, then packed.
class Packer {
 public:
  explicit Packer(const std::string& path) : path_(path) {}

  // Room for a matrix; its bytes come with start().
  Result<PackedMatrix> place(DType dtype, std::size_t num_rows, std::size_t num_cols) {
    PackedMatrix matrix{.format = *format_of(dtype), .num_rows = num_rows, .num_cols = num_cols};
    const std::uint64_t size = TRY(packed_bytes(matrix.format, num_rows, num_cols));
    const auto sum = checked_add(num_bytes_, round_up(size, kAlignment));
    if (!sum) return Error{ErrorCode::kTooLarge, path_ + ": its size leaves 64 bits"};
    offsets_.push_back(num_bytes_);
    num_bytes_ = *sum;
    return matrix;
  }
  std::uint64_t num_bytes() const { return num_bytes_; }
  void start(std::span<std::byte> bytes) { bytes_ = bytes; }

  // The next matrix in the order of place(), with those rows of the tensor.
  Status pack(const SourceTensor& tensor, const RowRuns& runs, PackedMatrix& matrix) {
    CHECK(next_ < offsets_.size());
    matrix.data = bytes_.data() + offsets_[next_++];
    StoredTensor stored;
    stored.dtype = tensor.dtype;
    stored.num_rows = matrix.num_rows;
    stored.num_cols = matrix.num_cols;
    stored.bytes = tensor.bytes;
    stored.runs = runs;
    rows_.resize(matrix.num_rows * stored.row_bytes());
    read_rows(stored, 0, matrix.num_rows, rows_.data());
    values_.resize(matrix.num_rows * matrix.num_cols);
    decode(tensor.dtype, rows_, values_);
    const auto bad =
        std::find_if_not(values_.begin(), values_.end(), [](float x) { return std::isfinite(x); });
    if (bad != values_.end()) {
      return Error{ErrorCode::kCorruptData, path_ + ": tensor " + std::string(tensor.name) +
                                                " holds a value that is not finite"};
    }
    pack_rows(view_of(values_.data(), {matrix.num_rows, matrix.num_cols}), 0, matrix);
    return Ok{};
  }

 private:
  static constexpr std::uint64_t kAlignment = 64;  // As kernels expect.

  std::string path_;
  std::uint64_t num_bytes_ = 0;
  std::vector<std::uint64_t> offsets_;
  std::size_t next_ = 0;
  std::span<std::byte> bytes_;
  std::vector<std::byte> rows_;
  std::vector<float> values_;
};

// Gives every pair its matrices, still without bytes.
Status place_pairs(const std::vector<Found>& all, Packer& packer, std::vector<LoraPair>& pairs) {
  for (const Found& found : all) {
    const PackedMatrix down =
        TRY(packer.place(found.down.dtype, found.rank, found.module->num_cols));
    for (const Piece& piece : found.module->pieces) {
      LoraPair& pair = pairs[lora_index(piece.layer, piece.slot)];
      if (pair.down.num_rows > 0) {
        return Error{ErrorCode::kCorruptData,
                     "module " + found.name + " is adapted twice, under two names"};
      }
      pair.down = down;
      pair.up = TRY(packer.place(found.up.dtype, piece.num_rows, found.rank));
      pair.scale = found.scale;
    }
  }
  return Ok{};
}

Status pack_pairs(const std::vector<Found>& all, Packer& packer, std::vector<LoraPair>& pairs) {
  for (const Found& found : all) {
    const std::vector<Piece>& pieces = found.module->pieces;
    LoraPair& first = pairs[lora_index(pieces.front().layer, pieces.front().slot)];
    TRY(packer.pack(found.down, {}, first.down));
    for (const Piece& piece : pieces) {
      LoraPair& pair = pairs[lora_index(piece.layer, piece.slot)];
      pair.down = first.down;  // q, k and v of one module share it.
      TRY(packer.pack(found.up, piece.runs, pair.up));
    }
  }
  return Ok{};
}

Result<std::unique_ptr<SafetensorsFolder>> open_tensors(const std::string& folder) {
  const std::string path = folder + "/adapter_model.safetensors";
  const std::string pickle = folder + "/adapter_model.bin";
  if (!file_exists(path) && file_exists(pickle)) {
    return Error{ErrorCode::kUnsupported,
                 pickle +
                     " is a PyTorch pickle, which can run code when it is loaded, and is not "
                     "read: save the adapter as safetensors"};
  }
  return SafetensorsFolder::open_file(path);
}

}  // namespace

Result<std::unique_ptr<const LoraAdapter>> LoraAdapter::load(const std::string& folder,
                                                             const ModelSpec& spec,
                                                             const LoraLimits& limits,
                                                             std::uint64_t id) {
  CHECK(id != 0);
  CHECK(limits.rank_max <= kLoraRankMax);
  const std::string config_path = folder + "/adapter_config.json";
  const std::string text = TRY(read_file(config_path, kLoraConfigBytesMax));
  const LoraConfig config = TRY(parse_lora_config(text, config_path));
  const std::unique_ptr<SafetensorsFolder> source = TRY(open_tensors(folder));
  const AdapterReader reader(*source, config, spec, limits);
  const std::vector<Found> all = TRY(reader.find_all());
  std::unique_ptr<LoraAdapter> adapter(new LoraAdapter());
  adapter->id_ = id;
  adapter->pairs_.resize(spec.layers.size() * kNumLoraSlots);
  Packer packer(source->path());
  TRY(place_pairs(all, packer, adapter->pairs_));
  if (packer.num_bytes() > limits.bytes_max) {
    return Error{ErrorCode::kResourceExhausted,
                 folder + " needs " + std::to_string(packer.num_bytes()) +
                     " bytes, there is room for " + std::to_string(limits.bytes_max)};
  }
  adapter->bytes_ = TRY(Buffer::allocate(packer.num_bytes()));
  adapter->num_bytes_ = packer.num_bytes();
  packer.start(adapter->bytes_.bytes());
  TRY(pack_pairs(all, packer, adapter->pairs_));
  TRY(source->check_intact());
  for (const Found& found : all) {
    adapter->rank_max_ = std::max(adapter->rank_max_, found.rank);
  }
  return std::unique_ptr<const LoraAdapter>(std::move(adapter));
}

}  // namespace millrace
