// Where the values of a checkpoint that is being written come from.
#pragma once

#include <cstddef>
#include <span>

#include "base/result.h"
#include "model/checkpoint_tensors.h"
#include "model/required_tensors.h"

namespace millrace {

// One thread at a time.
class ExportSource {
 public:
  virtual ~ExportSource() = default;

  // The type in which read() delivers the tensor; also checks that it is there.
  virtual Result<DType> dtype(const RequiredTensor& tensor) const = 0;
  // Rows [begin, begin + count) in the order that Hugging Face has, encoded as dtype(); elements of
  // a vector are its rows. `bytes` is of exactly their size.
  virtual Status read(const RequiredTensor& tensor, std::size_t begin, std::size_t count,
                      std::span<std::byte> bytes) const = 0;
  // These rows will not be read again.
  virtual void release(const RequiredTensor& /*tensor*/, std::size_t /*begin*/,
                       std::size_t /*count*/) const {}
  // Asked after the last read, before what was written is believed.
  virtual Status check_intact() const { return Ok{}; }
};

// The tensors of an opened checkpoint, which must outlive it, as must the spec.
class CheckpointSource final : public ExportSource {
 public:
  CheckpointSource(const Checkpoint& checkpoint, const ModelSpec& spec)
      : tensors_(checkpoint, spec) {}

  Result<DType> dtype(const RequiredTensor& tensor) const override;
  Status read(const RequiredTensor& tensor, std::size_t begin, std::size_t count,
              std::span<std::byte> bytes) const override;
  void release(const RequiredTensor& tensor, std::size_t begin, std::size_t count) const override;
  Status check_intact() const override { return tensors_.source().check_intact(); }

 private:
  Result<StoredTensor> find(const RequiredTensor& tensor) const;

  CheckpointTensors tensors_;
};

}  // namespace millrace
