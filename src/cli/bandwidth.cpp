// Measured read bandwidth, and the bytes of a decoding step.
#include "cli/bandwidth.h"

#include <algorithm>
#include <vector>

#include "base/clock.h"
#include "model/model_spec.h"
#include "tensor/buffer.h"

namespace millrace {
namespace {

std::uint64_t matrix_bytes(const PackedMatrix& matrix) {
  if (matrix.data == nullptr) return 0;
  return MUST(packed_bytes(matrix.format, matrix.num_rows, matrix.num_cols));  // it is packed
}

std::uint64_t layer_bytes(const LayerWeights& layer, const LayerSpec& spec) {
  const AttentionWeights& attention = layer.attention;
  const FeedForwardWeights& feed_forward = layer.feed_forward;
  std::uint64_t sum = 0;
  for (const PackedMatrix* matrix :
       {&attention.query, &attention.key, &attention.value, &attention.output, &feed_forward.gate,
        &feed_forward.up, &feed_forward.down, &feed_forward.router}) {
    sum += matrix_bytes(*matrix);
  }
  if (spec.feed_forward.kind != FeedForwardKind::kExperts) return sum;
  const std::uint64_t one = matrix_bytes(feed_forward.expert_gate.front()) +
                            matrix_bytes(feed_forward.expert_up.front()) +
                            matrix_bytes(feed_forward.expert_down.front());
  return sum + one * spec.feed_forward.num_selected;
}

// Eight independent sums, so that the additions do not wait for each other.
std::uint64_t sum_words(const std::uint64_t* words, std::size_t count) {
  std::uint64_t sums[8] = {};
  for (std::size_t i = 0; i + 8 <= count; i += 8) {
    for (std::size_t lane = 0; lane < 8; ++lane) sums[lane] += words[i + lane];
  }
  std::uint64_t total = 0;
  for (const std::uint64_t sum : sums) total += sum;
  return total;
}

}  // namespace

double read_bandwidth(KernelContext& context) {
  constexpr std::uint64_t kBytes = 256ull << 20;  // Larger than any cache that we have met.
  constexpr int kPasses = 7;
  Result<Buffer> buffer = Buffer::allocate(kBytes);
  if (!buffer.ok()) return 0.0;
  const std::span<std::byte> bytes = buffer.value().bytes();
  for (std::size_t i = 0; i < bytes.size(); i += 4096) bytes[i] = std::byte{1};
  const auto* words = reinterpret_cast<const std::uint64_t*>(bytes.data());
  const std::size_t num_words = bytes.size() / sizeof(std::uint64_t);
  std::vector<std::uint64_t> sums(context.num_threads(), 0);
  const SystemClock clock;
  double best = 0.0;
  for (int pass = 0; pass < kPasses; ++pass) {
    const TimePoint begin = clock.now();
    run_step(context, [&](KernelContext& rank) {
      const WorkRange range = rank.share(num_words, 4096);
      sums[rank.rank()] += sum_words(words + range.begin, range.end - range.begin);
    });
    best = std::max(best, static_cast<double>(kBytes) / seconds(clock.now() - begin));
  }
  // Used, so that the reads cannot be left out.
  const bool counted =
      std::all_of(sums.begin(), sums.end(), [](std::uint64_t sum) { return sum > 0; });
  return counted || context.num_threads() > 1 ? best : 0.0;
}

std::uint64_t active_weight_bytes(const LoadedModel& model) {
  std::uint64_t sum = matrix_bytes(model.weights().output);
  for (std::size_t i = 0; i < model.spec().layers.size(); ++i) {
    sum += layer_bytes(model.weights().layers[i], model.spec().layers[i]);
  }
  return sum;
}

}  // namespace millrace
