// Cases of kv_store and attention.
#include <algorithm>
#include <sstream>

#include "kernel_case.h"
#include "kernels/ref/ref.h"
#include "paged_cache.h"

namespace millrace::kernel_cases {
namespace {

struct AttentionShape {
  CacheShape cache;
  std::vector<SequenceShape> sequences;
  std::size_t group = 1;
  AttentionOptions options;
  bool has_sinks = false;
};

class AttentionCase final : public KernelCase {
 public:
  explicit AttentionCase(const AttentionShape& shape)
      : shape_(shape),
        num_heads_(shape.group * shape.cache.num_kv_heads),
        cache_(shape.cache, shape.sequences),
        q_(cache_.num_tokens(), num_heads_ * shape.cache.head_dim),
        y_(cache_.num_tokens(), num_heads_ * shape.cache.value_head_dim),
        sinks_(num_heads_) {
    Random drawn(15);
    for (float& sink : sinks_) sink = static_cast<float>(drawn.normal() * 3);
    sinks_.front() = -HUGE_VALF;  // As if there were none.
    if (shape.has_sinks) shape_.options.sinks = sinks_.data();
    cache_.fill(PagedCache::Upto::kChunk);
    for (std::uint32_t b = 0; b < shape.sequences.size() && shape.options.window; ++b) {
      const std::uint32_t seen = shape.sequences[b].context + 1;
      cache_.drop_before(b, seen > *shape.options.window ? seen - *shape.options.window : 0);
    }
    Random random(8);
    q_.fill_with([&] { return random.normal(); });
    reset();
  }
  void reset() override { y_.fill(NAN); }
  void run(KernelContext& context) override {
    attention(context, q_view(), cache_.batch(), cache_.cache(), shape_.options, y_view(y_));
  }
  std::string check() override { return check_narrow(0); }
  // Queries are narrowed before they meet keys, weights before they meet values.
  std::string check_narrow(double unit) override {
    GuardedRows want(y_.num_rows(), y_.num_cols());
    std::vector<ref::AttentionMagnitudes> magnitudes(cache_.num_tokens() * num_heads_);
    ref::attention(q_view(), cache_.batch(), cache_.cache(), shape_.options, y_view(want),
                   magnitudes);
    return compare(y_, want, [&](std::size_t t, std::size_t c, double) {
      return bound(magnitudes[t * num_heads_ + c / shape_.cache.value_head_dim], unit);
    });
  }
  std::vector<std::byte> output() const override { return y_.bytes(); }
  Cost cost() const override {
    double pairs = 0;
    double positions = 0;
    for (const SequenceShape& s : shape_.sequences) {
      for (std::uint32_t i = 0; i < s.chunk; ++i) pairs += s.context + i + 1.0;
      positions += s.context + s.chunk;
    }
    const double dims = shape_.cache.head_dim + shape_.cache.value_head_dim;
    const bool is_decode = shape_.sequences[0].chunk == 1;
    return {.operations = 2 * pairs * dims * static_cast<double>(num_heads_),
            .bytes = positions * dims * shape_.cache.num_kv_heads *
                     static_cast<double>(element_bytes(shape_.cache.dtype)),
            .roof = is_decode ? Roof::kBandwidth : Roof::kFma};
  }

 private:
  ConstTensorView q_view() { return q_.shaped({q_.num_rows(), num_heads_, shape_.cache.head_dim}); }
  TensorView y_view(GuardedRows& y) {
    return y.shaped({y.num_rows(), num_heads_, shape_.cache.value_head_dim});
  }

  // A score is off by the dot product's gamma (and i8's scale, softcap's tanh); subtracting the
  // maximum rounds at most 2 |s|; exp adds 2^-22, once more for every tile that moved the maximum.
  // A weight's relative error enters once itself and once by the total; the sums over positions
  // add their gamma.
  double bound(const ref::AttentionMagnitudes& magnitudes, double unit) const {
    std::size_t positions = 0;
    for (const SequenceShape& s : shape_.sequences) {
      positions = std::max<std::size_t>(positions, s.context + s.chunk);
    }
    const std::size_t num_tiles = positions / kAttentionTile + 1;
    double score = magnitudes.score * (gamma_n(shape_.cache.head_dim + 4) + 2 * gamma_n(1) + unit);
    if (shape_.options.softcap) score += magnitudes.score * 0x1.0p-20;
    const double weight = score + unit + 0x1.0p-22 * static_cast<double>(num_tiles + 1);
    return magnitudes.value * (2.5 * weight + 2 * gamma_n(positions + num_tiles + 8)) + 1e-30;
  }

