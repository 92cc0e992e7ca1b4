// Mixture of experts: which rows go to which expert, and how their outputs come together again.
#include "kernels/cuda/launch.h"
#include "kernels/cuda/launchers.h"

namespace millrace::cuda {
namespace {

constexpr unsigned kThreads = 128;

// Shared memory of a token's block.
struct Scores {
  double* scores;       // [X]
  double* keys;         // [X] what chooses
  double* group_ranks;  // [groups]
  double* best;         // [kThreads] of the search
  unsigned* best_at;    // [kThreads]
};

__device__ inline Scores scores_in(std::byte* shared, const RouteArgs& args) {
  auto* doubles = reinterpret_cast<double*>(shared);
  double* best = doubles + 2 * args.num_experts + args.num_groups;
  return {doubles, doubles + args.num_experts, doubles + 2 * args.num_experts, best,
          reinterpret_cast<unsigned*>(best + kThreads)};
}
std::size_t scores_bytes(const RouteArgs& args) {
  return (2 * args.num_experts + args.num_groups + kThreads) * sizeof(double) +
         kThreads * sizeof(unsigned);
}

// Larger keys first, ties to the lower index, NaN last.
__device__ inline bool is_better(double a, unsigned a_at, double b, unsigned b_at) {
  const bool a_bad = a != a;
  const bool b_bad = b != b;
  if (a_bad || b_bad) return a_bad == b_bad ? a_at < b_at : b_bad;
  return a != b ? a > b : a_at < b_at;
}

// The best of keys that come after (last, last_at) in that order; a block.
__device__ inline unsigned next_best(const double* keys, unsigned count, bool is_first, double last,
                                     unsigned last_at, const Scores& room) {
  double best = 0;
  unsigned best_at = count;
  for (unsigned e = threadIdx.x; e < count; e += kThreads) {
    if (!is_first && !is_better(last, last_at, keys[e], e)) continue;
    if (best_at == count || is_better(keys[e], e, best, best_at)) {
      best = keys[e];
      best_at = e;
    }
  }
  room.best[threadIdx.x] = best;
  room.best_at[threadIdx.x] = best_at;
  sync_block();
  for (unsigned i = 0; i < kThreads; ++i) {
    if (room.best_at[i] == count) continue;
    if (best_at == count || is_better(room.best[i], room.best_at[i], best, best_at)) {
      best = room.best[i];
      best_at = room.best_at[i];
    }
  }
  sync_block();
  return best_at;
}

__device__ inline double rank_of_group(const RouteArgs& args, const double* keys) {
  const unsigned size = args.num_experts / args.num_groups;
  unsigned first = 0;
  for (unsigned e = 1; e < size; ++e) {
    if (is_better(keys[e], e, keys[first], first)) first = e;
  }
  if (!args.is_sum_of_two) return keys[first];
  unsigned second = first == 0 ? 1 : 0;
  for (unsigned e = 0; e < size; ++e) {
    if (e != first && is_better(keys[e], e, keys[second], second)) second = e;
  }
  return keys[first] + keys[second];
}

// Puts the experts of all but the best groups last. Which groups those are each thread finds by
// counting the better ones.
__device__ inline void drop_groups(const RouteArgs& args, const Scores& room) {
  const unsigned size = args.num_experts / args.num_groups;
  for (unsigned g = threadIdx.x; g < args.num_groups; g += kThreads) {
    room.group_ranks[g] = rank_of_group(args, room.keys + g * size);
  }
  sync_block();
  for (unsigned e = threadIdx.x; e < args.num_experts; e += kThreads) {
    const unsigned mine = e / size;
    unsigned num_better = 0;
    for (unsigned g = 0; g < args.num_groups; ++g) {
      if (is_better(room.group_ranks[g], g, room.group_ranks[mine], mine)) ++num_better;
    }
    if (num_better >= args.num_groups_selected) room.keys[e] = -static_cast<double>(INFINITY);
  }
  sync_block();
}

// Fills scores and keys as TokenRouter of expert_ops.cpp does, in double; gives the total that
// scores are shares of.
__device__ inline double score_experts(const RouteArgs& args, const float* logits,
                                       const Scores& room) {
  double highest = -static_cast<double>(INFINITY);
  for (unsigned e = 0; e < args.num_experts; ++e) {
    const double logit = static_cast<double>(logits[e]);
    highest = logit > highest ? logit : highest;
  }
  for (unsigned e = threadIdx.x; e < args.num_experts; e += kThreads) {
    const double logit = static_cast<double>(logits[e]);
    room.scores[e] = args.is_softmax ? exp(logit - highest) : 1.0 / (1.0 + exp(-logit));
    room.keys[e] = args.is_softmax ? logit : room.scores[e];
  }
  sync_block();
  double total = args.is_softmax ? 0.0 : 1.0;
  if (args.is_softmax && (args.choice_bias != nullptr || !args.is_normalised)) {
    for (unsigned e = 0; e < args.num_experts; ++e) total += room.scores[e];
  }
  if (args.choice_bias != nullptr) {
    for (unsigned e = threadIdx.x; e < args.num_experts; e += kThreads) {
      room.keys[e] = room.scores[e] / total + static_cast<double>(args.choice_bias[e]);
    }
  }
  sync_block();
  return total;
}

// A block for a token. token_row receives the chosen experts; group_rows makes rows of them.
__global__ void __launch_bounds__(kThreads) choose_experts(RouteArgs args) {
  const Scores room = scores_in(shared_bytes(), args);
  const std::size_t token = blockIdx.x;
  const double share = score_experts(args, args.logits.data + token * args.logits.stride, room);
  if (args.num_groups > 1) drop_groups(args, room);
  std::uint32_t* chosen = args.token_row + token * args.num_selected;
  double total = share;
  if (args.is_normalised) total = args.is_softmax ? 0.0 : 1e-20;
  unsigned last = 0;
  for (unsigned j = 0; j < args.num_selected; ++j) {
    last = next_best(room.keys, args.num_experts, j == 0, room.keys[last], last, room);
    if (args.is_normalised) total += room.scores[last];
    if (threadIdx.x == 0) chosen[j] = last;
  }
  sync_block();
  for (unsigned j = threadIdx.x; j < args.num_selected; j += kThreads) {
    args.token_weight[token * args.num_selected + j] =
        static_cast<float>(room.scores[chosen[j]] / total * static_cast<double>(args.weight_scale));
  }
}

// One block: counts rows by expert, then gives them out, tokens in order. Threads own experts, so
// nothing depends on who is first.
__global__ void __launch_bounds__(kThreads) group_rows(RouteArgs args) {
  const unsigned num_rows = args.num_tokens * args.num_selected;
  for (unsigned e = threadIdx.x; e < args.num_experts; e += kThreads) {
    unsigned count = 0;
    for (unsigned i = 0; i < num_rows; ++i) count += args.token_row[i] == e ? 1 : 0;
    args.expert_begin[e + 1] = count;
  }
  sync_block();
  if (threadIdx.x == 0) {
    args.expert_begin[0] = 0;
    for (unsigned e = 0; e < args.num_experts; ++e) {
      args.expert_begin[e + 1] += args.expert_begin[e];
    }
  }
  sync_block();
  for (unsigned e = threadIdx.x; e < args.num_experts; e += kThreads) {
    unsigned row = args.expert_begin[e];
    for (unsigned i = 0; i < num_rows && row < args.expert_begin[e + 1]; ++i) {
      if (args.token_row[i] != e) continue;
      args.row_token[row++] = i;  // For now its place in token_row.
    }
  }
  sync_block();
  for (unsigned row = threadIdx.x; row < num_rows; row += kThreads) {
    const unsigned place = args.row_token[row];
    args.row_token[row] = place / args.num_selected;
    args.token_row[place] = row;
  }
}

__global__ void __launch_bounds__(kThreads) combine_elements(CombineArgs args) {
  const unsigned column = blockIdx.x * kThreads + threadIdx.x;
  if (column >= args.extent.num_cols) return;
  for (std::size_t token = blockIdx.y; token < args.extent.num_rows; token += gridDim.y) {
    float& out = args.y.data[token * args.y.stride + column];
    float sum = args.accumulate == Accumulate::kAdd ? out : 0.0f;
    for (std::size_t j = token * args.num_selected; j < (token + 1) * args.num_selected; ++j) {
      sum =
          fmaf(args.token_weight[j], args.x.data[args.token_row[j] * args.x.stride + column], sum);
    }
    out = sum;
  }
}

}  // namespace

void launch_route(void* stream, const RouteArgs& args) {
  if (args.num_tokens == 0) return;
  launch({.grid = {args.num_tokens},
          .num_threads = kThreads,
          .shared_bytes = scores_bytes(args),
          .stream = stream},
         choose_experts, args);
  launch({.grid = {1}, .num_threads = kThreads, .shared_bytes = 0, .stream = stream}, group_rows,
         args);
}

void launch_combine(void* stream, const CombineArgs& args) {
  const unsigned rows = args.extent.num_rows < kGridYMax ? args.extent.num_rows : kGridYMax;
  launch({.grid = {(args.extent.num_cols + kThreads - 1) / kThreads, rows},
          .num_threads = kThreads,
          .shared_bytes = 0,
          .stream = stream},
         combine_elements, args);
}

}  // namespace millrace::cuda
