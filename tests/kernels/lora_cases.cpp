// Cases of the low-rank adapters: segments of rows with adapters of their own, and rows without.
#include <algorithm>

#include "kernel_case.h"
#include "kernels/ref/ref.h"
#include "packed_weights.h"

namespace millrace::kernel_cases {
namespace {

// Which rows belong to which adapter.
struct Part {
  std::size_t adapter = 0;
  std::size_t row_begin = 0;
  std::size_t row_end = 0;
};

struct LoraShape {
  WeightFormat format = WeightFormat::kF32;
  std::size_t num_rows = 1;        // M
  std::size_t num_outputs = 1;     // N
  std::size_t depth = 32;          // P
  std::vector<std::size_t> ranks;  // of each adapter; 0: it leaves the matrix as it is
  std::vector<Part> parts;
};

class LoraCase final : public KernelCase {
 public:
  explicit LoraCase(const LoraShape& shape)
      : shape_(shape),
        x_(shape.num_rows, shape.depth),
        inner_(shape.num_rows, kInnerWidth),
        y_(shape.num_rows, shape.num_outputs) {
    Random random(9);
    x_.fill_with([&] { return random.normal(); });
    pairs_.resize(shape.ranks.size());
    weights_.reserve(2 * shape.ranks.size());
    for (std::size_t i = 0; i < shape.ranks.size(); ++i) {
      // Another pair comes first, so that a wrong index shows.
      pairs_[i].resize(2);
      const std::size_t rank = shape.ranks[i];
      if (rank == 0) continue;
      const PackedMatrix down =
          weights_.emplace_back(shape.format, rank, shape.depth, 2 * i + 1).matrix();
      const PackedMatrix up =
          weights_.emplace_back(shape.format, shape.num_outputs, rank, 2 * i + 2).matrix();
      pairs_[i][kPair] = {.down = down, .up = up, .scale = i == 0 ? 1.0f : 1.7f};
    }
    for (const Part& part : shape.parts) {
      segments_.push_back({pairs_[part.adapter], part.row_begin, part.row_end});
    }
    reset();
  }

  void reset() override {
    inner_.fill(kUntouched);
    y_.fill(0.5f);
  }
  void run(KernelContext& context) override {
    lora_down(context, x_.view(), segments_, kPair, inner_.view());
    lora_up(context, inner_.view(), segments_, kPair, y_.view());
  }
  // The second half is checked on what the first one gave, so that each has a bound of its own: the
  // products of a sum of `depth` terms, the scale or the old y, the reference's rounding.
  std::string check() override {
    GuardedRows want_inner(shape_.num_rows, kInnerWidth);
    want_inner.fill(kUntouched);
    ref::lora_down(x_.view(), segments_, kPair, want_inner.view());
    GuardedRows want(shape_.num_rows, shape_.num_outputs);
    want.fill(0.5f);
    ref::lora_up(inner_.view(), segments_, kPair, want.view());
    std::string found = compare(inner_, want_inner, [&](std::size_t r, std::size_t c, double) {
      const LoraPair* pair = pair_of(r);
      if (pair == nullptr || c >= pair->down.num_rows) return 0.0;
      return gamma_n(shape_.depth + 4) * double{pair->scale} * magnitude(pair->down, c, x_.row(r));
    });
    if (!found.empty()) return "inner " + found;
    return compare(y_, want, [&](std::size_t r, std::size_t c, double) {
      const LoraPair* pair = pair_of(r);
      if (pair == nullptr) return 0.0;
      return gamma_n(pair->up.num_cols + 4) * (magnitude(pair->up, c, inner_.row(r)) + 0.5);
    });
  }
  std::vector<std::byte> output() const override {
    std::vector<std::byte> all = inner_.bytes();
    const std::vector<std::byte> y = y_.bytes();
    all.insert(all.end(), y.begin(), y.end());
    return all;
  }
  Cost cost() const override {
    double macs = 0;
    double bytes = 0;
    std::vector<bool> is_read(shape_.ranks.size());
    for (const Part& part : shape_.parts) {
      const auto rows = static_cast<double>(part.row_end - part.row_begin);
      const auto both = static_cast<double>(shape_.depth + shape_.num_outputs);
      const auto rank = static_cast<double>(shape_.ranks[part.adapter]);
      macs += rows * rank * both;
      bytes += rows * sizeof(float) * (both + static_cast<double>(shape_.num_outputs));
      if (!is_read[part.adapter]) bytes += rank * both * weight_format_bits(shape_.format) / 8;
      is_read[part.adapter] = true;
    }
    return {.operations = 2 * macs,
            .bytes = bytes,
            .roof = shape_.num_rows >= 64 ? Roof::kFma : Roof::kBandwidth};
  }