  AttentionShape shape_;
  std::size_t num_heads_;
  PagedCache cache_;
  GuardedRows q_;
  GuardedRows y_;
  std::vector<float> sinks_;
};

class KvStoreCase final : public KernelCase {
 public:
  KvStoreCase(const CacheShape& shape, const std::vector<SequenceShape>& sequences)
      : got_(shape, sequences),
        want_(shape, sequences),
        keys_(got_.num_tokens(), std::size_t{shape.num_kv_heads} * shape.head_dim),
        values_(got_.num_tokens(), std::size_t{shape.num_kv_heads} * shape.value_head_dim) {
    Random random(10);
    keys_.fill_with([&] { return random.normal(); });
    values_.fill_with([&] { return random.chance(0.2) ? 0.0 : random.normal() * 100; });
    reset();
  }
  void reset() override {
    got_.clear();
    got_.fill(PagedCache::Upto::kContext);
  }
  void run(KernelContext& context) override {
    kv_store(context, got_.heads(keys_, got_.cache().head_dim),
             got_.heads(values_, got_.cache().value_head_dim), got_.batch(), got_.cache());
  }
  // Every byte the same, those of other slots included; but i8's rounding may go the other way on a
  // tie and its scale differ in the last place, since the reference divides in double.
  std::string check() override {
    want_.clear();
    want_.fill(PagedCache::Upto::kContext);
    ref::kv_store(want_.heads(keys_, want_.cache().head_dim),
                  want_.heads(values_, want_.cache().value_head_dim), want_.batch(), want_.cache());
    const std::vector<std::byte> got = got_.bytes();
    const std::vector<std::byte> want = want_.bytes();
    std::size_t num_off = 0;
    for (std::size_t i = 0; i < got.size(); ++i) {
      const int off = std::abs(std::to_integer<int>(got[i]) - std::to_integer<int>(want[i]));
      if (off > 1) return "byte " + std::to_string(i) + " of the cache differs";
      num_off += off != 0;
    }
    const std::size_t num_off_max = got_.cache().dtype == DType::kI8 ? got.size() / 100 : 0;
    if (num_off > num_off_max) return std::to_string(num_off) + " bytes of the cache are off";
    return {};
  }
  std::vector<std::byte> output() const override { return got_.bytes(); }
  Cost cost() const override {
    const auto count = static_cast<double>(keys_.num_rows() * keys_.num_cols() +
                                           values_.num_rows() * values_.num_cols());
    return {.operations = count,
            .bytes = count * (4.0 + static_cast<double>(element_bytes(got_.cache().dtype)))};
  }

