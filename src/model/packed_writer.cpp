// Spec, tokenizer, formats and weights gathered into one packed file.
#include "model/packed_writer.h"

#include <vector>

#include "formats/packed_model.h"
#include "kernels/weight_layout.h"
#include "model/spec_archive.h"
#include "tensor/buffer.h"

namespace millrace {
namespace {

std::string text_of(const Json& json) {
  if (json.is_null()) return "";
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

std::vector<WeightFormat> matrix_formats(const WeightPlan& plan) {
  std::vector<WeightFormat> formats;
  for (const WeightSlot& slot : plan.slots()) {
    if (slot.is_matrix) formats.push_back(slot.format);
  }
  return formats;
}

}  // namespace

Result<PackReport> write_packed_checkpoint(
    const Checkpoint& checkpoint, const ModelSpec& spec, const WeightOptions& options,
    std::span<const std::byte> tokenizer, KernelContext& context, const std::string& path,
    FunctionRef<void(std::uint64_t, std::uint64_t)> progress) {
  if (checkpoint.packed() != nullptr) {
    return Error{ErrorCode::kInvalidArgument,
                 checkpoint.path() + " is packed already: pack the checkpoint that it came from"};
  }
  const WeightPlan plan = TRY(WeightPlan::create(checkpoint, spec, options));
  Buffer weights = TRY(Buffer::allocate(plan.num_bytes()));
  TRY(plan.fill(context, weights.bytes(), progress));

  const std::string spec_bytes = write_spec_archive(spec);
  const std::string config = text_of(checkpoint.config());
  const std::string generation = text_of(checkpoint.generation_config());
  const std::vector<WeightFormat> formats = matrix_formats(plan);
  PackedModelParts parts;
  parts.layout_version = kWeightLayoutVersion;
  parts.layout = weight_layout(context.kernels());
  parts.sections = {bytes_of(spec_bytes),
                    tokenizer,
                    bytes_of(config),
                    bytes_of(generation),
                    std::as_bytes(std::span(formats)),
                    std::as_const(weights).bytes()};
  TRY(write_packed_model(path, parts));
  return PackReport{.weight_bytes = plan.num_bytes(), .num_kept = plan.num_kept()};
}

}  // namespace millrace
