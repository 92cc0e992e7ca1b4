// Low-rank adapters of many rows at once: cut by segments of rows and panels, multiplied by the
// kernels of matmul.
#include <algorithm>

#include "base/checked.h"
#include "kernels/cpu/kernels.h"
#include "kernels/device_ops.h"
#include "kernels/op_checks.h"
#include "kernels/pack.h"

namespace millrace {
namespace {

// Rows of one unit of lora_down: few enough that a prompt of one adapter, whose inner products are
// a panel or two wide, spreads over ranks.
constexpr std::size_t kUnitRows = 16;

const LoraPair& pair_of(const LoraSegment& segment, std::size_t pair) {
  CHECK(pair < segment.pairs.size());
  return segment.pairs[pair];
}

void check_pair(const LoraPair& pair) {
  CHECK(pair.up.num_cols == pair.down.num_rows);
  CHECK(!needs_quantized_rows(pair.down.format));
  CHECK(!needs_quantized_rows(pair.up.format));
}

// Rows [begin, end) of x against some panels.
void multiply(const KernelContext& context, const ConstTensorView& x, const PackedMatrix& weight,
              const WorkRange& rows, const WorkRange& panels, Accumulate accumulate,
              const TensorView& y) {
  MatmulRange range;
  range.x = x.row<float>(rows.begin);
  range.x_stride = x.row_stride;
  range.num_rows = rows.end - rows.begin;
  range.weight = &weight;
  range.panel_begin = panels.begin;
  range.panel_end = panels.end;
  range.accumulate = accumulate;
  range.y = y.row<float>(rows.begin);
  range.y_stride = y.row_stride;
  context.kernels().matmul[static_cast<std::size_t>(weight.format)](range);
}

std::size_t num_units(const LoraSegment& segment, const LoraPair& pair) {
  return ceil_div(segment.row_end - segment.row_begin, kUnitRows) * num_panels(pair.down);
}

// Unit `unit` of a segment: a panel of ranks for kUnitRows rows.
void run_unit(const KernelContext& context, const ConstTensorView& x, const LoraSegment& segment,
              const LoraPair& pair, std::size_t unit, const TensorView& inner) {
  const std::size_t panel = unit % num_panels(pair.down);
  const std::size_t begin = segment.row_begin + unit / num_panels(pair.down) * kUnitRows;
  const WorkRange rows = {begin, std::min(begin + kUnitRows, segment.row_end)};
  multiply(context, x, pair.down, rows, {panel, panel + 1}, Accumulate::kStore, inner);
  if (pair.scale == 1.0f) return;
  const std::size_t first = panel * kPanelRows;
  const std::size_t count = std::min(kPanelRows, pair.down.num_rows - first);
  for (std::size_t row = rows.begin; row < rows.end; ++row) {
    context.kernels().scale(pair.scale, count, inner.row<float>(row) + first);
  }
}

}  // namespace

void lora_down(KernelContext& context, ConstTensorView x, std::span<const LoraSegment> segments,
               std::size_t pair, TensorView inner, Sync sync) {
  if (DeviceOps* device = context.device()) return device->lora_down(x, segments, pair, inner);
  check_f32(x, 2);
  check_f32(inner, 2);
  CHECK(inner.num_rows() == x.num_rows());
  std::size_t num_all = 0;
  for (const LoraSegment& segment : segments) num_all += num_units(segment, pair_of(segment, pair));
  const WorkRange mine = context.share(num_all, 1);
  std::size_t first = 0;  // unit of the segment at hand
  std::size_t row_end = 0;
  for (const LoraSegment& segment : segments) {
    CHECK(segment.row_begin >= row_end);
    CHECK(segment.row_end >= segment.row_begin);
    CHECK(segment.row_end <= x.num_rows());
    row_end = segment.row_end;
    const LoraPair& of_segment = pair_of(segment, pair);
    if (of_segment.down.num_rows == 0) continue;
    check_pair(of_segment);
    CHECK(of_segment.down.num_cols == x.row_elements());
    CHECK(of_segment.down.num_rows <= inner.row_elements());
    const std::size_t end = first + num_units(segment, of_segment);
    for (std::size_t unit = std::max(first, mine.begin); unit < std::min(end, mine.end); ++unit) {
      run_unit(context, x, segment, of_segment, unit - first, inner);
    }
    first = end;
  }
  if (sync == Sync::kBarrier) context.barrier();
}

void lora_up(KernelContext& context, ConstTensorView inner, std::span<const LoraSegment> segments,
             std::size_t pair, TensorView y, Sync sync) {
  if (DeviceOps* device = context.device()) return device->lora_up(inner, segments, pair, y);
  check_f32(inner, 2);
  check_f32(y, 2);
  CHECK(inner.num_rows() == y.num_rows());
  const WorkRange panels = context.share(ceil_div(y.row_elements(), kPanelRows), 1);
  for (const LoraSegment& segment : segments) {
    const LoraPair& of_segment = pair_of(segment, pair);
    if (of_segment.down.num_rows == 0) continue;
    CHECK(segment.row_end <= y.num_rows());
    CHECK(of_segment.up.num_rows == y.row_elements());
    if (panels.begin == panels.end || segment.row_begin == segment.row_end) continue;
    multiply(context, inner, of_segment.up, {segment.row_begin, segment.row_end}, panels,
             Accumulate::kAdd, y);
  }
  if (sync == Sync::kBarrier) context.barrier();
}

}  // namespace millrace
