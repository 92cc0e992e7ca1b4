// Cases of the mixture of experts.
#include <algorithm>

#include "kernel_case.h"
#include "kernels/ref/ref.h"
#include "packed_weights.h"

namespace millrace::kernel_cases {
namespace {

struct ExpertShape {
  std::size_t num_tokens = 1;
  std::size_t num_experts = 2;
  std::size_t num_selected = 1;
};

struct RoutingMemory {
  explicit RoutingMemory(const ExpertShape& s)
      : expert_begin(s.num_experts + 1),
        row_token(s.num_tokens * s.num_selected),
        token_row(s.num_tokens * s.num_selected),
        token_weight(s.num_tokens * s.num_selected) {}
  ExpertRouting view() { return {expert_begin, row_token, token_row, token_weight}; }

  std::vector<std::uint32_t> expert_begin;
  std::vector<std::uint32_t> row_token;
  std::vector<std::uint32_t> token_row;
  std::vector<float> token_weight;
};

// Logits with ties (drawn from few values), so that their order is tested too.
GuardedRows drawn_logits(const ExpertShape& s) {
  GuardedRows logits(s.num_tokens, s.num_experts);
  Random random(13);
  logits.fill_with([&] { return static_cast<double>(random.below(9)) * 0.5 - 2; });
  return logits;
}

enum class Bias : std::uint8_t { kNo, kYes };

class RouteCase final : public KernelCase {
 public:
  RouteCase(const ExpertShape& shape, const RoutingOptions& options, Bias bias)
      : shape_(shape), options_(options), logits_(drawn_logits(shape)), got_(shape) {
    Random random(18);
    for (std::size_t e = 0; e < shape.num_experts; ++e) {
      bias_.push_back(static_cast<float>(random.normal() * 0.3));
    }
    options_.num_selected = shape.num_selected;
    if (bias == Bias::kYes) options_.choice_bias = bias_.data();
  }
  void reset() override { got_ = RoutingMemory(shape_); }
  void run(KernelContext& context) override {
    route_experts(context, logits_.view(), options_, got_.view());
  }
  std::string check() override {
    RoutingMemory want(shape_);
    ref::route_experts(logits_.view(), options_, want.view());
    if (got_.expert_begin != want.expert_begin) return "expert_begin differs";
    if (got_.row_token != want.row_token) return "row_token differs";
    if (got_.token_row != want.token_row) return "token_row differs";
    for (std::size_t i = 0; i < want.token_weight.size(); ++i) {
      // Both sum in double; the order differs.
      const double bound = gamma_n(1) * std::abs(double{want.token_weight[i]});
      if (std::abs(double{got_.token_weight[i]} - double{want.token_weight[i]}) > bound) {
        return "weight " + std::to_string(i) + " differs";
      }
    }
    return {};
  }
  std::vector<std::byte> output() const override {
    std::vector<std::byte> all;
    const auto append = [&all](const auto& values) {
      const auto bytes = std::as_bytes(std::span(values));
      all.insert(all.end(), bytes.begin(), bytes.end());
    };
    append(got_.expert_begin);
    append(got_.row_token);
    append(got_.token_row);
    append(got_.token_weight);
    return all;
  }
  Cost cost() const override {
    const auto count = static_cast<double>(shape_.num_tokens * shape_.num_experts);
    return {.operations = count, .bytes = 4 * count};
  }

 private:
  ExpertShape shape_;
  RoutingOptions options_;
  std::vector<float> bias_;
  GuardedRows logits_;
  RoutingMemory got_;
};

// gather, expert_matmul and combine on one routing: y[t] = sum_j weight_j * W_e(j) x[t].
class ExpertsCase final : public KernelCase {
 public:
  static constexpr std::size_t kDepth = 64;
  static constexpr std::size_t kOutputs = 37;

