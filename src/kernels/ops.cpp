// The row-wise ops and the matrix product: check once, take this rank's share, dispatch, meet.
#include "kernels/ops.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/cpu/kernels.h"
#include "kernels/device_ops.h"
#include "kernels/op_checks.h"
#include "kernels/pack.h"

namespace millrace {

void embed(KernelContext& context, const PackedMatrix& table, std::span<const std::uint32_t> ids,
           float scale, TensorView y) {
  if (DeviceOps* device = context.device()) return device->embed(table, ids, scale, y);
  check_f32_like(y, {ids.size(), table.num_cols});
  const WorkRange range = context.share(ids.size(), 1);
  for (std::size_t t = range.begin; t < range.end; ++t) {
    CHECK(ids[t] < table.num_rows);
    unpack_row(table, ids[t], y.row<float>(t));
    if (scale != 1.0f) context.kernels().scale(scale, table.num_cols, y.row<float>(t));
  }
  context.barrier();
}

void rms_norm(KernelContext& context, ConstTensorView x, ConstTensorView weight, float eps,
              TensorView y) {
  if (DeviceOps* device = context.device()) return device->rms_norm(x, weight, eps, y);
  check_f32(x, 2);
  check_f32_like(y, x.shape);
  check_f32_like(weight, {x.shape[1]});
  const WorkRange range = context.share(x.num_rows(), 1);
  for (std::size_t t = range.begin; t < range.end; ++t) {
    context.kernels().rms_norm(x.row<float>(t), weight.row<float>(0), eps, x.shape[1],
                               y.row<float>(t));
  }
  context.barrier();
}

void layer_norm(KernelContext& context, ConstTensorView x, const LayerNormWeights& weights,
                float eps, TensorView y) {
  if (DeviceOps* device = context.device()) return device->layer_norm(x, weights, eps, y);
  check_f32(x, 2);
  check_f32_like(y, x.shape);
  const WorkRange range = context.share(x.num_rows(), 1);
  for (std::size_t t = range.begin; t < range.end; ++t) {
    context.kernels().layer_norm(x.row<float>(t), weights, eps, x.shape[1], y.row<float>(t));
  }
  context.barrier();
}

void quantize_rows(KernelContext& context, ConstTensorView x, const QuantizedRows& q) {
  if (context.device() != nullptr) return;  // Its products take x as it is.
  check_f32_like(x, {q.num_rows, q.num_cols});
  CHECK(q.num_cols % kWeightGroup == 0);
  const std::size_t num_groups = q.num_cols / kWeightGroup;
  // Cut by groups, not rows, so that one row spreads over ranks: 16 groups share no cache line of
  // the values or the scales with others.
  const WorkRange range = context.share(q.num_rows * num_groups, 16);
  for (std::size_t g = range.begin; g < range.end;) {
    const std::size_t row = g / num_groups;
    const std::size_t first = g % num_groups;
    const std::size_t count = std::min(num_groups - first, range.end - g);
    context.kernels().quantize_row(x.row<float>(row) + first * kWeightGroup, count * kWeightGroup,
                                   q.values + g * kWeightGroup, q.scales + g, q.sums + 2 * g);
    g += count;
  }
  context.barrier();
}

namespace {

void check_matmul(const MatmulInput& input, const PackedMatrix& weight, const TensorView& y) {
  check_f32_like(y, {input.x.num_rows(), weight.num_rows});
  CHECK(input.x.shape.rank() == 2);
  CHECK(input.x.shape[1] == weight.num_cols);
  if (needs_quantized_rows(weight.format)) {
    CHECK(input.quantized != nullptr);
    CHECK(input.quantized->num_rows == input.x.num_rows());
    CHECK(input.quantized->num_cols == weight.num_cols);
    CHECK(weight.num_cols % kWeightGroup == 0);
  } else {
    check_f32(input.x, 2);
  }
}

// Rows [begin, begin + count) of the input against this rank's panels.
void matmul_rows(const KernelContext& context, const MatmulInput& input, const PackedMatrix& weight,
                 const MatmulOptions& options, const WorkRange& rows, TensorView y) {
  const WorkRange panels = context.share(num_panels(weight), 1);
  if (rows.begin == rows.end || panels.begin == panels.end) return;
  MatmulRange range;
  range.num_rows = rows.end - rows.begin;
  range.weight = &weight;
  range.panel_begin = panels.begin;
  range.panel_end = panels.end;
  range.bias = options.bias;
  range.accumulate = options.accumulate;
  range.y = y.row<float>(rows.begin);
  range.y_stride = y.row_stride;
  if (needs_quantized_rows(weight.format)) {
    const QuantizedRows& q = *input.quantized;
    const std::size_t num_groups = q.num_cols / kWeightGroup;
    range.quantized = {.values = q.values + rows.begin * q.num_cols,
                       .scales = q.scales + rows.begin * num_groups,
                       .sums = q.sums + 2 * rows.begin * num_groups,
                       .num_rows = range.num_rows,
                       .num_cols = q.num_cols};
  } else {
    range.x = input.x.row<float>(rows.begin);
    range.x_stride = input.x.row_stride;
  }
  context.kernels().matmul[static_cast<std::size_t>(weight.format)](range);
}

}  // namespace

void matmul(KernelContext& context, const MatmulInput& input, const PackedMatrix& weight,
            const MatmulOptions& options, TensorView y) {
  if (DeviceOps* device = context.device()) return device->matmul(input.x, weight, options, y);
  check_matmul(input, weight, y);
  matmul_rows(context, input, weight, options, {0, input.x.num_rows()}, y);
  if (options.sync == Sync::kBarrier) context.barrier();
}

void expert_matmul(KernelContext& context, const MatmulInput& input,
                   std::span<const PackedMatrix> experts, const ExpertRouting& routing,
                   const ExpertMatmulOptions& options, TensorView y) {
  if (DeviceOps* device = context.device())
    return device->expert_matmul(input.x, experts, routing, options, y);
  CHECK(routing.expert_begin.size() == experts.size() + 1);
  CHECK(!experts.empty());
  CHECK(routing.expert_begin.back() == input.x.num_rows());
  for (std::size_t e = 0; e < experts.size(); ++e) {
    const WorkRange rows = {routing.expert_begin[e], routing.expert_begin[e + 1]};
    CHECK(rows.begin <= rows.end);
    if (rows.begin == rows.end) continue;
    check_matmul(input, experts[e], y);
    MatmulOptions of_expert;
    if (options.bias != nullptr) of_expert.bias = options.bias + e * experts[e].num_rows;
    matmul_rows(context, input, experts[e], of_expert, rows, y);
  }
  if (options.sync == Sync::kBarrier) context.barrier();
}

void rope_angles(KernelContext& context, std::span<const std::uint32_t> positions,
                 std::span<const double> inverse_frequencies, double attention_factor,
                 TensorView cos, TensorView sin) {
  if (DeviceOps* device = context.device())
    return device->rope_angles(positions, inverse_frequencies, attention_factor, cos, sin);
  check_f32_like(cos, {positions.size(), inverse_frequencies.size()});
  check_f32_like(sin, cos.shape);
  const WorkRange range = context.share(positions.size(), 1);
  for (std::size_t t = range.begin; t < range.end; ++t) {
    for (std::size_t i = 0; i < inverse_frequencies.size(); ++i) {
      const double angle = static_cast<double>(positions[t]) * inverse_frequencies[i];
      cos.row<float>(t)[i] = static_cast<float>(std::cos(angle) * attention_factor);
      sin.row<float>(t)[i] = static_cast<float>(std::sin(angle) * attention_factor);
    }
  }
  context.barrier();
}

void rope(KernelContext& context, TensorView x, ConstTensorView cos, ConstTensorView sin,
          RopePairs pairs, Sync sync) {
  if (DeviceOps* device = context.device()) return device->rope(x, cos, sin, pairs);
  check_f32(x, 3);
  check_f32(cos, 2);
  check_f32_like(sin, cos.shape);
  const std::size_t num_heads = x.shape[1];
  const std::size_t head_dim = x.shape[2];
  CHECK(cos.num_rows() == x.num_rows());
  CHECK(2 * cos.shape[1] <= head_dim);
  const WorkRange range = context.share(x.num_rows() * num_heads, 1);
  for (std::size_t i = range.begin; i < range.end;) {
    const std::size_t t = i / num_heads;
    const std::size_t head = i % num_heads;
    const std::size_t count = std::min(num_heads - head, range.end - i);
    context.kernels().rope({.x = x.row<float>(t) + head * head_dim,
                            .num_heads = count,
                            .head_dim = head_dim,
                            .cos = cos.row<float>(t),
                            .sin = sin.row<float>(t),
                            .num_pairs = cos.shape[1],
                            .pairs = pairs});
    i += count;
  }
  if (sync == Sync::kBarrier) context.barrier();
}

void gated_activation(KernelContext& context, Activation activation, ConstTensorView gate,
                      ConstTensorView up, TensorView y) {
  if (DeviceOps* device = context.device())
    return device->gated_activation(activation, gate, up, y);
  check_f32(gate, 2);
  check_f32_like(up, gate.shape);
  check_f32_like(y, gate.shape);
  for_each_piece(context, y.num_rows(), y.shape[1],
                 [&](std::size_t row, std::size_t column, std::size_t count) {
                   context.kernels().gated_activation(activation, gate.row<float>(row) + column,
                                                      up.row<float>(row) + column, count,
                                                      y.row<float>(row) + column);
                 });
  context.barrier();
}

void clamped_gated_activation(KernelContext& context, const ClampedGate& clamp,
                              ConstTensorView gate, ConstTensorView up, TensorView y) {
  if (DeviceOps* device = context.device())
    return device->clamped_gated_activation(clamp, gate, up, y);
  check_f32(gate, 2);
  check_f32_like(up, gate.shape);
  check_f32_like(y, gate.shape);
  CHECK(clamp.limit > 0);
  for_each_piece(context, y.num_rows(), y.shape[1],
                 [&](std::size_t row, std::size_t column, std::size_t count) {
                   context.kernels().clamped_gate(clamp, gate.row<float>(row) + column,
                                                  up.row<float>(row) + column, count,
                                                  y.row<float>(row) + column);
                 });
  context.barrier();
}

void add_gated(KernelContext& context, ConstTensorView x, ConstTensorView logits, TensorView y) {
  if (DeviceOps* device = context.device()) return device->add_gated(x, logits, y);
  check_f32(x, 2);
  check_f32_like(y, x.shape);
  check_f32_like(logits, {x.num_rows(), 1});
  for_each_piece(context, y.num_rows(), y.shape[1],
                 [&](std::size_t row, std::size_t column, std::size_t count) {
                   // In double, so that every row of kernels agrees on it.
                   const double gate = 1.0 / (1.0 + std::exp(-double{logits.row<float>(row)[0]}));
                   context.kernels().add_scaled(static_cast<float>(gate),
                                                x.row<float>(row) + column, count,
                                                y.row<float>(row) + column);
                 });
  context.barrier();
}

void activate(KernelContext& context, Activation activation, ConstTensorView x, TensorView y) {
  if (DeviceOps* device = context.device()) return device->activate(activation, x, y);
  check_f32(x, 2);
  check_f32_like(y, x.shape);
  for_each_piece(context, y.num_rows(), y.shape[1],
                 [&](std::size_t row, std::size_t column, std::size_t count) {
                   context.kernels().activate(activation, x.row<float>(row) + column, count,
                                              y.row<float>(row) + column);
                 });
  context.barrier();
}

void add(KernelContext& context, ConstTensorView x, TensorView y) {
  if (DeviceOps* device = context.device()) return device->add(x, y);
  check_f32(x, 2);
  check_f32_like(y, x.shape);
  for_each_piece(context, y.num_rows(), y.shape[1],
                 [&](std::size_t row, std::size_t column, std::size_t count) {
                   context.kernels().add(x.row<float>(row) + column, count,
                                         y.row<float>(row) + column);
                 });
  context.barrier();
}

void scale(KernelContext& context, float factor, TensorView x) {
  if (DeviceOps* device = context.device()) return device->scale(factor, x);
  check_f32(x, 2);
  for_each_piece(context, x.num_rows(), x.shape[1],
                 [&](std::size_t row, std::size_t column, std::size_t count) {
                   context.kernels().scale(factor, count, x.row<float>(row) + column);
                 });
  context.barrier();
}

void softcap(KernelContext& context, float cap, TensorView x) {
  if (DeviceOps* device = context.device()) return device->softcap(cap, x);
  check_f32(x, 2);
  CHECK(cap > 0);
  for_each_piece(context, x.num_rows(), x.shape[1],
                 [&](std::size_t row, std::size_t column, std::size_t count) {
                   context.kernels().softcap(cap, count, x.row<float>(row) + column);
                 });
  context.barrier();
}

void gather_rows(KernelContext& context, ConstTensorView x, std::span<const std::uint32_t> indices,
                 TensorView y) {
  if (DeviceOps* device = context.device()) return device->gather_rows(x, indices, y);
  check_f32(x, 2);
  check_f32_like(y, {indices.size(), x.shape[1]});
  const WorkRange range = context.share(indices.size(), 1);
  for (std::size_t i = range.begin; i < range.end; ++i) {
    CHECK(indices[i] < x.num_rows());
    std::memcpy(y.row<float>(i), x.row<float>(indices[i]), x.shape[1] * sizeof(float));
  }
  context.barrier();
}

}  // namespace millrace
