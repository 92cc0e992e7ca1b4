// Reference of rope, the cache and attention: whole rows of scores, no tiles.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/check.h"
#include "kernels/ref/ref.h"

namespace millrace::ref {
namespace {

// Where a vector of one token and kv head lies.
struct Slot {
  std::byte* elements = nullptr;
  float* scale = nullptr;
  std::size_t count = 0;
  std::size_t stride = 1;  // Between elements, in elements.
};
struct Slots {
  Slot key;
  Slot value;
};

Slots slots_at(const AttentionBatch& batch, const KvLayerView& cache, std::size_t b,
               std::uint32_t head, std::size_t pos) {
  const std::uint32_t block =
      batch.block_table[b * batch.block_table_stride + pos / cache.block_tokens];
  CHECK(block < cache.num_blocks);
  const std::size_t offset = pos % cache.block_tokens;
  const std::size_t width = element_bytes(cache.dtype);
  Slots slots;
  slots.key = {.elements = cache.keys(block, head) + offset * width,
               .count = cache.head_dim,
               .stride = cache.block_tokens};
  slots.value = {.elements = cache.values(block, head) + offset * cache.value_head_dim * width,
                 .count = cache.value_head_dim};
  if (cache.dtype == DType::kI8) {
    slots.key.scale = cache.key_scales(block, head) + offset;
    slots.value.scale = cache.value_scales(block, head) + offset;
  }
  return slots;
}

void write(const float* x, DType dtype, const Slot& slot) {
  double highest = 0;
  for (std::size_t d = 0; d < slot.count; ++d) highest = std::max(highest, std::abs(double{x[d]}));
  if (slot.scale != nullptr) *slot.scale = static_cast<float>(highest / 127);
  for (std::size_t d = 0; d < slot.count; ++d) {
    const std::size_t at = d * slot.stride;
    if (dtype == DType::kF16) {
      reinterpret_cast<Float16*>(slot.elements)[at] = to_float16(x[d]);
    } else if (dtype == DType::kBF16) {
      reinterpret_cast<BFloat16*>(slot.elements)[at] = to_bfloat16(x[d]);
    } else if (dtype == DType::kI8) {
      const double scaled = highest == 0 ? 0 : double{x[d]} * 127 / highest;
      reinterpret_cast<std::int8_t*>(slot.elements)[at] =
          static_cast<std::int8_t>(std::nearbyint(scaled));
    } else {
      reinterpret_cast<float*>(slot.elements)[at] = x[d];
    }
  }
}

double read(DType dtype, const Slot& slot, std::size_t d) {
  const std::size_t at = d * slot.stride;
  switch (dtype) {
    case DType::kF16:
      return double{to_float(reinterpret_cast<const Float16*>(slot.elements)[at])};
    case DType::kBF16:
      return double{to_float(reinterpret_cast<const BFloat16*>(slot.elements)[at])};
    case DType::kI8:
      return double{*slot.scale} * reinterpret_cast<const std::int8_t*>(slot.elements)[at];
    default:
      return double{reinterpret_cast<const float*>(slot.elements)[at]};
  }
}

// One query row of one head: its key positions [begin, end).
struct Query {
  const float* q = nullptr;
  std::size_t b = 0;
  std::uint32_t kv_head = 0;
  double sink = -std::numeric_limits<double>::infinity();
  std::size_t begin = 0;
  std::size_t end = 0;
};

AttentionMagnitudes attend(const Query& query, const AttentionBatch& batch,
                           const KvLayerView& cache, const AttentionOptions& options, float* y) {
  AttentionMagnitudes magnitudes;
  std::vector<double> weights;
  double highest = query.sink;
  for (std::size_t j = query.begin; j < query.end; ++j) {
    const Slots slots = slots_at(batch, cache, query.b, query.kv_head, j);
    double score = 0;
    double magnitude = 0;
    for (std::size_t d = 0; d < cache.head_dim; ++d) {
      const double term =
          double{query.q[d]} * double{options.scale} * read(cache.dtype, slots.key, d);
      score += term;
      magnitude += std::abs(term);
    }
    if (options.softcap) score = *options.softcap * std::tanh(score / *options.softcap);
    magnitudes.score = std::max(magnitudes.score, magnitude);
    highest = std::max(highest, score);
    weights.push_back(score);
  }
  double total = std::exp(query.sink - highest);
  for (double& weight : weights) total += weight = std::exp(weight - highest);
  std::vector<double> out(cache.value_head_dim);
  for (std::size_t j = query.begin; j < query.end; ++j) {
    const Slots slots = slots_at(batch, cache, query.b, query.kv_head, j);
    for (std::size_t d = 0; d < cache.value_head_dim; ++d) {
      const double value = read(cache.dtype, slots.value, d);
      out[d] += weights[j - query.begin] / total * value;
      magnitudes.value = std::max(magnitudes.value, std::abs(value));
    }
  }
  for (std::size_t d = 0; d < out.size(); ++d) y[d] = static_cast<float>(out[d]);
  return magnitudes;
}

}  // namespace

void rope(TensorView x, ConstTensorView cos, ConstTensorView sin, RopePairs pairs) {
  const std::size_t num_pairs = cos.shape[1];
  for (std::size_t t = 0; t < x.num_rows(); ++t) {
    for (std::size_t h = 0; h < x.shape[1]; ++h) {
      float* head = x.row<float>(t) + h * x.shape[2];
      for (std::size_t i = 0; i < num_pairs; ++i) {
        float& first = pairs == RopePairs::kHalves ? head[i] : head[2 * i];
        float& second = pairs == RopePairs::kHalves ? head[i + num_pairs] : head[2 * i + 1];
        const double a = first;
        const double b = second;
        const double c = cos.row<float>(t)[i];
        const double s = sin.row<float>(t)[i];
        first = static_cast<float>(a * c - b * s);
        second = static_cast<float>(b * c + a * s);
      }
    }
  }
}

void kv_store(ConstTensorView keys, ConstTensorView values, const AttentionBatch& batch,
              const KvLayerView& cache) {
  for (std::size_t b = 0; b < batch.num_sequences(); ++b) {
    for (std::size_t t = batch.chunk_begin[b]; t < batch.chunk_begin[b + 1]; ++t) {
      for (std::uint32_t head = 0; head < cache.num_kv_heads; ++head) {
        const Slots slots =
            slots_at(batch, cache, b, head, batch.context_tokens[b] + (t - batch.chunk_begin[b]));
        write(keys.row<float>(t) + head * cache.head_dim, cache.dtype, slots.key);
        write(values.row<float>(t) + head * cache.value_head_dim, cache.dtype, slots.value);
      }
    }
  }
}

void attention(ConstTensorView q, const AttentionBatch& batch, const KvLayerView& cache,
               const AttentionOptions& options, TensorView y,
               std::span<AttentionMagnitudes> magnitudes) {
  const std::size_t num_heads = q.shape[1];
  for (std::size_t b = 0; b < batch.num_sequences(); ++b) {
    for (std::size_t t = batch.chunk_begin[b]; t < batch.chunk_begin[b + 1]; ++t) {
      const std::size_t end = batch.context_tokens[b] + (t - batch.chunk_begin[b]) + 1;
      const std::size_t begin = options.window && *options.window < end ? end - *options.window : 0;
      for (std::size_t h = 0; h < num_heads; ++h) {
        const Query query = {
            .q = q.row<float>(t) + h * cache.head_dim,
            .b = b,
            .kv_head = static_cast<std::uint32_t>(h / (num_heads / cache.num_kv_heads)),
            .sink = options.sinks == nullptr ? -std::numeric_limits<double>::infinity()
                                             : double{options.sinks[h]},
            .begin = begin,
            .end = end};
        const AttentionMagnitudes found =
            attend(query, batch, cache, options, y.row<float>(t) + h * cache.value_head_dim);
        if (!magnitudes.empty()) magnitudes[t * num_heads + h] = found;
      }
    }
  }
}

}  // namespace millrace::ref
