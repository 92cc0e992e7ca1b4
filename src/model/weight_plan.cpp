// Which tensors a spec needs, in which format each is packed, and where it goes.
#include "model/weight_plan.h"

#include <bit>

#include "base/checked.h"
#include "base/random.h"
#include "formats/decode_blocks.h"

namespace millrace {
namespace {

constexpr std::uint64_t kAlignment = 64;

// Two 64-bit lanes over a stream of numbers; tells versions of one user's files apart, not
// adversaries.
class KeyHash {
 public:
  void add(std::uint64_t value) {
    low_ = mix64(low_ ^ value) + 0x9E3779B97F4A7C15u;
    high_ = mix64(high_ + value) ^ low_;
  }
  void add(std::string_view text) {
    add(text.size());
    for (const char c : text) add(static_cast<std::uint64_t>(static_cast<unsigned char>(c)));
  }
  std::string hex() const {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string text;
    for (const std::uint64_t lane : {high_, low_}) {
      for (int shift = 60; shift >= 0; shift -= 4) text += kDigits[(lane >> shift) & 15u];
    }
    return text;
  }

 private:
  std::uint64_t low_ = 0x6D696C6C72616365u;
  std::uint64_t high_ = 0x2545F4914F6CDD1Du;
};

StoredTensor sourceless(std::size_t num_rows, std::size_t num_cols) {
  StoredTensor stored;
  stored.num_rows = num_rows;
  stored.num_cols = num_cols;
  return stored;
}

}  // namespace

WeightFormat nearest_format(DType dtype) {
  switch (dtype) {
    case DType::kF16:
      return WeightFormat::kF16;
    case DType::kBF16:
      return WeightFormat::kBF16;
    default:
      break;
  }
  const std::optional<QuantKind> kind = quant_kind(dtype);
  return kind ? lossless_format(*kind).value_or(WeightFormat::kF32) : WeightFormat::kF32;
}

WeightFormat nearest_format(const StoredTensor& stored) {
  if (stored.quantized == nullptr) return nearest_format(stored.dtype);
  if (has_float8_groups(stored)) return WeightFormat::kE4m3G32;
  const std::optional<QuantKind> kind = quant_kind(stored);
  return kind ? lossless_format(*kind).value_or(WeightFormat::kF32) : WeightFormat::kF32;
}

Result<WeightPlan> WeightPlan::create(const Checkpoint& checkpoint, const ModelSpec& spec,
                                      const WeightOptions& options) {
  WeightPlan plan(spec);
  plan.source_ = &checkpoint.weights();
  if (checkpoint.packed() != nullptr) {
    TRY(plan.add_packed(*checkpoint.packed(), options));
    return plan;
  }
  plan.tensors_.emplace(checkpoint, spec);
  TRY(plan.add_all(options));
  return plan;
}

Result<WeightPlan> WeightPlan::create_random(const ModelSpec& spec, const WeightOptions& options) {
  WeightPlan plan(spec);
  TRY(plan.add_all(options));
  return plan;
}

// The format that the spec asks for, or else the options.
std::optional<WeightFormat> WeightPlan::wanted_format(const TensorKey& key,
                                                      const WeightOptions& options) const {
  const LayerFormats& formats = spec_->layers[key.layer].formats;
  std::optional<WeightFormat> asked;
  switch (key.role) {
    case TensorRole::kRouter:
    case TensorRole::kSharedRouter:
      // It decides where tokens go and is tiny: it keeps the checkpoint's precision.
      return std::nullopt;
    case TensorRole::kEmbedding:
    case TensorRole::kPositions:
      asked = spec_->embedding_format;
      break;
    case TensorRole::kOutput:
      asked = spec_->output_format;
      break;
    case TensorRole::kAttentionOutput:
      asked = formats.attention_output;
      break;
    case TensorRole::kDown:
    case TensorRole::kExpertDown:
    case TensorRole::kSharedDown:
      asked = formats.feed_forward_out;
      break;
    case TensorRole::kGate:
    case TensorRole::kUp:
    case TensorRole::kExpertGate:
    case TensorRole::kExpertUp:
    case TensorRole::kSharedGate:
    case TensorRole::kSharedUp:
      asked = formats.feed_forward_in;
      break;
    default:
      asked = formats.qkv;
      break;
  }
  return asked ? asked : options.format;
}

Status WeightPlan::add_all(const WeightOptions& options) {
  for (const RequiredTensor& tensor : required_tensors(*spec_)) {
    if (tensor.is_matrix()) {
      TRY(add_matrix(tensor, wanted_format(tensor.key, options)));
    } else {
      TRY(add_vector(tensor));
    }
  }
  return Ok{};
}

// The formats are the file's, everything else follows from the spec.
Status WeightPlan::add_packed(const PackedModelFile& file, const WeightOptions& options) {
  const auto corrupt = [&file](const std::string& what) {
    return Error{ErrorCode::kCorruptData, file.path() + ": " + what};
  };
  const auto formats = file.section(PackedSection::kFormats);
  std::size_t num_matrices = 0;
  for (const RequiredTensor& tensor : required_tensors(*spec_)) {
    if (!tensor.is_matrix()) {
      TRY(add_vector(tensor));
      continue;
    }
    if (num_matrices == formats.size()) return corrupt("a matrix of the spec has no format");
    const auto number = std::to_integer<std::size_t>(formats[num_matrices++]);
    if (number >= kNumWeightFormats) {
      return corrupt("a matrix has format " + std::to_string(number) + ", expected less than " +
                     std::to_string(kNumWeightFormats));
    }
    WeightSlot slot;
    slot.key = tensor.key;
    slot.stored = sourceless(tensor.shape[0], tensor.shape[1]);
    slot.is_matrix = true;
    slot.format = static_cast<WeightFormat>(number);
    slot.num_bytes = TRY(packed_bytes(slot.format, tensor.shape[0], tensor.shape[1]));
    const std::optional<WeightFormat> asked = wanted_format(tensor.key, options);
    if (asked && *asked != slot.format && tensor.shape[1] % weight_depth_multiple(*asked) == 0) {
      return Error{ErrorCode::kInvalidArgument,
                   file.path() + " is packed as " + std::string(weight_format_name(slot.format)) +
                       ": another --weight-format needs the checkpoint that it came from"};
    }
    place(std::move(slot));
  }
  const std::uint64_t found = file.section(PackedSection::kWeights).size();
  if (num_matrices == formats.size() && found == num_bytes_) return Ok{};
  return corrupt("the spec asks for " + std::to_string(num_matrices) + " matrices and " +
                 std::to_string(num_bytes_) + " bytes of weights, the file has " +
                 std::to_string(formats.size()) + " and " + std::to_string(found));
}

Status WeightPlan::add_matrix(const RequiredTensor& tensor, std::optional<WeightFormat> format) {
  const std::size_t num_rows = tensor.shape[0];
  const std::size_t num_cols = tensor.shape[1];
  WeightSlot slot;
  slot.key = tensor.key;
  slot.stored = tensors_ ? TRY(tensors_->matrix(tensor.key, num_rows, num_cols))
                         : sourceless(num_rows, num_cols);
  slot.is_matrix = true;
  slot.format = format.value_or(nearest_format(slot.stored));
  if (num_cols % weight_depth_multiple(slot.format) != 0) {
    slot.format = nearest_format(slot.stored);
    ++num_kept_;
  }
  slot.num_bytes = TRY(packed_bytes(slot.format, num_rows, num_cols));
  place(std::move(slot));
  return Ok{};
}

Status WeightPlan::add_vector(const RequiredTensor& tensor) {
  WeightSlot slot;
  slot.key = tensor.key;
  slot.stored = tensors_ ? TRY(tensors_->vector(tensor.key, tensor.shape[0]))
                         : sourceless(tensor.shape[0], 1);
  slot.addend = tensor.addend;
  slot.num_bytes = tensor.shape[0] * sizeof(float);
  place(std::move(slot));
  return Ok{};
}

void WeightPlan::place(WeightSlot slot) {
  slot.offset = num_bytes_;
  num_bytes_ = round_up(num_bytes_ + slot.num_bytes, kAlignment);
  slots_.push_back(std::move(slot));
}

std::string WeightPlan::store_key() const {
  CHECK(source_ != nullptr);
  KeyHash hash;
  hash.add(kWeightLayoutVersion);
  for (const SourceFile& file : source_->files()) {
    hash.add(file.path);
    hash.add(file.identity.device);
    hash.add(file.identity.inode);
    hash.add(file.identity.num_bytes);
    hash.add(static_cast<std::uint64_t>(file.identity.modified_ns));
  }
  for (const WeightSlot& slot : slots_) {
    hash.add(static_cast<std::uint64_t>(slot.key.role));
    hash.add(static_cast<std::uint64_t>(slot.format));
    hash.add(std::bit_cast<std::uint32_t>(slot.addend));
    hash.add(slot.offset);
    hash.add(slot.num_bytes);
  }
  return hash.hex();
}

}  // namespace millrace