  ExpertsCase(const ExpertShape& shape, WeightFormat format, Bias bias)
      : shape_(shape),
        bias_(bias == Bias::kYes ? shape.num_experts * kOutputs : 0),
        routing_(shape),
        x_(shape.num_tokens, kDepth),
        grouped_(shape.num_tokens * shape.num_selected, kDepth),
        quantized_(shape.num_tokens * shape.num_selected, kDepth),
        hidden_(shape.num_tokens * shape.num_selected, kOutputs),
        y_(shape.num_tokens, kOutputs) {
    for (std::size_t e = 0; e < shape.num_experts; ++e) {
      experts_.emplace_back(format, kOutputs, kDepth, e + 100);
    }
    for (const PackedWeights& expert : experts_) matrices_.push_back(expert.matrix());
    GuardedRows logits = drawn_logits(shape);
    ref::route_experts(logits.view(), {.num_selected = shape.num_selected}, routing_.view());
    Random random(14);
    for (float& value : bias_) value = static_cast<float>(random.normal());
    x_.fill_with([&] { return random.normal(); });
    reset();
  }
  void reset() override {
    hidden_.fill(NAN);
    y_.fill(0.25f);
  }
  void run(KernelContext& context) override {
    gather_rows(context, x_.view(), routing_.row_token, grouped_.view());
    quantize_rows(context, grouped_.view(), quantized_.rows());
    expert_matmul(context, {.x = grouped_.view(), .quantized = &quantized_.rows()}, matrices_,
                  routing_.view(), {.bias = bias_.empty() ? nullptr : bias_.data()},
                  hidden_.view());
    combine_experts(context, hidden_.view(), routing_.view(), Accumulate::kAdd, y_.view());
  }
  std::string check() override {
    GuardedRows want(shape_.num_tokens, kOutputs);
    want.fill(0.25f);
    GuardedRows hidden = wanted_hidden();
    const std::string found = compare(hidden_, hidden, [](std::size_t, std::size_t, double) {
      // At most kDepth + 5 roundings of at most kDepth products of 6 (x) and 0.3 (w), and a bias.
      return gamma_n(kDepth + 5) * (kDepth * 6 * 0.3 + 6);
    });
    if (!found.empty()) return "expert_matmul " + found;
    ref::combine_experts(hidden_.view(), routing_.view(), Accumulate::kAdd, want.view());
    // Weights sum to 1, |hidden| below 10: a product and a sum per choice.
    return compare(y_, want, [&](std::size_t, std::size_t, double) {
      return 10 * gamma_n(2 * shape_.num_selected + 2);
    });
  }
  std::vector<std::byte> output() const override { return y_.bytes(); }
  Cost cost() const override {
    const auto macs = static_cast<double>(hidden_.num_rows() * kOutputs * kDepth);
    return {.operations = 2 * macs, .bytes = 4 * macs, .roof = Roof::kFma};
  }

 private:
  // Row by row: each grouped row alone against its expert.
  GuardedRows wanted_hidden() {
    GuardedRows hidden(hidden_.num_rows(), kOutputs);
    for (std::size_t e = 0; e < shape_.num_experts; ++e) {
      for (std::size_t r = routing_.expert_begin[e]; r < routing_.expert_begin[e + 1]; ++r) {
        QuantizedRows q = quantized_.rows();
        q.values += r * kDepth;
        q.scales += r * (kDepth / kWeightGroup);
        q.sums += r * (kDepth / kSumGroup);
        q.num_rows = 1;
        const TensorView x = view_of(x_.row(routing_.row_token[r]), {1, kDepth});
        const float* bias = bias_.empty() ? nullptr : bias_.data() + e * kOutputs;
        ref::matmul({.x = x, .quantized = &q}, matrices_[e], {.bias = bias},
                    view_of(hidden.row(r), {1, kOutputs}));
      }
    }
    return hidden;
  }