 private:
  static constexpr std::size_t kPair = 1;
  static constexpr std::size_t kInnerWidth = 40;
  static constexpr float kUntouched = -3.25f;

  const LoraPair* pair_of(std::size_t row) const {
    for (const LoraSegment& segment : segments_) {
      if (row < segment.row_begin || row >= segment.row_end) continue;
      const LoraPair& pair = segment.pairs[kPair];
      return pair.down.num_rows == 0 ? nullptr : &pair;
    }
    return nullptr;
  }
  static double magnitude(const PackedMatrix& matrix, std::size_t row, const float* x) {
    std::vector<float> weights(matrix.num_cols);
    unpack_row(matrix, row, weights.data());
    double sum = 0;
    for (std::size_t p = 0; p < weights.size(); ++p) {
      sum += std::abs(double{weights[p]} * double{x[p]});
    }
    return sum;
  }

  LoraShape shape_;
  std::vector<PackedWeights> weights_;
  std::vector<std::vector<LoraPair>> pairs_;
  std::vector<LoraSegment> segments_;
  GuardedRows x_;
  GuardedRows inner_;
  GuardedRows y_;
};

void add_lora(std::vector<CaseRow>& rows, const std::string& what, const LoraShape& shape,
              Use use) {
  rows.push_back({"lora/" + std::string(weight_format_name(shape.format)) + "/" + what + "/N" +
                      std::to_string(shape.num_outputs) + "/P" + std::to_string(shape.depth),
                  use, [shape] { return std::make_unique<LoraCase>(shape); }});
}

}  // namespace

void add_lora_cases(std::vector<CaseRow>& rows) {
  for (const WeightFormat format : {WeightFormat::kF32, WeightFormat::kF16, WeightFormat::kBF16}) {
    // Ranks and outputs around a panel, rows around a unit.
    for (const std::size_t rank : {1u, 3u, 15u, 16u, 17u, 33u}) {
      for (const std::size_t outputs : {1u, 16u, 35u}) {
        add_lora(rows, "one-of-rank-" + std::to_string(rank),
                 {format, 5, outputs, 33, {rank}, {{0, 0, 5}}}, Use::kTest);
      }
    }
    for (const std::size_t num_rows : {15u, 16u, 17u, 50u}) {
      add_lora(rows, std::to_string(num_rows) + "-rows",
               {format, num_rows, 24, 40, {8}, {{0, 1, num_rows}}}, Use::kTest);
    }
    add_lora(rows, "nobody", {format, 4, 20, 32, {4}, {}}, Use::kTest);
    // Neighbours: gaps, an empty segment, one that adapts nothing here, one that comes twice.
    add_lora(rows, "mixed",
             {format,
              30,
              45,
              70,
              {16, 4, 0, 33},
              {{0, 0, 1}, {1, 2, 2}, {1, 3, 7}, {2, 7, 9}, {3, 9, 28}, {0, 29, 30}}},
             Use::kTest);
  }
  LoraShape decode{WeightFormat::kBF16, 8, 4096, 4096, {}, {}};
  for (std::size_t i = 0; i < 8; ++i) {
    decode.ranks.push_back(16);
    decode.parts.push_back({i, i, i + 1});
  }
  add_lora(rows, "8-rows-of-8-adapters", decode, Use::kBenchmark);
  add_lora(rows, "512-rows-of-one", {WeightFormat::kBF16, 512, 4096, 4096, {16}, {{0, 0, 512}}},
           Use::kBenchmark);
}

}  // namespace millrace::kernel_cases
