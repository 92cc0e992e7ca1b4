// Paged attention on tensor cores: 16 query rows to a warp, 64 positions of the cache at a time,
// with an online softmax.
//
// A row is a query head of a token; rows of one kv head lie together, so its keys and values are
// read once for all of its query heads. A sequence that decodes has at most 16 rows and one warp; a
// chunk of a prompt has blocks of four warps. Long caches are cut into parts that run side by side
// and are merged.
//
// Source: Milakov & Gimelshein 2018, arXiv:1805.02867, alg. 3; Dao 2023, arXiv:2307.08691, section
// 3.1, for rows dealt to warps. We keep the cache's blocks as they are: keys with the 16 tokens of
// a block side by side are the transposed operand that ldmatrix gives.
#include "kernels/cuda/kernels/kv_slots.cuh"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/launchers.h"

namespace millrace::cuda {
namespace {

constexpr unsigned kWarpRows = 16;
constexpr unsigned kTile = 64;   // positions
constexpr unsigned kBlock = 16;  // tokens of a cache block; the only size that is taken
constexpr unsigned kChunk = 8;   // elements of 16 bits in 16 bytes
constexpr unsigned kKeyTiles = kTile / 8;

template <DType kKv>
inline constexpr bool kIsHalf = kKv == DType::kF16;

template <DType kKv>
__device__ inline std::uint16_t narrow(float value) {
  if constexpr (kIsHalf<kKv>) return to_f16(value);
  return to_bf16(value);
}
template <DType kKv>
__device__ inline void multiply(float (&c)[4], const std::uint32_t (&a)[4],
                                const std::uint32_t (&b)[2]) {
  if constexpr (kIsHalf<kKv>) {
    mma_f16(c, a, b);
  } else {
    mma_bf16(c, a, b);
  }
}

// One of two stages in shared memory. i8 is widened on its way in; its scales lie behind.
//
//   keys    [4 blocks][D][16 tokens]    16 bytes of 8 tokens; halves swapped where d / 4 is odd
//   values  [64 tokens][D]              16 bytes of 8 elements, chunk c at c ^ (token % 8)
//   scales  [2][64] f32
template <unsigned kDim>
struct Stage {
  static constexpr std::size_t kPartBytes = std::size_t{kTile} * kDim * 2;
  static constexpr std::size_t kBytes = 2 * kPartBytes + 2 * kTile * sizeof(float);

  std::byte* data;

