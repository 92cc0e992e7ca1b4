// Checkpoints written tensor by tensor, in little memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

namespace millrace {

struct TensorDeclaration {
  std::string name;
  DType dtype = DType::kF32;
  Shape shape;  // Outermost first.
};

// All tensors are declared first, since headers precede data; then their bytes are appended, tensor
// after tensor, in the order of tensors(), in pieces of any size. Files appear under their names in
// finish(), whole; without it nothing remains. One thread at a time.
class WeightWriter {
 public:
  virtual ~WeightWriter() = default;

  // The order in which bytes are expected; a format may arrange what was declared.
  virtual std::span<const TensorDeclaration> tensors() const = 0;
  // The next bytes, of one tensor. More than are missing of it is the caller's bug.
  virtual Status append(std::span<const std::byte> bytes) = 0;
  // All bytes of all tensors have been appended. Called once.
  virtual Status finish() = 0;
};

// Bytes of each tensor. kInvalidArgument naming `where` and the tensor whose name is empty, no
// UTF-8 or used twice, or whose size overflows or is no whole number of groups in each row.
Result<std::vector<std::uint64_t>> declared_bytes(std::span<const TensorDeclaration> tensors,
                                                  const std::string& where);

// Which tensor is being written, and how much of it is missing.
class TensorCursor {
 public:
  explicit TensorCursor(std::vector<std::uint64_t> tensor_bytes);

  // The tensor that is written now; the number of tensors at the end.
  std::size_t index() const { return index_; }
  bool at_end() const { return index_ == tensor_bytes_.size(); }
  // True when the tensor is whole now. The caller moves on with next().
  bool advance(std::uint64_t num_bytes);
  // The next tensor; the caller calls it once for every tensor, empty ones too.
  void next();
  std::uint64_t num_missing() const { return at_end() ? 0 : tensor_bytes_[index_] - num_written_; }

 private:
  std::vector<std::uint64_t> tensor_bytes_;
  std::size_t index_ = 0;
  std::uint64_t num_written_ = 0;
};

}  // namespace millrace
