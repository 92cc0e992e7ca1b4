// Checks once, plans by sizes, launches.
#include "kernels/cuda/cuda_ops.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/checked.h"

namespace millrace::cuda {
namespace {

unsigned narrow(std::size_t value) {
  CHECK(value <= 0x7FFFFFFFu);
  return static_cast<unsigned>(value);
}

RowExtent extent_of(const ConstTensorView& view) {
  return {narrow(view.num_rows()), narrow(view.row_elements())};
}

void check_rows(const ConstTensorView& view, std::size_t rank, Device device) {
  CHECK(view.dtype == DType::kF32);
  CHECK(view.device == device);
  CHECK(view.shape.rank() == rank);
  CHECK(view.num_rows() <= 1 || view.row_stride >= view.row_elements());
}

// What the library takes: 16 bytes, everywhere. Only adapters and odd shapes are not.
bool is_aligned(const ProductArgs& args) {
  constexpr std::uintptr_t kBytes = 16;
  const auto is_multiple = [](const void* data, std::size_t stride_bytes) {
    return reinterpret_cast<std::uintptr_t>(data) % kBytes == 0 && stride_bytes % kBytes == 0;
  };
  return is_multiple(args.x.data, args.x.stride * sizeof(float)) &&
         is_multiple(args.y.data, args.y.stride * sizeof(float)) &&
         args.weight.num_cols * sizeof(std::uint16_t) % kBytes == 0;
}

// First and one past the last byte.
struct ByteRange {
  const std::byte* begin = nullptr;
  const std::byte* end = nullptr;
};
ByteRange range_of(const ConstTensorView& view) {
  if (view.num_rows() == 0) return {view.data, view.data};
  const std::size_t elements = (view.num_rows() - 1) * view.row_stride + view.row_elements();
  return {view.data, view.data + elements * sizeof(float)};
}

}  // namespace

CudaOps::CudaOps(Runtime& runtime, const CudaOpsOptions& options)
    : runtime_(runtime), options_(options) {}

Result<std::unique_ptr<CudaOps>> CudaOps::create(Runtime& runtime, const CudaOpsOptions& options) {
  std::unique_ptr<CudaOps> ops(new CudaOps(runtime, options));
  DeviceMemory& memory = runtime.memory();
  ops->mirror_ = TRY(runtime.allocate_pinned(options.mirror_bytes));
  ops->device_mirror_ = TRY(Buffer::allocate(options.mirror_bytes, memory));
  ops->twin_ = TRY(Buffer::allocate(options.twin_elements * sizeof(std::uint16_t), memory));
  ops->partials_ = TRY(Buffer::allocate(options.partial_elements * sizeof(float), memory));
  constexpr std::size_t kRunsMax = 4096;  // A step has no more sequences.
  ops->runs_.reserve(kRunsMax);
  return ops;
}

CudaOps::~CudaOps() {
  if (mirror_ != nullptr) runtime_.release_pinned(mirror_);
}

void CudaOps::upload(std::size_t num_bytes) {
  CHECK(num_bytes <= options_.mirror_bytes);
  runtime_.copy_to_device(mirror_, num_bytes, device_mirror_.bytes().data());
}

Rows CudaOps::rows(const ConstTensorView& view) const {
  check_rows(view, view.shape.rank(), runtime_.memory().device());
  return {reinterpret_cast<const float*>(view.data), view.row_stride};
}

MutableRows CudaOps::written(const TensorView& y) {
  check_rows(y, y.shape.rank(), runtime_.memory().device());
  const ByteRange kept = range_of(twin_source_);
  const ByteRange changed = range_of(y);
  if (changed.begin < kept.end && kept.begin < changed.end) twin_source_ = {};
  return {reinterpret_cast<float*>(y.data), y.row_stride};
}

Twin CudaOps::twin_for(const ConstTensorView& y) {
  if (y.shape.num_elements() > options_.twin_elements || !y.is_dense()) return nullptr;
  if (y.num_rows() <= kFewRows && options_.invariance == BatchInvariance::kOff) return nullptr;
  if (runtime_.library() == nullptr) return nullptr;
  twin_source_ = y;
  return reinterpret_cast<Twin>(twin_.bytes().data());
}

const std::uint16_t* CudaOps::twin_of(const ConstTensorView& x) {
  const std::size_t count = x.shape.num_elements();
  CHECK(count <= options_.twin_elements);
  auto* twin = reinterpret_cast<Twin>(twin_.bytes().data());
  const bool is_there = twin_source_.data == x.data && twin_source_.row_stride == x.row_stride &&
                        twin_source_.num_rows() == x.num_rows() &&
                        twin_source_.row_elements() == x.row_elements();
  if (!is_there) {
    launch_to_bf16(runtime_.stream(), extent_of(x), rows(x), twin);
    twin_source_ = x;
  }
  return twin;
}

// Arrays of the mirror have a twin; others lie on the device already.
const std::uint32_t* CudaOps::on_device(std::span<const std::uint32_t> values) const {
  const auto* bytes = reinterpret_cast<const std::byte*>(values.data());
  if (bytes < mirror_ || bytes >= mirror_ + options_.mirror_bytes) return values.data();
  CHECK(values.size_bytes() <= static_cast<std::size_t>(mirror_ + options_.mirror_bytes - bytes));
  return reinterpret_cast<const std::uint32_t*>(device_mirror_.bytes().data() + (bytes - mirror_));
}

const double* CudaOps::frequencies_on_device(std::span<const double> frequencies) {
  for (const Frequencies& known : frequencies_) {
    if (std::equal(known.host.begin(), known.host.end(), frequencies.begin(), frequencies.end())) {
      return reinterpret_cast<const double*>(known.device.bytes().data());
    }
  }
  Frequencies fresh{{frequencies.begin(), frequencies.end()}, {}};
  Result<Buffer> buffer = Buffer::allocate(frequencies.size_bytes(), runtime_.memory());
  CHECK(buffer.ok());  // Some hundred bytes for a rope, at its first step.
  fresh.device = std::move(buffer).value();
  CHECK(runtime_.memory().upload(std::as_bytes(frequencies), fresh.device.bytes().data()).ok());
  frequencies_.push_back(std::move(fresh));
  return reinterpret_cast<const double*>(frequencies_.back().device.bytes().data());
}

DeviceBatch CudaOps::device_batch(const AttentionBatch& batch, std::size_t num_tokens) const {
  CHECK(batch.chunk_begin.size() == batch.num_sequences() + 1);
  CHECK(batch.chunk_begin.back() <= num_tokens);
  CHECK(batch.block_table.size() >= batch.num_sequences() * batch.block_table_stride);
  return {.chunk_begin = on_device(batch.chunk_begin),
          .context_tokens = on_device(batch.context_tokens),
          .block_table = on_device(batch.block_table),
          .block_table_stride = batch.block_table_stride,
          .num_sequences = narrow(batch.num_sequences()),
          .num_tokens = narrow(num_tokens)};
}

void CudaOps::embed(const PackedMatrix& table, std::span<const std::uint32_t> ids, float factor,
                    const TensorView& y) {
  CHECK(y.num_rows() == ids.size());
  CHECK(y.row_elements() == table.num_cols);
  launch_embed(runtime_.stream(), matrix_view(table), on_device(ids), narrow(ids.size()), factor,
               written(y));
}

void CudaOps::rms_norm(const ConstTensorView& x, const ConstTensorView& weight, float eps,
                       const TensorView& y) {
  CHECK(y.shape == x.shape);
  CHECK(weight.row_elements() * weight.num_rows() >= x.row_elements());
  const MutableRows out = written(y);
  launch_rms_norm(runtime_.stream(), extent_of(x), rows(x),
                  reinterpret_cast<const float*>(weight.data), eps, out, twin_for(y));
}

void CudaOps::layer_norm(const ConstTensorView& x, const LayerNormWeights& weights, float eps,
                         const TensorView& y) {
  CHECK(y.shape == x.shape);
  const MutableRows out = written(y);
  launch_layer_norm(runtime_.stream(), extent_of(x), rows(x), weights, eps, out, twin_for(y));
}

void CudaOps::multiply(const ConstTensorView& x, const ProductArgs& args) {
  MatmulLibrary* library = runtime_.library();
  const bool has_library = library != nullptr && library->can_multiply(args.weight.format) &&
                           args.alpha == 1.0f && is_aligned(args);
  switch (matmul_path({.format = args.weight.format,
                       .num_rows = args.num_rows,
                       .has_library = has_library,
                       .invariance = options_.invariance})) {
    case MatmulPath::kPlain:
      return launch_matmul_plain(runtime_.stream(), args);
    case MatmulPath::kFew:
      return launch_matmul_few(runtime_.stream(), args);
    case MatmulPath::kTiled:
      return launch_matmul_tiled(runtime_.stream(), args);
    case MatmulPath::kLibrary:
      return library->multiply(args,
                               args.weight.format == WeightFormat::kBF16 ? twin_of(x) : nullptr);
  }
}

void CudaOps::multiply_rows(const ConstTensorView& x, const PackedMatrix& weight,
                            const MatmulOptions& options, float alpha, const TensorView& y) {
  CHECK(x.row_elements() == weight.num_cols);
  CHECK(y.num_rows() == x.num_rows());
  CHECK(y.row_elements() == weight.num_rows);
  if (x.num_rows() == 0) return;
  multiply(x, {.num_rows = narrow(x.num_rows()),
               .x = rows(x),
               .weight = matrix_view(weight),
               .bias = options.bias,
               .alpha = alpha,
               .accumulate = options.accumulate,
               .y = written(y)});
}

void CudaOps::matmul(const ConstTensorView& x, const PackedMatrix& weight,
                     const MatmulOptions& options, const TensorView& y) {
  multiply_rows(x, weight, options, 1.0f, y);
}

void CudaOps::lora_down(const ConstTensorView& x, std::span<const LoraSegment> segments,
                        std::size_t pair, const TensorView& inner) {
  for (const LoraSegment& segment : segments) {
    CHECK(pair < segment.pairs.size());
    const LoraPair& of_segment = segment.pairs[pair];
    if (of_segment.down.num_rows == 0) continue;
    const std::size_t count = segment.row_end - segment.row_begin;
    TensorView out = inner.rows(segment.row_begin, count);
    out.shape = {count, of_segment.down.num_rows};
    multiply_rows(x.rows(segment.row_begin, count), of_segment.down, {}, of_segment.scale, out);
  }
}

void CudaOps::lora_up(const ConstTensorView& inner, std::span<const LoraSegment> segments,
                      std::size_t pair, const TensorView& y) {
  for (const LoraSegment& segment : segments) {
    CHECK(pair < segment.pairs.size());
    const LoraPair& of_segment = segment.pairs[pair];
    if (of_segment.down.num_rows == 0) continue;
    const std::size_t count = segment.row_end - segment.row_begin;
    ConstTensorView in = inner.rows(segment.row_begin, count);
    in.shape = {count, of_segment.up.num_cols};
    multiply_rows(in, of_segment.up, {.accumulate = Accumulate::kAdd}, 1.0f,
                  y.rows(segment.row_begin, count));
  }
}

void CudaOps::gated_activation(Activation activation, const ConstTensorView& gate,
                               const ConstTensorView& up, const TensorView& y) {
  CHECK(up.shape == gate.shape);
  CHECK(y.shape == gate.shape);
  const MutableRows out = written(y);
  launch_activation(runtime_.stream(), activation,
                    {extent_of(gate), rows(gate), rows(up), out, twin_for(y)});
}

void CudaOps::activate(Activation activation, const ConstTensorView& x, const TensorView& y) {
  CHECK(y.shape == x.shape);
  const MutableRows out = written(y);
  launch_activation(runtime_.stream(), activation, {extent_of(x), rows(x), {}, out, twin_for(y)});
}

void CudaOps::clamped_gated_activation(const ClampedGate& clamp, const ConstTensorView& gate,
                                       const ConstTensorView& up, const TensorView& y) {
  CHECK(up.shape == gate.shape);
  CHECK(y.shape == gate.shape);
  CHECK(clamp.limit > 0);
  const MutableRows out = written(y);
  launch_clamped_gate(runtime_.stream(), clamp,
                      {extent_of(gate), rows(gate), rows(up), out, twin_for(y)});
}

void CudaOps::add_gated(const ConstTensorView& x, const ConstTensorView& logits,
                        const TensorView& y) {
  CHECK(y.shape == x.shape);
  CHECK(logits.num_rows() == x.num_rows());
  launch_add_gated(runtime_.stream(), extent_of(x), rows(x), rows(logits), written(y));
}

void CudaOps::add(const ConstTensorView& x, const TensorView& y) {
  CHECK(y.shape == x.shape);
  launch_add(runtime_.stream(), extent_of(x), rows(x), written(y));
}

void CudaOps::scale(float factor, const TensorView& x) {
  launch_scale(runtime_.stream(), extent_of(x), factor, written(x));
}

void CudaOps::softcap(float cap, const TensorView& x) {
  CHECK(cap > 0);
  launch_softcap(runtime_.stream(), extent_of(x), cap, written(x));
}

void CudaOps::gather_rows(const ConstTensorView& x, std::span<const std::uint32_t> indices,
                          const TensorView& y) {
  CHECK(y.num_rows() == indices.size());
  CHECK(y.row_elements() == x.row_elements());
  launch_gather_rows(runtime_.stream(), extent_of(y), rows(x), on_device(indices), written(y));
}

}  // namespace millrace::cuda