 private:
  PagedCache got_;
  PagedCache want_;
  GuardedRows keys_;
  GuardedRows values_;
};

constexpr DType kCacheTypes[] = {DType::kF32, DType::kF16, DType::kBF16, DType::kI8};

std::string attention_name(const AttentionShape& s) {
  const CacheShape& c = s.cache;
  std::ostringstream name;
  name << "attention/" << dtype_name(c.dtype) << "/K" << c.num_kv_heads << "xG" << s.group << "/D"
       << c.head_dim;
  if (c.value_head_dim != c.head_dim) name << "v" << c.value_head_dim;
  name << "/block" << c.block_tokens;
  for (const SequenceShape& sequence : s.sequences) {
    name << "/" << sequence.context << "+" << sequence.chunk;
    if (s.sequences.size() > 8) return name.str() + "/x" + std::to_string(s.sequences.size());
  }
  if (s.options.window) name << "/window" << *s.options.window;
  if (s.options.softcap) name << "/softcap";
  if (s.has_sinks) name << "/sinks";
  return name.str();
}

void add_attention(std::vector<CaseRow>& rows, const AttentionShape& shape, Use use = Use::kTest) {
  rows.push_back(
      {attention_name(shape), use, [shape] { return std::make_unique<AttentionCase>(shape); }});
}

void add_attention_shapes(std::vector<CaseRow>& rows, DType dtype) {
  const auto shape = [&](std::uint32_t kv_heads, std::uint32_t d, std::size_t group,
                         std::vector<SequenceShape> sequences) {
    AttentionShape s;
    s.cache = {dtype, kv_heads, d, d, 16};
    s.sequences = std::move(sequences);
    s.group = group;
    s.options.scale = 1.0f / std::sqrt(static_cast<float>(d));
    return s;
  };
  add_attention(rows, shape(1, 8, 1, {{0, 1}}));
  add_attention(rows, shape(1, 1, 1, {{0, 3}}));
  // Around a tile of 64 positions, decode and chunk.
  for (const std::uint32_t context : {1u, 62u, 63u, 64u, 65u, 127u, 200u}) {
    add_attention(rows, shape(2, 24, 3, {{context, 1}, {context, 5}}));
  }
  // More rows than a unit holds, odd head sizes, several sequences of every kind, an empty chunk.
  add_attention(rows, shape(2, 33, 7, {{0, 40}, {70, 1}, {5, 0}, {130, 9}}));
  add_attention(rows, shape(1, 64, 37, {{10, 3}}));
  // Heads that devices take in tiles of 16 rows: long caches in parts, windows, sinks, prompts.
  add_attention(rows, shape(1, 128, 2, {{300, 1}, {10, 3}}));
  AttentionShape tiled = shape(2, 64, 4, {{140, 1}, {0, 3}, {70, 6}});
  add_attention(rows, tiled);
  tiled.has_sinks = true;
  tiled.options.window = 90;
  add_attention(rows, tiled);
  AttentionShape odd = shape(2, 20, 2, {{0, 70}, {33, 1}});
  odd.cache.value_head_dim = 36;
  odd.cache.block_tokens = 5;
  add_attention(rows, odd);
  for (const std::uint32_t window : {1u, 2u, 40u, 64u, 100u}) {
    AttentionShape s = shape(1, 16, 2, {{0, 150}, {180, 1}, {150, 20}});
    s.options.window = window;
    add_attention(rows, s);
  }
  AttentionShape capped = shape(1, 16, 2, {{90, 7}});
  capped.options.softcap = 3.0f;
  add_attention(rows, capped);
  add_attention(rows, shape(1, 512, 2, {{66, 2}}));
  // Qwen2.5-0.5B: decode at depth, a prompt, many sequences.
  AttentionShape sinks = shape(2, 24, 3, {{0, 70}, {33, 1}, {130, 9}});
  sinks.has_sinks = true;
  add_attention(rows, sinks);
  sinks.options.window = 20;
  add_attention(rows, sinks);
  // DeepSeek's latent: one key head of 576 for all query heads.
  AttentionShape latent = shape(1, 576, 16, {{70, 1}, {3, 4}});
  latent.cache.value_head_dim = 512;
  add_attention(rows, latent);
  latent.sequences = {{1024, 1}};
  add_attention(rows, latent, Use::kBenchmark);
  AttentionShape sliding = shape(8, 64, 8, {{4096, 1}});
  sliding.options.window = 128;
  sliding.has_sinks = true;
  add_attention(rows, sliding, Use::kBenchmark);
  add_attention(rows, shape(2, 64, 7, {{4096, 1}}), Use::kBenchmark);
  add_attention(rows, shape(2, 64, 7, {{0, 512}}), Use::kBenchmark);
  add_attention(rows, shape(2, 64, 7, std::vector<SequenceShape>(32, {256, 1})), Use::kBenchmark);
}

}  // namespace

void add_attention_cases(std::vector<CaseRow>& rows) {
  for (const DType dtype : kCacheTypes) {
    add_attention_shapes(rows, dtype);
    for (const std::uint32_t d : {1u, 7u, 8u, 9u, 64u, 80u}) {
      const CacheShape shape = {dtype, 3, d, d + 2, 5};
      rows.push_back(
          {std::string("kv_store/")
               .append(dtype_name(dtype))
               .append("/D")
               .append(std::to_string(d)),
           d == 64 ? Use::kTestAndBenchmark : Use::kTest, [shape] {
             const std::vector<SequenceShape> sequences = {{0, 4}, {7, 1}, {3, 0}, {9, 11}};
             return std::make_unique<KvStoreCase>(shape, sequences);
           }});
    }
  }
}

}  // namespace millrace::kernel_cases