  ExpertShape shape_;
  std::vector<float> bias_;
  RoutingMemory routing_;
  std::vector<PackedWeights> experts_;
  std::vector<PackedMatrix> matrices_;
  GuardedRows x_;
  GuardedRows grouped_;
  QuantizedBuffer quantized_;
  GuardedRows hidden_;
  GuardedRows y_;
};

constexpr ExpertShape kShapes[] = {{0, 4, 2}, {1, 1, 1}, {1, 8, 2}, {5, 4, 4}, {33, 8, 2}};

std::string sized(const ExpertShape& s) {
  return "/T" + std::to_string(s.num_tokens) + "/X" + std::to_string(s.num_experts) + "/k" +
         std::to_string(s.num_selected);
}

void add_route(std::vector<CaseRow>& rows, const std::string& kind, const ExpertShape& shape,
               const RoutingOptions& options, Bias bias, Use use = Use::kTest) {
  rows.push_back({"route_experts/" + kind + sized(shape), use,
                  [=] { return std::make_unique<RouteCase>(shape, options, bias); }});
}

void add_route_cases(std::vector<CaseRow>& rows) {
  for (const ExpertShape& s : kShapes) {
    for (const ExpertScores scores : {ExpertScores::kSoftmax, ExpertScores::kSigmoid}) {
      const std::string name = scores == ExpertScores::kSoftmax ? "softmax" : "sigmoid";
      RoutingOptions options{.scores = scores};
      add_route(rows, name + "/normalised", s, options, Bias::kNo);
      options.weights = ExpertWeights::kScores;
      options.weight_scale = 2.5f;
      add_route(rows, name + "/scores", s, options, Bias::kNo);
      add_route(rows, name + "/scores_bias", s, options, Bias::kYes);
    }
  }
  // The routers of DeepSeek: V2 (16 of 160 in 3 of 8 groups, here smaller) and V3.
  const RoutingOptions v2{.weights = ExpertWeights::kScores,
                          .weight_scale = 16.0f,
                          .num_groups = 8,
                          .num_groups_selected = 3};
  const RoutingOptions v3{.scores = ExpertScores::kSigmoid,
                          .weight_scale = 2.5f,
                          .num_groups = 4,
                          .num_groups_selected = 2,
                          .group_rank = GroupRank::kSumOfTwo};
  for (const ExpertShape s : {ExpertShape{1, 16, 2}, ExpertShape{40, 40, 6}}) {
    add_route(rows, "groups_v2", s, v2, Bias::kNo);
    add_route(rows, "groups_v3", s, v3, Bias::kYes);
  }
  RoutingOptions published = v3;
  published.num_groups = 8;
  published.num_groups_selected = 4;
  add_route(rows, "groups_v3", {64, 256, 8}, published, Bias::kYes, Use::kTestAndBenchmark);
}

// A matrix for each head, between parts of wider heads.
class HeadMatmulCase final : public KernelCase {
 public:
  HeadMatmulCase(std::size_t num_tokens, std::size_t num_heads, std::size_t depth,
                 std::size_t num_outputs, WeightFormat format)
      : depth_(depth),
        num_outputs_(num_outputs),
        x_(num_tokens, num_heads * (depth + kBefore)),
        y_(num_tokens, num_heads * (num_outputs + kBefore)),
        quantized_(num_tokens * num_heads, depth) {
    for (std::size_t h = 0; h < num_heads; ++h) {
      weights_.emplace_back(format, num_outputs, depth, h + 200);
    }
    for (const PackedWeights& weight : weights_) matrices_.push_back(weight.matrix());
    Random random(19);
    x_.fill_with([&] { return random.normal(); });
    reset();
  }
  void reset() override { y_.fill(0.5f); }
  void run(KernelContext& context) override {
    const HeadPart x = part(x_, depth_);
    copy_heads(context, {x.heads, 0, kBefore}, {part(y_, num_outputs_).heads, 0, kBefore},
               Sync::kNone);
    quantize_heads(context, x, quantized_.rows());
    head_matmul(context, x, &quantized_.rows(), matrices_, part(y_, num_outputs_));
  }
  std::string check() override {
    GuardedRows want(y_.num_rows(), y_.num_cols());
    const HeadPart x = part(x_, depth_);
    ref::copy_heads({x.heads, 0, kBefore}, {part(want, num_outputs_).heads, 0, kBefore});
    ref::head_matmul(x, &quantized_.rows(), matrices_, part(want, num_outputs_));
    return compare(y_, want, [&](std::size_t, std::size_t c, double) {
      if (c % (num_outputs_ + kBefore) < kBefore) return 0.0;
      // As for experts.
      return gamma_n(depth_ + 4) * static_cast<double>(depth_) * 6 * 0.3;
    });
  }
  std::vector<std::byte> output() const override { return y_.bytes(); }
  Cost cost() const override {
    const auto weights = static_cast<double>(weights_.size() * num_outputs_ * depth_);
    return {.operations = 2 * weights * static_cast<double>(x_.num_rows()),
            .bytes = static_cast<double>(weights_.front().num_bytes() * weights_.size()),
            .roof = x_.num_rows() == 1 ? Roof::kBandwidth : Roof::kFma};
  }

