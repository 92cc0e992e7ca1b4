// The tensors of a checkpoint that is to be written: their names, types, shapes and what each is
// made of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/function_ref.h"
#include "base/result.h"
#include "formats/weight_writer.h"
#include "model/export_source.h"

namespace millrace {

// Called with written and total bytes; an error ends the export.
using ExportProgress = FunctionRef<Status(std::uint64_t, std::uint64_t)>;

enum class ExportLayout : std::uint8_t { kHuggingFace, kGguf };

struct ExportTensor {
  TensorDeclaration declaration;
  // What is written, part after part: one tensor, or every expert's in order (GGUF stacks them).
  std::vector<RequiredTensor> parts;
  // The rows of each head are written as rope pairs (2i, 2i + 1), as GGUF's llama has them. 0: in
  // Hugging Face's order.
  std::size_t paired_head_dim = 0;
  // Written instead of parts: numbers that Hugging Face keeps in config.json.
  std::vector<float> values;
};

struct ExportTensors {
  std::vector<ExportTensor> tensors;
  DType main_dtype = DType::kF32;  // of most of the matrices' elements
  // Matrices whose rows are no multiple of the format's group: they keep the source's type.
  std::size_t num_kept = 0;

  std::uint64_t num_bytes() const;
};

// `format` is for matrices; absent: as the source has them. GGUF holds vectors and routers in f32,
// as other programs expect it; a Hugging Face folder holds everything in `format`. kUnsupported
// when the layout has no such type.
Result<ExportTensors> plan_export_tensors(const ModelSpec& spec, const ExportSource& source,
                                          ExportLayout layout, std::optional<DType> format);

// Reads, converts and appends every tensor, in the order that the writer asks for, a few megabytes
// at a time. Leaves finish() to the caller.
Status write_export_tensors(const ExportTensors& plan, const ExportSource& source,
                            WeightWriter& writer, ExportProgress progress);

}  // namespace millrace
