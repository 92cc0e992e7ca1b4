// Ops over parts of heads: copies, and a matrix product with a matrix for each head.
#include <algorithm>
#include <cstring>

#include "kernels/cpu/kernels.h"
#include "kernels/device_ops.h"
#include "kernels/op_checks.h"
#include "kernels/ops.h"
#include "kernels/pack.h"

namespace millrace {
namespace {

void check_part(const HeadPart& part) {
  check_f32(part.heads, 3);
  CHECK(part.first <= part.heads.shape[2]);
  CHECK(part.count <= part.heads.shape[2] - part.first);
}

void check_parts(const HeadPart& x, const HeadPart& y) {
  check_part(x);
  check_part(y);
  CHECK(x.heads.num_rows() == y.heads.num_rows());
  CHECK(x.heads.shape[1] == y.heads.shape[1]);
}

float* head_of(const HeadPart& part, std::size_t token, std::size_t head) {
  return part.heads.row<float>(token) + head * part.heads.shape[2] + part.first;
}

// Where a head's rows begin, and how far apart they lie, for the kernel.
MatmulRange range_of(const HeadPart& x, const QuantizedRows* quantized, const HeadPart& y,
                     const PackedMatrix& weight, std::size_t head) {
  MatmulRange range;
  range.num_rows = x.heads.num_rows();
  range.weight = &weight;
  range.y = head_of(y, 0, head);
  range.y_stride = y.heads.row_stride;
  if (needs_quantized_rows(weight.format)) {
    const std::size_t first = head * range.num_rows;
    const std::size_t num_groups = x.count / kWeightGroup;
    range.quantized = {.values = quantized->values + first * x.count,
                       .scales = quantized->scales + first * num_groups,
                       .sums = quantized->sums + 2 * first * num_groups,
                       .num_rows = range.num_rows,
                       .num_cols = x.count};
  } else {
    range.x = head_of(x, 0, head);
    range.x_stride = x.heads.row_stride;
  }
  return range;
}

}  // namespace

void copy_heads(KernelContext& context, const HeadPart& from, const HeadPart& to, Sync sync) {
  if (DeviceOps* device = context.device()) return device->copy_heads(from, to);
  check_parts(from, to);
  CHECK(from.count == to.count);
  const std::size_t num_heads = from.heads.shape[1];
  const WorkRange range = context.share(from.heads.num_rows() * num_heads, 1);
  for (std::size_t i = range.begin; i < range.end; ++i) {
    std::memcpy(head_of(to, i / num_heads, i % num_heads),
                head_of(from, i / num_heads, i % num_heads), from.count * sizeof(float));
  }
  if (sync == Sync::kBarrier) context.barrier();
}

void quantize_heads(KernelContext& context, const HeadPart& x, const QuantizedRows& q) {
  if (context.device() != nullptr) return;  // Its products take x as it is.
  check_part(x);
  CHECK(x.count % kWeightGroup == 0);
  CHECK(q.num_cols == x.count);
  const std::size_t num_tokens = x.heads.num_rows();
  CHECK(q.num_rows == num_tokens * x.heads.shape[1]);
  const std::size_t num_groups = x.count / kWeightGroup;
  const WorkRange range = context.share(q.num_rows, 1);
  for (std::size_t row = range.begin; row < range.end; ++row) {
    context.kernels().quantize_row(head_of(x, row % num_tokens, row / num_tokens), x.count,
                                   q.values + row * x.count, q.scales + row * num_groups,
                                   q.sums + 2 * row * num_groups);
  }
  context.barrier();
}

void head_matmul(KernelContext& context, const HeadPart& x, const QuantizedRows* quantized,
                 std::span<const PackedMatrix> weights, const HeadPart& y) {
  if (DeviceOps* device = context.device()) return device->head_matmul(x, weights, y);
  check_parts(x, y);
  CHECK(weights.size() == x.heads.shape[1]);
  for (const PackedMatrix& weight : weights) {
    CHECK(weight.format == weights.front().format);
    CHECK(weight.num_cols == x.count);
    CHECK(weight.num_rows == y.count);
  }
  if (needs_quantized_rows(weights.front().format)) {
    CHECK(quantized != nullptr);
    CHECK(quantized->num_rows == x.heads.num_rows() * weights.size());
    CHECK(quantized->num_cols == x.count);
    CHECK(x.count % kWeightGroup == 0);
  }
  const std::size_t per_head = num_panels(weights.front());
  const WorkRange range = context.share(weights.size() * per_head, 1);
  for (std::size_t i = range.begin; i < range.end && x.heads.num_rows() > 0;) {
    const std::size_t head = i / per_head;
    MatmulRange of_head = range_of(x, quantized, y, weights[head], head);
    of_head.panel_begin = i % per_head;
    of_head.panel_end = std::min(per_head, of_head.panel_begin + range.end - i);
    i += of_head.panel_end - of_head.panel_begin;
    context.kernels().matmul[static_cast<std::size_t>(weights[head].format)](of_head);
  }
  context.barrier();
}

}  // namespace millrace