 private:
  static constexpr std::size_t kBefore = 6;

  HeadPart part(GuardedRows& rows, std::size_t count) const {
    return {rows.shaped({rows.num_rows(), weights_.size(), count + kBefore}), kBefore, count};
  }

  std::size_t depth_;
  std::size_t num_outputs_;
  GuardedRows x_;
  GuardedRows y_;
  QuantizedBuffer quantized_;
  std::vector<PackedWeights> weights_;
  std::vector<PackedMatrix> matrices_;
};

void add_head_matmul_cases(std::vector<CaseRow>& rows, WeightFormat format) {
  struct HeadShape {
    std::size_t num_tokens, num_heads, depth, num_outputs;
    Use use = Use::kTest;
  };
  for (const HeadShape s :
       {HeadShape{0, 2, 32, 5}, HeadShape{1, 3, 64, 37}, HeadShape{9, 5, 32, 16},
        HeadShape{1, 16, 512, 128, Use::kTestAndBenchmark}}) {
    rows.push_back({"head_matmul/" + std::string(weight_format_name(format)) + "/T" +
                        std::to_string(s.num_tokens) + "/H" + std::to_string(s.num_heads) + "/" +
                        std::to_string(s.num_outputs) + "x" + std::to_string(s.depth),
                    s.use, [=] {
                      return std::make_unique<HeadMatmulCase>(s.num_tokens, s.num_heads, s.depth,
                                                              s.num_outputs, format);
                    }});
  }
}

}  // namespace

void add_expert_cases(std::vector<CaseRow>& rows) {
  add_route_cases(rows);
  for (std::size_t f = 0; f < kNumWeightFormats; ++f) {
    const auto format = static_cast<WeightFormat>(f);
    const std::string name = "experts/" + std::string(weight_format_name(format));
    for (const ExpertShape& s : kShapes) {
      rows.push_back({name + sized(s), Use::kTest,
                      [=] { return std::make_unique<ExpertsCase>(s, format, Bias::kNo); }});
    }
    const ExpertShape biased = {33, 8, 2};
    rows.push_back({name + "/bias" + sized(biased), Use::kTestAndBenchmark,
                    [=] { return std::make_unique<ExpertsCase>(biased, format, Bias::kYes); }});
    add_head_matmul_cases(rows, format);
  }
}

std::vector<CaseRow> all_cases() {
  std::vector<CaseRow> rows;
  add_matmul_cases(rows);
  add_row_cases(rows);
  add_attention_cases(rows);
  add_expert_cases(rows);
  add_lora_cases(rows);
  return rows;
}

}  // namespace millrace::kernel_cases
