// The stream of an export: rows read, put in the destination's order, converted and appended.
#include <algorithm>
#include <map>

#include "base/checked.h"
#include "formats/decode.h"
#include "formats/encode.h"
#include "model/export_tensors.h"

namespace millrace {
namespace {

// Elements that are in memory at once: 1 MiB of floats stays in the L2 cache between its passes.
constexpr std::size_t kElementsAtOnce = std::size_t{1} << 18;

// Copies the rows of whole heads from Hugging Face's order (rotated halves) to rope pairs.
//
//   pairs.row[2i]     = halves.row[i]           i < D/2
//   pairs.row[2i + 1] = halves.row[D/2 + i]
void pair_rows(std::span<const std::byte> halves, std::size_t head_dim, std::size_t row_bytes,
               std::span<std::byte> pairs) {
  const std::size_t num_rows = halves.size() / row_bytes;
  const std::size_t half = head_dim / 2;
  for (std::size_t row = 0; row < num_rows; ++row) {
    const std::size_t head = row / head_dim * head_dim;
    const std::size_t within = row % head_dim;
    const std::size_t from = head + within / 2 + (within % 2) * half;
    std::copy_n(halves.data() + from * row_bytes, row_bytes, pairs.data() + row * row_bytes);
  }
}

class Stream {
 public:
  Stream(const ExportSource& source, WeightWriter& writer, ExportProgress progress,
         std::uint64_t total_bytes)
      : source_(&source), writer_(&writer), progress_(progress), total_bytes_(total_bytes) {}

  Status write(const ExportTensor& tensor) {
    if (tensor.parts.empty()) return append(std::as_bytes(std::span(tensor.values)));
    for (const RequiredTensor& part : tensor.parts) {
      Status written = write_part(tensor, part);
      if (!written.ok()) return with_context(std::move(written).error(), tensor.declaration.name);
    }
    return Ok{};
  }

 private:
  Status write_part(const ExportTensor& tensor, const RequiredTensor& part) {
    const DType from = TRY(source_->dtype(part));
    const std::size_t num_rows = part.shape[0];
    const std::size_t num_cols = part.shape.row_elements();
    std::size_t at_once = std::max<std::size_t>(1, kElementsAtOnce / num_cols);
    if (tensor.paired_head_dim > 0) at_once = round_up(at_once, tensor.paired_head_dim);
    for (std::size_t begin = 0; begin < num_rows; begin += at_once) {
      const std::size_t count = std::min(at_once, num_rows - begin);
      TRY(read_rows(tensor, part, begin, count, from));
      TRY(append_as(from, tensor.declaration.dtype, count * num_cols));
      source_->release(part, begin, count);
    }
    return Ok{};
  }

  // Into rows_, in the destination's order and the source's type.
  Status read_rows(const ExportTensor& tensor, const RequiredTensor& part, std::size_t begin,
                   std::size_t count, DType from) {
    const std::size_t row_elements = part.shape.row_elements();
    const std::uint64_t num_bytes = storage_bytes(from, count * row_elements).value_or(0);
    CHECK(num_bytes > 0);  // The source has checked that rows are whole groups.
    rows_.resize(num_bytes);
    if (tensor.paired_head_dim == 0) return source_->read(part, begin, count, rows_);
    unpaired_.resize(num_bytes);
    TRY(source_->read(part, begin, count, unpaired_));
    pair_rows(unpaired_, tensor.paired_head_dim, num_bytes / count, rows_);
    return Ok{};
  }

  Status append_as(DType from, DType to, std::size_t num_elements) {
    if (from == to) return append(rows_);
    floats_.resize(num_elements);
    decode(from, rows_, floats_);
    encoded_.resize(storage_bytes(to, num_elements).value_or(0));
    TRY(encode(to, floats_, encoded_));
    return append(encoded_);
  }

  Status append(std::span<const std::byte> bytes) {
    TRY(writer_->append(bytes));
    done_bytes_ += bytes.size();
    return progress_(done_bytes_, total_bytes_);
  }

  const ExportSource* source_;
  WeightWriter* writer_;
  ExportProgress progress_;
  std::uint64_t total_bytes_;
  std::uint64_t done_bytes_ = 0;
  std::vector<std::byte> rows_;
  std::vector<std::byte> unpaired_;
  std::vector<float> floats_;
  std::vector<std::byte> encoded_;
};

}  // namespace

Status write_export_tensors(const ExportTensors& plan, const ExportSource& source,
                            WeightWriter& writer, ExportProgress progress) {
  std::map<std::string_view, const ExportTensor*> by_name;
  for (const ExportTensor& tensor : plan.tensors) by_name[tensor.declaration.name] = &tensor;
  Stream stream(source, writer, progress, plan.num_bytes());
  for (const TensorDeclaration& declared : writer.tensors()) {
    const auto found = by_name.find(declared.name);
    CHECK(found != by_name.end());
    TRY(stream.write(*found->second));
  }
  return source.check_intact();
}

}  // namespace millrace