  __device__ std::byte* key_chunk(unsigned block, unsigned d, unsigned half) const {
    return data + ((block * kDim + d) * 2 + (half ^ (d / 4 % 2))) * 16;
  }
  __device__ std::byte* value_chunk(unsigned token, unsigned chunk) const {
    return data + kPartBytes + (token * (kDim / kChunk) + (chunk ^ (token % 8))) * 16;
  }
  __device__ float* scales() const { return reinterpret_cast<float*>(data + 2 * kPartBytes); }
};

// What a block works on.
struct Work {
  unsigned b = 0;  // sequence
  unsigned kv = 0;
  unsigned group = 1;
  unsigned first_token = 0;  // of the sequence's chunk
  unsigned num_rows = 0;     // of the sequence and kv head
  unsigned row_begin = 0;    // of this block
  unsigned context = 0;
  unsigned begin = 0;  // positions of the cache that this block's rows see, in this part
  unsigned end = 0;
  const std::uint32_t* blocks = nullptr;
};

// Sixteen bytes of i8 as two chunks of bf16, which holds every quant.
__device__ inline void widen_quants(const std::byte* from, std::byte* low, std::byte* high) {
  const Words4 words = *reinterpret_cast<const Words4*>(from);
  std::uint32_t pairs[8];
#pragma unroll
  for (unsigned i = 0; i < 8; ++i) {
    const std::uint32_t two = words.word[i / 2] >> (16 * (i % 2));
    pairs[i] = pack_pair(to_bf16(static_cast<float>(static_cast<std::int8_t>(two))),
                         to_bf16(static_cast<float>(static_cast<std::int8_t>(two >> 8))));
  }
  *reinterpret_cast<Words4*>(low) = {{pairs[0], pairs[1], pairs[2], pairs[3]}};
  *reinterpret_cast<Words4*>(high) = {{pairs[4], pairs[5], pairs[6], pairs[7]}};
}

template <unsigned kDim, DType kKv>
__device__ inline void stage_keys(const AttentionArgs& args, const Work& work, unsigned tile,
                                  const Stage<kDim>& stage) {
  constexpr unsigned kPerBlock = kKv == DType::kI8 ? kDim : 2 * kDim;  // 16 bytes each
  for (unsigned at = threadIdx.x; at < kTile / kBlock * kPerBlock; at += blockDim.x) {
    const unsigned block = at / kPerBlock;
    const unsigned first = tile + block * kBlock;
    // What lies there does not matter: the scores are masked.
    if (first >= work.end || first + kBlock <= work.begin) continue;
    const std::byte* keys = kv_head(args.cache, work.blocks[first / kBlock], work.kv).keys;
    const unsigned chunk = at % kPerBlock;
    if constexpr (kKv == DType::kI8) {
      widen_quants(keys + chunk * 16, stage.key_chunk(block, chunk, 0),
                   stage.key_chunk(block, chunk, 1));
    } else {
      copy_async(stage.key_chunk(block, chunk / 2, chunk % 2), keys + chunk * 16);
    }
  }
}

// Values that no row may see are zeros: they are multiplied, by a weight of zero.
template <unsigned kDim, DType kKv>
__device__ inline void stage_values(const AttentionArgs& args, const Work& work, unsigned tile,
                                    const Stage<kDim>& stage) {
  constexpr unsigned kPerToken = kKv == DType::kI8 ? kDim / 16 : kDim / kChunk;
  for (unsigned at = threadIdx.x; at < kTile * kPerToken; at += blockDim.x) {
    const unsigned token = at / kPerToken;
    const unsigned chunk = at % kPerToken;
    const unsigned pos = tile + token;
    const bool is_seen = pos >= work.begin && pos < work.end;
    const std::byte* values =
        is_seen ? kv_head(args.cache, work.blocks[pos / kBlock], work.kv).values : nullptr;
    if constexpr (kKv == DType::kI8) {
      std::byte* low = stage.value_chunk(token, 2 * chunk);
      std::byte* high = stage.value_chunk(token, 2 * chunk + 1);
      if (is_seen) {
        widen_quants(values + pos % kBlock * kDim + chunk * 16, low, high);
      } else {
        *reinterpret_cast<Words4*>(low) = {};
        *reinterpret_cast<Words4*>(high) = {};
      }
    } else if (is_seen) {
      copy_async(stage.value_chunk(token, chunk),
                 values + (pos % kBlock * kDim + chunk * kChunk) * 2);
    } else {
      *reinterpret_cast<Words4*>(stage.value_chunk(token, chunk)) = {};
    }
  }
}

template <unsigned kDim, DType kKv>
__device__ inline void stage_tile(const AttentionArgs& args, const Work& work, unsigned tile,
                                  const Stage<kDim>& stage) {
  stage_keys<kDim, kKv>(args, work, tile, stage);
  stage_values<kDim, kKv>(args, work, tile, stage);
  if constexpr (kKv == DType::kI8) {
    for (unsigned token = threadIdx.x; token < kTile; token += blockDim.x) {
      const unsigned pos = tile + token;
      const bool is_seen = pos >= work.begin && pos < work.end;
      const KvHead head =
          is_seen ? kv_head(args.cache, work.blocks[pos / kBlock], work.kv) : KvHead{};
      stage.scales()[token] = is_seen ? head.key_scales[pos % kBlock] : 0.0f;
      stage.scales()[kTile + token] = is_seen ? head.value_scales[pos % kBlock] : 0.0f;
    }
  }
  commit_copies();
}

// A warp's 16 rows. Lane 4 g + t holds rows g and g + 8 of everything, columns 2 t and 2 t + 1.
template <unsigned kDim>
struct WarpRows {
  static constexpr unsigned kDepthSteps = kDim / 16;
  static constexpr unsigned kValueTiles = kDim / 8;

