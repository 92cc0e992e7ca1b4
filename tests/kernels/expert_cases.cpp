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

class RouteCase final : public KernelCase {
 public:
  RouteCase(const ExpertShape& shape, ExpertWeights weights)
      : shape_(shape), weights_(weights), logits_(drawn_logits(shape)), got_(shape) {}
  void reset() override { got_ = RoutingMemory(shape_); }
  void run(KernelContext& context) override {
    route_experts(context, logits_.view(), shape_.num_selected, weights_, got_.view());
  }
  std::string check() override {
    RoutingMemory want(shape_);
    ref::route_experts(logits_.view(), shape_.num_selected, weights_, want.view());
    if (got_.expert_begin != want.expert_begin) return "expert_begin differs";
    if (got_.row_token != want.row_token) return "row_token differs";
    if (got_.token_row != want.token_row) return "token_row differs";
    for (std::size_t i = 0; i < want.token_weight.size(); ++i) {
      // Both sum in double; the order differs.
      if (std::abs(got_.token_weight[i] - want.token_weight[i]) > gamma_n(1)) {
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
  ExpertWeights weights_;
  GuardedRows logits_;
  RoutingMemory got_;
};

// gather, expert_matmul and combine on one routing: y[t] = sum_j weight_j * W_e(j) x[t].
class ExpertsCase final : public KernelCase {
 public:
  static constexpr std::size_t kDepth = 64;
  static constexpr std::size_t kOutputs = 37;

  ExpertsCase(const ExpertShape& shape, WeightFormat format)
      : shape_(shape),
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
    ref::route_experts(logits.view(), shape.num_selected, ExpertWeights::kSoftmaxOverSelected,
                       routing_.view());
    Random random(14);
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
                  routing_.view(), Sync::kBarrier, hidden_.view());
    combine_experts(context, hidden_.view(), routing_.view(), Accumulate::kAdd, y_.view());
  }
  std::string check() override {
    GuardedRows want(shape_.num_tokens, kOutputs);
    want.fill(0.25f);
    GuardedRows hidden = wanted_hidden();
    const std::string found = compare(hidden_, hidden, [](std::size_t, std::size_t, double) {
      // At most kDepth + 4 roundings of at most kDepth products of 6 (x) and 0.3 (w).
      return gamma_n(kDepth + 4) * kDepth * 6 * 0.3;
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
        q.sums += r * (kDepth / kWeightGroup);
        q.num_rows = 1;
        const TensorView x = view_of(x_.row(routing_.row_token[r]), {1, kDepth});
        ref::matmul({.x = x, .quantized = &q}, matrices_[e], {},
                    view_of(hidden.row(r), {1, kOutputs}));
      }
    }
    return hidden;
  }

  ExpertShape shape_;
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

}  // namespace

void add_expert_cases(std::vector<CaseRow>& rows) {
  for (const ExpertShape& s : kShapes) {
    const std::string size = "/T" + std::to_string(s.num_tokens) + "/X" +
                             std::to_string(s.num_experts) + "/k" + std::to_string(s.num_selected);
    for (const ExpertWeights weights :
         {ExpertWeights::kSoftmaxOverAll, ExpertWeights::kSoftmaxOverSelected}) {
      const std::string kind = weights == ExpertWeights::kSoftmaxOverAll ? "all" : "selected";
      rows.push_back({"route_experts/" + kind + size, Use::kTest,
                      [=] { return std::make_unique<RouteCase>(s, weights); }});
    }
    for (std::size_t f = 0; f < kNumWeightFormats; ++f) {
      const auto format = static_cast<WeightFormat>(f);
      rows.push_back({"experts/" + std::string(weight_format_name(format)) + size, Use::kTest,
                      [=] { return std::make_unique<ExpertsCase>(s, format); }});
    }
  }
}

std::vector<CaseRow> all_cases() {
  std::vector<CaseRow> rows;
  add_matmul_cases(rows);
  add_row_cases(rows);
  add_attention_cases(rows);
  add_expert_cases(rows);
  return rows;
}

}  // namespace millrace::kernel_cases
