// Packing random weights on the whole team, a panel at a time.
#include <algorithm>
#include <vector>

#include "model/random_weights.h"
#include "model/weight_plan.h"

namespace millrace {
namespace {

// Rows [begin, begin + count) of a slot's tensor; its elements when it is a vector.
void read_random(const RandomWeights& weights, const WeightSlot& slot, std::size_t begin,
                 std::size_t count, std::span<float> values) {
  const std::size_t num_rows = slot.stored.num_rows;
  const std::size_t num_cols = slot.stored.num_cols;
  const RequiredTensor tensor{slot.key,
                              slot.is_matrix ? Shape{num_rows, num_cols} : Shape{num_rows}};
  // Numbers cannot be missing.
  MUST(weights.read(tensor, begin, count, std::as_writable_bytes(values.first(count * num_cols))));
}

void fill_matrix(const KernelContext& rank, const RandomWeights& weights, const WeightSlot& slot,
                 std::byte* bytes, std::vector<float>& scratch) {
  const std::size_t num_cols = slot.stored.num_cols;
  PackedMatrix matrix{.format = slot.format,
                      .num_rows = slot.stored.num_rows,
                      .num_cols = num_cols,
                      .data = bytes + slot.offset};
  scratch.resize(std::max(scratch.size(), kPanelRows * num_cols));
  const WorkRange range = rank.share(slot.stored.num_rows, kPanelRows);
  for (std::size_t begin = range.begin; begin < range.end; begin += kPanelRows) {
    const std::size_t count = std::min(kPanelRows, range.end - begin);
    read_random(weights, slot, begin, count, scratch);
    pack_rows(view_of<const float>(scratch.data(), {count, num_cols}), begin, matrix);
  }
}

}  // namespace

void WeightPlan::fill_random(KernelContext& context, std::span<std::byte> bytes, std::uint64_t seed,
                             FunctionRef<void(std::uint64_t, std::uint64_t)> progress) const {
  CHECK(bytes.size() >= num_bytes_);
  const RandomWeights weights(seed);
  run_step(context, [&](KernelContext& rank) {
    std::vector<float> scratch;
    for (const WeightSlot& slot : slots_) {
      if (slot.is_matrix) {
        fill_matrix(rank, weights, slot, bytes.data(), scratch);
      } else if (rank.rank() == 0) {
        auto* values = reinterpret_cast<float*>(bytes.data() + slot.offset);
        read_random(weights, slot, 0, slot.stored.num_rows, {values, slot.stored.num_rows});
      }
      if (rank.rank() == 0) progress(slot.offset + slot.num_bytes, num_bytes_);
    }
  });
}

}  // namespace millrace