  std::uint32_t q[kDepthSteps][4];
  float y[kValueTiles][4] = {};
  float highest[2] = {-INFINITY, -INFINITY};
  float total[2] = {};  // of this lane's columns
  unsigned pos[2] = {};
  unsigned first[2] = {};  // the first position that the row sees
  bool is_row[2] = {};
};

template <unsigned kDim, DType kKv>
__device__ inline void load_queries(const AttentionArgs& args, const Work& work,
                                    WarpRows<kDim>& rows) {
  const unsigned lane = threadIdx.x % kWarpLanes;
#pragma unroll
  for (unsigned i = 0; i < 2; ++i) {
    const unsigned row = work.row_begin + threadIdx.x / kWarpLanes * kWarpRows + lane / 4 + 8 * i;
    rows.is_row[i] = row < work.num_rows;
    const unsigned token = rows.is_row[i] ? row / work.group : 0;
    rows.pos[i] = work.context + token;
    rows.first[i] =
        args.window > 0 && rows.pos[i] >= args.window ? rows.pos[i] - args.window + 1 : 0;
    const float* q = args.q.data + (work.first_token + token) * args.q.stride +
                     (work.kv * work.group + row % work.group) * kDim;
#pragma unroll
    for (unsigned step = 0; step < kDim / 16; ++step) {
#pragma unroll
      for (unsigned half = 0; half < 2; ++half) {
        const unsigned d = step * 16 + half * 8 + lane % 4 * 2;
        rows.q[step][2 * half + i] =
            rows.is_row[i] ? pack_pair(narrow<kKv>(q[d]), narrow<kKv>(q[d + 1])) : 0;
      }
    }
  }
}

template <unsigned kDim, DType kKv>
__device__ inline void score_tile(const WarpRows<kDim>& rows, const Stage<kDim>& stage,
                                  float (&scores)[kKeyTiles][4]) {
  const unsigned lane = threadIdx.x % kWarpLanes;
#pragma unroll
  for (unsigned block = 0; block < kTile / kBlock; ++block) {
#pragma unroll
    for (unsigned step = 0; step < kDim / 16; ++step) {
      // Tiles of the load: d 0-7 and 8-15 of tokens 0-7, then of tokens 8-15.
      const unsigned d = step * 16 + lane % 16;
      std::uint32_t b[4];
      load_transposed_tiles(b, stage.key_chunk(block, d, lane / 16));
#pragma unroll
      for (unsigned n = 0; n < 2; ++n) {
        const std::uint32_t of_tile[2] = {b[2 * n], b[2 * n + 1]};
        multiply<kKv>(scores[2 * block + n], rows.q[step], of_tile);
      }
    }
  }
}

// Scales, caps and masks the products, moves the rows' maxima and turns scores into weights.
template <unsigned kDim, DType kKv>
__device__ inline void weigh_tile(const AttentionArgs& args, const Work& work, unsigned tile,
                                  const Stage<kDim>& stage, float (&scores)[kKeyTiles][4],
                                  WarpRows<kDim>& rows) {
  const unsigned column = threadIdx.x % 4 * 2;
  float highest[2] = {rows.highest[0], rows.highest[1]};
#pragma unroll
  for (unsigned n = 0; n < kKeyTiles; ++n) {
#pragma unroll
    for (unsigned i = 0; i < 4; ++i) {
      const unsigned token = n * 8 + column + i % 2;
      const unsigned pos = tile + token;
      float score = scores[n][i] * args.scale;
      if constexpr (kKv == DType::kI8) score *= stage.scales()[token];
      if (args.softcap > 0) score = args.softcap * tanhf(score / args.softcap);
      const bool is_seen =
          pos >= work.begin && pos < work.end && pos <= rows.pos[i / 2] && pos >= rows.first[i / 2];
      scores[n][i] = is_seen ? score : -INFINITY;
      highest[i / 2] = fmaxf(highest[i / 2], scores[n][i]);
    }
  }
#pragma unroll
  for (unsigned r = 0; r < 2; ++r) {
    for (unsigned mask = 1; mask < 4; mask *= 2) {
      highest[r] = fmaxf(highest[r], shuffle_xor(highest[r], mask));
    }
    // A row that has seen nothing yet keeps its zeros.
    const float shrink = rows.highest[r] == highest[r] ? 1.0f : expf(rows.highest[r] - highest[r]);
    rows.highest[r] = highest[r];
    rows.total[r] *= shrink;
#pragma unroll
    for (unsigned v = 0; v < WarpRows<kDim>::kValueTiles; ++v) {
      rows.y[v][2 * r] *= shrink;
      rows.y[v][2 * r + 1] *= shrink;
    }
  }
#pragma unroll
  for (unsigned n = 0; n < kKeyTiles; ++n) {
#pragma unroll
    for (unsigned i = 0; i < 4; ++i) {
      // NaN stays one, which the maximum has passed over.
      scores[n][i] = scores[n][i] == -INFINITY ? 0.0f : expf(scores[n][i] - highest[i / 2]);
      rows.total[i / 2] += scores[n][i];
      if constexpr (kKv == DType::kI8) {
        scores[n][i] *= stage.scales()[kTile + n * 8 + column + i % 2];
      }
    }
  }
}

template <unsigned kDim, DType kKv>
__device__ inline void add_values(const float (&weights)[kKeyTiles][4], const Stage<kDim>& stage,
                                  WarpRows<kDim>& rows) {
  const unsigned lane = threadIdx.x % kWarpLanes;
#pragma unroll
  for (unsigned step = 0; step < kTile / 16; ++step) {
    std::uint32_t a[4];
#pragma unroll
    for (unsigned i = 0; i < 4; ++i) {
      const float(&of_tile)[4] = weights[2 * step + i / 2];
      a[i] = pack_pair(narrow<kKv>(of_tile[2 * (i % 2)]), narrow<kKv>(of_tile[2 * (i % 2) + 1]));
    }
#pragma unroll
    for (unsigned pair = 0; pair < kDim / 16; ++pair) {
      // Tiles of the load: tokens 0-7 and 8-15 of d 0-7, then of d 8-15.
      const unsigned token = step * 16 + lane % 16;
      std::uint32_t b[4];
      load_transposed_tiles(b, stage.value_chunk(token, 2 * pair + lane / 16));
#pragma unroll
      for (unsigned n = 0; n < 2; ++n) {
        const std::uint32_t of_tile[2] = {b[2 * n], b[2 * n + 1]};
        multiply<kKv>(rows.y[2 * pair + n], a, of_tile);
      }
    }
  }
}

// Where a part of a row of this launch's sequences goes.
__device__ inline float* part_of(const AttentionArgs& args, std::size_t token, unsigned head,
                                 unsigned split, unsigned part_elements) {
  const std::size_t row = token - args.batch.chunk_begin[args.sequence_begin];
  return args.partials + ((row * args.num_heads + head) * args.num_splits + split) * part_elements;
}

template <unsigned kDim>
__device__ inline void put_rows(const AttentionArgs& args, const Work& work, unsigned split,
                                WarpRows<kDim>& rows) {
  const unsigned lane = threadIdx.x % kWarpLanes;
#pragma unroll
  for (unsigned r = 0; r < 2; ++r) {
    float total = rows.total[r];
    for (unsigned mask = 1; mask < 4; mask *= 2) total += shuffle_xor(total, mask);
    if (!rows.is_row[r]) continue;
    const unsigned row = work.row_begin + threadIdx.x / kWarpLanes * kWarpRows + lane / 4 + 8 * r;
    const std::size_t token = work.first_token + row / work.group;
    const unsigned head = work.kv * work.group + row % work.group;
    float* out = args.y.data + token * args.y.stride + head * kDim;
    float factor = 1.0f;
    if (args.split_tokens > 0) {
      out = part_of(args, token, head, split, kDim + 2);
      if (lane % 4 == 0) {
        out[kDim] = rows.highest[r];
        out[kDim + 1] = total;
      }
    } else {
      const float sink = args.sinks == nullptr ? -INFINITY : args.sinks[head];
      const float highest = fmaxf(rows.highest[r], sink);
      const float shrink = expf(rows.highest[r] - highest);
      factor = shrink / (total * shrink + expf(sink - highest));
    }
#pragma unroll
    for (unsigned v = 0; v < WarpRows<kDim>::kValueTiles; ++v) {
#pragma unroll
      for (unsigned i = 0; i < 2; ++i) {
        const unsigned d = v * 8 + lane % 4 * 2 + i;
        const float value = rows.y[v][2 * r + i] * factor;
        out[d] = value;
        if (args.twin == nullptr || args.split_tokens > 0) continue;
        args.twin[(token * args.num_heads + head) * kDim + d] = to_bf16(value);
      }
    }
  }
}

__device__ inline Work find_work(const AttentionArgs& args, unsigned block_rows, unsigned split) {
  Work work;
  work.b = args.sequence_begin + blockIdx.z / args.num_splits;
  work.kv = blockIdx.y;
  work.group = args.num_heads / args.cache.num_kv_heads;
  work.first_token = args.batch.chunk_begin[work.b];
  const unsigned num_tokens = args.batch.chunk_begin[work.b + 1] - work.first_token;
  work.num_rows = num_tokens * work.group;
  work.row_begin = blockIdx.x * block_rows;
  work.context = args.batch.context_tokens[work.b];
  work.blocks = args.batch.block_table + work.b * args.batch.block_table_stride;
  if (work.row_begin >= work.num_rows) return work;
  const unsigned row_end =
      work.row_begin + block_rows < work.num_rows ? work.row_begin + block_rows : work.num_rows;
  const unsigned first_pos = work.context + work.row_begin / work.group;
  work.end = work.context + (row_end - 1) / work.group + 1;
  work.begin = args.window > 0 && first_pos >= args.window ? first_pos - args.window + 1 : 0;
  if (args.split_tokens > 0) {
    const unsigned part_begin = split * args.split_tokens;
    const unsigned part_end = part_begin + args.split_tokens;
    work.begin = work.begin > part_begin ? work.begin : part_begin;
    work.end = work.end < part_end ? work.end : part_end;
  }
  return work;
}

template <unsigned kDim, DType kKv, unsigned kWarps>
__global__ void __launch_bounds__(kWarps* kWarpLanes) attend_tiled(AttentionArgs args) {
  const unsigned split = blockIdx.z % args.num_splits;
  const Work work = find_work(args, kWarps * kWarpRows, split);
  if (work.row_begin >= work.num_rows || work.begin >= work.end) return;
  const auto stage_of = [](unsigned number) {
    return Stage<kDim>{shared_bytes() + number % 2 * Stage<kDim>::kBytes};
  };
  WarpRows<kDim> rows;
  load_queries<kDim, kKv>(args, work, rows);
  unsigned tile = work.begin / kTile * kTile;
  stage_tile<kDim, kKv>(args, work, tile, stage_of(0));
  for (unsigned number = 0; tile < work.end; tile += kTile, ++number) {
    const Stage<kDim> stage = stage_of(number);
    if (tile + kTile < work.end) {
      stage_tile<kDim, kKv>(args, work, tile + kTile, stage_of(number + 1));
      wait_copies<1>();
    } else {
      wait_copies<0>();
    }
    sync_block();
    float scores[kKeyTiles][4] = {};
    score_tile<kDim, kKv>(rows, stage, scores);
    weigh_tile<kDim, kKv>(args, work, tile, stage, scores, rows);
    add_values<kDim, kKv>(scores, stage, rows);
    sync_block();  // Before the stage is filled again.
  }
  put_rows(args, work, split, rows);
}

// Parts of one token and head, in rising order; a warp. Only parts that its row can see were
// written.
template <unsigned kDim>
__global__ void __launch_bounds__(128) merge_parts(AttentionArgs args) {
  const unsigned lane = threadIdx.x % kWarpLanes;
  const unsigned unit = blockIdx.x * (128 / kWarpLanes) + threadIdx.x / kWarpLanes;
  const unsigned begin_token = args.batch.chunk_begin[args.sequence_begin];
  const unsigned end_token = args.batch.chunk_begin[args.sequence_begin + args.num_sequences];
  const std::size_t token = begin_token + unit / args.num_heads;
  if (token >= end_token) return;
  const unsigned head = unit % args.num_heads;
  const unsigned b = sequence_of(args.batch, static_cast<unsigned>(token));
  const auto pos =
      static_cast<unsigned>(args.batch.context_tokens[b] + token - args.batch.chunk_begin[b]);
  const unsigned first = args.window > 0 && pos >= args.window ? pos - args.window + 1 : 0;
  const float* parts = part_of(args, token, head, 0, kDim + 2);
  const unsigned begin = first / args.split_tokens;
  const unsigned end = pos / args.split_tokens + 1;
  const float sink = args.sinks == nullptr ? -INFINITY : args.sinks[head];
  float highest = sink;
  for (unsigned s = begin; s < end; ++s) highest = fmaxf(highest, parts[s * (kDim + 2) + kDim]);
  float total = expf(sink - highest);
  float values[kDim / kWarpLanes] = {};
  for (unsigned s = begin; s < end; ++s) {
    const float* part = parts + s * (kDim + 2);
    const float factor = expf(part[kDim] - highest);
    total += factor * part[kDim + 1];
#pragma unroll
    for (unsigned v = 0; v < kDim / kWarpLanes; ++v) {
      values[v] = fmaf(factor, part[v * kWarpLanes + lane], values[v]);
    }
  }
#pragma unroll
  for (unsigned v = 0; v < kDim / kWarpLanes; ++v) {
    const unsigned d = v * kWarpLanes + lane;
    const float value = values[v] / total;
    args.y.data[token * args.y.stride + head * kDim + d] = value;
    if (args.twin != nullptr) {
      args.twin[(token * args.num_heads + head) * kDim + d] = to_bf16(value);
    }
  }
}

template <unsigned kDim, DType kKv, unsigned kWarps>
void launch_warps(void* stream, const AttentionArgs& args) {
  const unsigned rows = args.chunk_tokens_max * (args.num_heads / args.cache.num_kv_heads);
  const unsigned of_block = kWarps * kWarpRows;
  launch({.grid = {(rows + of_block - 1) / of_block, args.cache.num_kv_heads,
                   args.num_sequences * args.num_splits},
          .num_threads = kWarps * kWarpLanes,
          .shared_bytes = 2 * Stage<kDim>::kBytes,
          .stream = stream},
         attend_tiled<kDim, kKv, kWarps>, args);
}

template <unsigned kDim, DType kKv>
void launch_of_type(void* stream, const AttentionArgs& args) {
  constexpr unsigned kPromptWarps = 4;
  const unsigned rows = args.chunk_tokens_max * (args.num_heads / args.cache.num_kv_heads);
  if (rows <= kWarpRows) {
    launch_warps<kDim, kKv, 1>(stream, args);
  } else {
    launch_warps<kDim, kKv, kPromptWarps>(stream, args);
  }
}

template <unsigned kDim>
void launch_of_dim(void* stream, const AttentionArgs& args) {
  switch (args.cache.dtype) {
    case DType::kF16:
      return launch_of_type<kDim, DType::kF16>(stream, args);
    case DType::kBF16:
      return launch_of_type<kDim, DType::kBF16>(stream, args);
    default:
      return launch_of_type<kDim, DType::kI8>(stream, args);
  }
}

}  // namespace

bool is_tiled(const KvLayerView& cache) {
  return (cache.head_dim == 64 || cache.head_dim == 128) &&
         cache.value_head_dim == cache.head_dim && cache.block_tokens == kBlock &&
         (cache.dtype == DType::kF16 || cache.dtype == DType::kBF16 || cache.dtype == DType::kI8);
}

void launch_attention_tiled(void* stream, const AttentionArgs& args) {
  CHECK(is_tiled(args.cache));
  if (args.cache.head_dim == 64) return launch_of_dim<64>(stream, args);
  launch_of_dim<128>(stream, args);
}

void launch_attention_merge(void* stream, const AttentionArgs& args) {
  constexpr unsigned kThreads = 128;
  const unsigned units = args.num_sequences * args.chunk_tokens_max * args.num_heads;
  const unsigned per_block = kThreads / kWarpLanes;
  const LaunchConfig config = {.grid = {(units + per_block - 1) / per_block},
                               .num_threads = kThreads,
                               .shared_bytes = 0,
                               .stream = stream};
  if (args.cache.head_dim == 64) {
    launch(config, merge_parts<64>, args);
  } else {
    launch(config, merge_parts<128>, args);
  }
}

}  // namespace millrace::cuda
