// Ops on a device for callers whose tensors lie on the host: everything is taken there and back
// around each op. So the case table runs on a device as it is.
#pragma once

#include <cstring>
#include <map>
#include <vector>

#include "kernels/cuda/cuda_ops.h"
#include "kernels/cuda/weight_upload.h"
#include "kernels/device_ops.h"
#include "tensor/buffer.h"

namespace millrace::cuda {

// What one op borrows of the device. Tensors that are the same on the host are the same there.
class Staging {
 public:
  Staging(Runtime& runtime, CudaOps& ops) : runtime_(runtime), ops_(ops) {}
  // Takes back what the op may have written.
  ~Staging() {
    CHECK(runtime_.synchronize().ok());
    for (const auto& [host, piece] : pieces_) {
      if (!piece.is_output) continue;
      CHECK(runtime_.memory()
                .download(piece.buffer.bytes().data(),
                          {const_cast<std::byte*>(host), piece.num_bytes})
                .ok());
    }
  }

  std::byte* bytes(const void* host, std::size_t num_bytes, bool is_output) {
    if (host == nullptr || num_bytes == 0) return nullptr;
    const auto* key = static_cast<const std::byte*>(host);
    auto found = pieces_.find(key);
    if (found == pieces_.end()) {
      Piece piece;
      piece.num_bytes = num_bytes;
      piece.buffer = MUST(Buffer::allocate(num_bytes, runtime_.memory()));  // Test sizes.
      CHECK(runtime_.memory().upload({key, num_bytes}, piece.buffer.bytes().data()).ok());
      found = pieces_.emplace(key, std::move(piece)).first;
    }
    CHECK(found->second.num_bytes >= num_bytes);
    found->second.is_output |= is_output;
    return found->second.buffer.bytes().data();
  }
  const float* floats(const float* host, std::size_t count) {
    return reinterpret_cast<const float*>(bytes(host, count * sizeof(float), false));
  }
  ConstTensorView in(ConstTensorView view) {
    view.data = bytes(view.data, bytes_of(view), false);
    view.device = runtime_.memory().device();
    return view;
  }
  TensorView out(TensorView view) {
    view.data = bytes(view.data, bytes_of(view), true);
    view.device = runtime_.memory().device();
    return view;
  }
  template <class T>
  std::span<T> out(std::span<T> values) {
    return {reinterpret_cast<T*>(bytes(values.data(), values.size_bytes(), true)), values.size()};
  }
  // Into the mirror, where the device sees them once upload() has been called.
  std::span<const std::uint32_t> mirrored(std::span<const std::uint32_t> values) {
    CHECK(num_mirrored_ + values.size_bytes() <= ops_.mirror().size());
    std::byte* at = ops_.mirror().data() + num_mirrored_;
    if (!values.empty()) std::memcpy(at, values.data(), values.size_bytes());
    num_mirrored_ += values.size_bytes();
    return {reinterpret_cast<const std::uint32_t*>(at), values.size()};
  }
  AttentionBatch batch(const AttentionBatch& host) {
    AttentionBatch mine = host;
    mine.chunk_begin = mirrored(host.chunk_begin);
    mine.context_tokens = mirrored(host.context_tokens);
    mine.block_table = mirrored(host.block_table);
    upload();
    return mine;
  }
  void upload() { ops_.upload(num_mirrored_); }
  KvLayerView cache(KvLayerView cache, bool is_output) {
    cache.data = bytes(cache.data, cache.block_bytes() * cache.num_blocks, is_output);
    return cache;
  }
  // Matrices one behind the other.
  std::vector<PackedMatrix> matrices(std::span<const PackedMatrix> packed) {
    std::size_t total = 0;
    for (const PackedMatrix& matrix : packed) total += device_matrix_bytes(matrix);
    buffers_.push_back(MUST(Buffer::allocate(total, runtime_.memory())));  // Test sizes.
    std::byte* at = buffers_.back().bytes().data();
    std::vector<PackedMatrix> uploaded;
    for (const PackedMatrix& matrix : packed) {
      uploaded.push_back(MUST(upload_matrix(matrix, runtime_.memory(), at)));  // A test's device.
      at += device_matrix_bytes(matrix);
    }
    return uploaded;
  }
  PackedMatrix matrix(const PackedMatrix& packed) { return matrices({&packed, 1}).front(); }

