// Reading a checkpoint's tensors for export.
#include "model/export_source.h"

#include "formats/decode.h"

namespace millrace {

Result<StoredTensor> CheckpointSource::find(const RequiredTensor& tensor) const {
  if (!tensor.is_matrix()) return tensors_.vector(tensor.key, tensor.shape[0]);
  return tensors_.matrix(tensor.key, tensor.shape[0], tensor.shape[1]);
}

Result<DType> CheckpointSource::dtype(const RequiredTensor& tensor) const {
  const StoredTensor stored = TRY(find(tensor));
  if (!can_decode(stored.dtype)) {
    return Error{ErrorCode::kUnsupported,
                 tensors_.source().path() + ": tensor " + stored.name + " is of type " +
                     std::string(dtype_name(stored.dtype)) + ", expected one that holds weights"};
  }
  return stored.dtype;
}

Status CheckpointSource::read(const RequiredTensor& tensor, std::size_t begin, std::size_t count,
                              std::span<std::byte> bytes) const {
  const StoredTensor stored = TRY(find(tensor));
  CHECK(bytes.size() == count * stored.row_bytes());
  read_rows(stored, begin, count, bytes.data());
  return Ok{};
}

// Rows may lie in another order in the file, but only within heads, and whole heads are read at
// once.
void CheckpointSource::release(const RequiredTensor& tensor, std::size_t begin,
                               std::size_t count) const {
  const Result<StoredTensor> found = find(tensor);
  if (!found.ok()) return;
  const StoredTensor& stored = found.value();
  tensors_.source().release_pages(
      stored.bytes.subspan(begin * stored.row_bytes(), count * stored.row_bytes()));
}

}  // namespace millrace
