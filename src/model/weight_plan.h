// How the weights of a checkpoint will lie in memory: decided and checked first, then packed, then
// bound.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/function_ref.h"
#include "base/result.h"
#include "kernels/context.h"
#include "model/checkpoint_tensors.h"
#include "model/model_weights.h"
#include "model/required_tensors.h"

namespace millrace {

// Of the packed bytes of all formats; raised whenever one changes.
inline constexpr std::uint32_t kWeightLayoutVersion = 4;

struct WeightOptions {
  // For every matrix whose layer does not say otherwise; absent: the format nearest to the
  // checkpoint's.
  std::optional<WeightFormat> format;
};

// One tensor of the model and its place in the store.
struct WeightSlot {
  TensorKey key;
  StoredTensor stored;
  bool is_matrix = false;  // else a vector of f32
  float addend = 0.0f;     // of a vector: added to every element
  WeightFormat format = WeightFormat::kF32;
  std::uint64_t offset = 0;
  std::uint64_t num_bytes = 0;
};

// The format that loses nothing of `dtype`.
WeightFormat nearest_format(DType dtype);
// The same of a matrix, whose integers with scales may lie in several tensors.
WeightFormat nearest_format(const StoredTensor& stored);

// Borrows checkpoint and spec, which must outlive it.
//
// A matrix whose depth is no multiple of a format's group keeps its checkpoint's format; num_kept()
// counts them.
class WeightPlan {
 public:
  // Finds every tensor that the spec needs and checks type and shape; reads no weights. Of a packed
  // checkpoint it says where the weights lie already; no other format can be asked for.
  static Result<WeightPlan> create(const Checkpoint& checkpoint, const ModelSpec& spec,
                                   const WeightOptions& options);
  // Without a checkpoint, for fill_random(): matrices in the format that is asked for, f32 where
  // none is or where it does not fit.
  static Result<WeightPlan> create_random(const ModelSpec& spec, const WeightOptions& options);

  std::span<const WeightSlot> slots() const { return slots_; }
  std::uint64_t num_bytes() const { return num_bytes_; }
  std::size_t num_kept() const { return num_kept_; }
  // Names these weights in this packing among all others: 32 hex digits over the files' identities,
  // the formats and the version of the layout.
  // Of a plan of create().
  std::string store_key() const;

  // Packs all weights into `bytes` (num_bytes() zeros, aligned to 64) on the whole team, letting
  // the source's pages go on the way. `progress(done, total)` is called on the calling thread with
  // bytes. kCorruptData when a source file was cut short meanwhile.
  Status fill(KernelContext& context, std::span<std::byte> bytes,
              FunctionRef<void(std::uint64_t, std::uint64_t)> progress) const;

  // The same with random_weights.h's numbers. Of a plan of create_random().
  void fill_random(KernelContext& context, std::span<std::byte> bytes, std::uint64_t seed,
                   FunctionRef<void(std::uint64_t, std::uint64_t)> progress) const;

  // Views of weights that fill() has packed at `bytes`.
  ModelWeights bind(std::span<const std::byte> bytes) const;

 private:
  explicit WeightPlan(const ModelSpec& spec) : spec_(&spec) {}

  Status add_all(const WeightOptions& options);
  std::optional<WeightFormat> wanted_format(const TensorKey& key,
                                            const WeightOptions& options) const;
  Status add_packed(const PackedModelFile& file, const WeightOptions& options);
  Status add_matrix(const RequiredTensor& tensor, std::optional<WeightFormat> format);
  Status add_vector(const RequiredTensor& tensor);
  void place(WeightSlot slot);

  const ModelSpec* spec_;
  const WeightSource* source_ = nullptr;      // null: random
  std::optional<CheckpointTensors> tensors_;  // absent: random, or packed
  std::vector<WeightSlot> slots_;
  std::uint64_t num_bytes_ = 0;
  std::size_t num_kept_ = 0;
};

}  // namespace millrace