 private:
  struct Piece {
    std::size_t num_bytes = 0;
    bool is_output = false;
    Buffer buffer;
  };
  static std::size_t bytes_of(const ConstTensorView& view) {
    if (view.num_rows() == 0) return 0;
    return ((view.num_rows() - 1) * view.row_stride + view.row_elements()) * sizeof(float);
  }

  Runtime& runtime_;
  CudaOps& ops_;
  std::map<const std::byte*, Piece> pieces_;
  std::vector<Buffer> buffers_;
  std::size_t num_mirrored_ = 0;
};

class StagedOps final : public DeviceOps {
 public:
  StagedOps(Runtime& runtime, CudaOps& ops) : runtime_(runtime), ops_(ops) {}

  void embed(const PackedMatrix& table, std::span<const std::uint32_t> ids, float factor,
             const TensorView& y) override {
    Staging s(runtime_, ops_);
    const auto mine = s.mirrored(ids);
    s.upload();
    ops_.embed(s.matrix(table), mine, factor, s.out(y));
  }
  void rms_norm(const ConstTensorView& x, const ConstTensorView& weight, float eps,
                const TensorView& y) override {
    Staging s(runtime_, ops_);
    ops_.rms_norm(s.in(x), s.in(weight), eps, s.out(y));
  }
  void layer_norm(const ConstTensorView& x, const LayerNormWeights& weights, float eps,
                  const TensorView& y) override {
    Staging s(runtime_, ops_);
    const std::size_t count = x.row_elements();
    ops_.layer_norm(s.in(x), {s.floats(weights.weight, count), s.floats(weights.bias, count)}, eps,
                    s.out(y));
  }
  void matmul(const ConstTensorView& x, const PackedMatrix& weight, const MatmulOptions& options,
              const TensorView& y) override {
    Staging s(runtime_, ops_);
    MatmulOptions mine = options;
    mine.bias = s.floats(options.bias, weight.num_rows);
    ops_.matmul(s.in(x), s.matrix(weight), mine, s.out(y));
  }
  void lora_down(const ConstTensorView& x, std::span<const LoraSegment> segments, std::size_t pair,
                 const TensorView& inner) override {
    Staging s(runtime_, ops_);
    Adapters mine = adapters(s, segments, pair);
    ops_.lora_down(s.in(x), mine.segments, 0, s.out(inner));
  }
  void lora_up(const ConstTensorView& inner, std::span<const LoraSegment> segments,
               std::size_t pair, const TensorView& y) override {
    Staging s(runtime_, ops_);
    Adapters mine = adapters(s, segments, pair);
    ops_.lora_up(s.in(inner), mine.segments, 0, s.out(y));
  }
  void rope_angles(std::span<const std::uint32_t> positions,
                   std::span<const double> inverse_frequencies, double attention_factor,
                   const TensorView& cos, const TensorView& sin) override {
    Staging s(runtime_, ops_);
    const auto mine = s.mirrored(positions);
    s.upload();
    ops_.rope_angles(mine, inverse_frequencies, attention_factor, s.out(cos), s.out(sin));
  }
  void rope(const TensorView& x, const ConstTensorView& cos, const ConstTensorView& sin,
            RopePairs pairs) override {
    Staging s(runtime_, ops_);
    ops_.rope(s.out(x), s.in(cos), s.in(sin), pairs);
  }
  void kv_store(const ConstTensorView& keys, const ConstTensorView& values,
                const AttentionBatch& batch, const KvLayerView& cache) override {
    Staging s(runtime_, ops_);
    ops_.kv_store(s.in(keys), s.in(values), s.batch(batch), s.cache(cache, true));
  }
  void attention(const ConstTensorView& q, const AttentionBatch& batch, const KvLayerView& cache,
                 const AttentionOptions& options, const TensorView& y) override {
    Staging s(runtime_, ops_);
    AttentionOptions mine = options;
    mine.sinks = s.floats(options.sinks, q.shape[1]);
    ops_.attention(s.in(q), s.batch(batch), s.cache(cache, false), mine, s.out(y));
  }
  void gated_activation(Activation activation, const ConstTensorView& gate,
                        const ConstTensorView& up, const TensorView& y) override {
    Staging s(runtime_, ops_);
    ops_.gated_activation(activation, s.in(gate), s.in(up), s.out(y));
  }
  void activate(Activation activation, const ConstTensorView& x, const TensorView& y) override {
    Staging s(runtime_, ops_);
    ops_.activate(activation, s.in(x), s.out(y));
  }
  void clamped_gated_activation(const ClampedGate& clamp, const ConstTensorView& gate,
                                const ConstTensorView& up, const TensorView& y) override {
    Staging s(runtime_, ops_);
    ops_.clamped_gated_activation(clamp, s.in(gate), s.in(up), s.out(y));
  }
  void add_gated(const ConstTensorView& x, const ConstTensorView& logits,
                 const TensorView& y) override {
    Staging s(runtime_, ops_);
    ops_.add_gated(s.in(x), s.in(logits), s.out(y));
  }
  void copy_heads(const HeadPart& from, const HeadPart& to) override {
    Staging s(runtime_, ops_);
    ops_.copy_heads(part(s, from), part(s, to));
  }
  void head_matmul(const HeadPart& x, std::span<const PackedMatrix> weights,
                   const HeadPart& y) override {
    Staging s(runtime_, ops_);
    ops_.head_matmul(part(s, x), s.matrices(weights), part(s, y));
  }
  void add(const ConstTensorView& x, const TensorView& y) override {
    Staging s(runtime_, ops_);
    ops_.add(s.in(x), s.out(y));
  }
  void scale(float factor, const TensorView& x) override {
    Staging s(runtime_, ops_);
    ops_.scale(factor, s.out(x));
  }
  void softcap(float cap, const TensorView& x) override {
    Staging s(runtime_, ops_);
    ops_.softcap(cap, s.out(x));
  }
  void gather_rows(const ConstTensorView& x, std::span<const std::uint32_t> indices,
                   const TensorView& y) override {
    Staging s(runtime_, ops_);
    const auto mine = s.mirrored(indices);
    s.upload();
    ops_.gather_rows(s.in(x), mine, s.out(y));
  }
  void route_experts(const ConstTensorView& logits, const RoutingOptions& options,
                     const ExpertRouting& routing) override {
    Staging s(runtime_, ops_);
    RoutingOptions mine = options;
    mine.choice_bias = s.floats(options.choice_bias, logits.row_elements());
    ops_.route_experts(s.in(logits), mine, of_device(s, routing));
  }
  void expert_matmul(const ConstTensorView& x, std::span<const PackedMatrix> experts,
                     const ExpertRouting& routing, const ExpertMatmulOptions& options,
                     const TensorView& y) override {
    Staging s(runtime_, ops_);
    ExpertMatmulOptions mine = options;
    mine.bias = s.floats(options.bias, experts.size() * experts.front().num_rows);
    ops_.expert_matmul(s.in(x), s.matrices(experts), of_device(s, routing), mine, s.out(y));
  }
  void combine_experts(const ConstTensorView& x, const ExpertRouting& routing,
                       Accumulate accumulate, const TensorView& y) override {
    Staging s(runtime_, ops_);
    ops_.combine_experts(s.in(x), of_device(s, routing), accumulate, s.out(y));
  }

 private:
  // The one pair that an op looks at.
  struct Adapters {
    std::vector<LoraPair> pairs;
    std::vector<LoraSegment> segments;
  };
  static Adapters adapters(Staging& s, std::span<const LoraSegment> segments, std::size_t pair) {
    Adapters mine;
    for (const LoraSegment& segment : segments) {
      LoraPair of_segment = segment.pairs[pair];
      if (of_segment.down.num_rows > 0) {
        of_segment.down = s.matrix(of_segment.down);
        of_segment.up = s.matrix(of_segment.up);
      }
      mine.pairs.push_back(of_segment);
    }
    for (std::size_t i = 0; i < segments.size(); ++i) {
      mine.segments.push_back(
          {std::span(mine.pairs).subspan(i, 1), segments[i].row_begin, segments[i].row_end});
    }
    return mine;
  }
  static HeadPart part(Staging& s, const HeadPart& host) {
    return {s.out(host.heads), host.first, host.count};
  }
  static ExpertRouting of_device(Staging& s, const ExpertRouting& host) {
    return {s.out(host.expert_begin), s.out(host.row_token), s.out(host.token_row),
            s.out(host.token_weight)};
  }

  Runtime& runtime_;
  CudaOps& ops_;
};

}  // namespace millrace::cuda
