// The tensors of a checkpoint by what they are for, whatever its format calls them and however it
// orders rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "formats/checkpoint.h"
#include "formats/quantized_linear.h"
#include "model/model_spec.h"
#include "model/tensor_names.h"

namespace millrace {

// Which one of a model's tensors: `layer` and `expert` are 0 where they mean nothing.
struct TensorKey {
  TensorRole role = TensorRole::kEmbedding;
  std::size_t layer = 0;
  std::size_t expert = 0;
};

// Which rows of what is stored are the matrix's: `length` from `first` on, then as many from
// `first + stride` on, and so forth. A length of 0 stands for all of them.
//
//   q of grouped q, k, v:   [ q q k v | q q k v | ... ]   first 0, length 2 D, stride 4 D
struct RowRuns {
  std::size_t first = 0;
  std::size_t length = 0;
  std::size_t stride = 0;
};

// A matrix [num_rows, num_cols], or a vector as one column per row, still in the file's encoding.
struct StoredTensor {
  std::string name;
  DType dtype = DType::kF32;
  std::size_t num_rows = 0;
  std::size_t num_cols = 0;
  std::span<const std::byte> bytes;  // dense rows, or what holds them all; any alignment
  // The rows of one head lie as rope pairs (2i, 2i + 1); read_rows puts them as (i, i + D/2). 0: as
  // they are.
  std::size_t paired_head_dim = 0;
  RowRuns runs;
  // The matrix is stored as [num_cols, this many]: rows lie across. 0: rows are dense.
  std::size_t transposed_pitch = 0;
  // What `bytes` are when rows lie across blocks: read_rows decodes them to dtype, f32.
  std::optional<DType> decoded_from;
  // mxfp4 as gpt-oss publishes it: `bytes` holds nothing but elements, in order, two in a byte, low
  // half first, and here lie the scales, a byte for each 32. Empty for all else.
  std::span<const std::byte> apart_scales;
  // Integers or FP8 with scales: rows are read as f32 from here, and `bytes` are the quants. Else
  // null. Shared by the copies of this tensor, which begins at its row `quantized_row`.
  std::size_t quantized_row = 0;
  std::shared_ptr<const QuantizedLinear> quantized;

  std::size_t row_bytes() const;
};

// A stored tensor as equal parts one after another, each [part.rows, part.cols].
struct StoredParts {
  std::size_t count = 1;
  std::size_t index = 0;    // the one that is meant
  bool is_stacked = false;  // the parts have a dimension of their own
  Shape part;
};

// Copies rows [begin, begin + count) of `tensor`, in the order that the decoder expects, to `rows`,
// which holds count * row_bytes().
void read_rows(const StoredTensor& tensor, std::size_t begin, std::size_t count, std::byte* rows);

// How the rows of a matrix come apart into integers and scales; nothing when they do not.
std::optional<QuantKind> quant_kind(const StoredTensor& tensor);
// Whether they come apart into FP8 and scales.
bool has_float8_groups(const StoredTensor& tensor);
// Rows as read_rows orders them, of a matrix that is quantised and comes apart.
void split_rows(const StoredTensor& tensor, std::size_t begin, std::size_t count,
                const QuantSpans& out);

// Where a layer's rows of that role are in a stored tensor of that layout, and how many rows that
// has in all.
RowRuns row_runs(const LayerSpec& layer, TensorRole role, TensorLayout layout);
std::size_t stored_rows(const LayerSpec& layer, TensorLayout layout, std::size_t num_rows);

// Borrowed view of a checkpoint; const, any thread.
class CheckpointTensors {
 public:
  // Both must outlive it.
  CheckpointTensors(const Checkpoint& checkpoint, const ModelSpec& spec);

  // kNotFound, kUnsupported (its type) or kCorruptData naming the tensor, found and expected shape.
  Result<StoredTensor> matrix(const TensorKey& key, std::size_t num_rows,
                              std::size_t num_cols) const;
  Result<StoredTensor> vector(const TensorKey& key, std::size_t num_elements) const;

  const WeightSource& source() const { return checkpoint_->weights(); }
  std::string name_of(const TensorKey& key) const { return place_of(key).name; }
  // Every tensor of the source that the matrix or vector is made of; empty when it has none.
  std::vector<const TensorInfo*> stored_parts(const TensorKey& key) const;

 private:
  TensorPlace place_of(const TensorKey& key) const;
  TensorPlace gguf_place_of(const TensorKey& key) const;
  // An expert's matrix whose elements and scales are tensors of their own.
  Result<StoredTensor> mxfp4_matrix(const TensorKey& key, const TensorPlace& place,
                                    std::size_t num_rows, std::size_t num_cols) const;
  StoredParts parts_of(const TensorKey& key, const TensorPlace& place, std::size_t num_rows,
                       std::size_t num_cols) const;
  Status check_type(const SourceTensor& tensor) const;
  Status check_unscaled(const std::string& name) const;
  // Whether the tensor is there, as it is or quantised.
  bool holds(const std::string& name) const;
  // Nothing when the matrix is not quantised.
  Result<std::optional<StoredTensor>> quantized(const TensorKey& key, std::size_t num_rows,
                                                std::size_t num_cols) const;
  std::size_t paired_head_dim(const TensorKey& key) const;

  const Checkpoint* checkpoint_;
  const ModelSpec* spec_;
};

}  // namespace millrace
