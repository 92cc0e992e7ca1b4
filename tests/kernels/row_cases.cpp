// Cases of the norms, rope, activations and other elementwise ops.
#include <numeric>

#include "kernel_case.h"
#include "kernels/ref/ref.h"

namespace millrace::kernel_cases {
namespace {

// An op from x (and a second input) to y, all [T, E]. The name picks the op.
class RowsCase : public KernelCase {
 public:
  RowsCase(std::size_t num_rows, std::size_t num_cols)
      : x_(num_rows, num_cols), other_(num_rows, num_cols), y_(num_rows, num_cols) {
    Random random(5);
    x_.fill_with([&] { return random.normal() * 3; });
    other_.fill_with([&] { return random.normal(); });
  }
  void reset() override {
    for (std::size_t r = 0; r < y_.num_rows(); ++r) {
      std::copy_n(other_.row(r), y_.num_cols(), y_.row(r));
    }
  }
  std::vector<std::byte> output() const override { return y_.bytes(); }
  Cost cost() const override {
    const auto count = static_cast<double>(y_.num_rows() * y_.num_cols());
    return {.operations = count, .bytes = 12 * count};
  }

 protected:
  // The reference's y, begun like y.
  template <class Reference>
  GuardedRows wanted(const Reference& reference) {
    GuardedRows want(y_.num_rows(), y_.num_cols());
    for (std::size_t r = 0; r < y_.num_rows(); ++r) {
      std::copy_n(other_.row(r), y_.num_cols(), want.row(r));
    }
    reference(want.view());
    return want;
  }

  GuardedRows x_;
  GuardedRows other_;
  GuardedRows y_;
};

class RmsNormCase final : public RowsCase {
 public:
  RmsNormCase(std::size_t num_rows, std::size_t num_cols)
      : RowsCase(num_rows, num_cols), weight_(1, num_cols) {
    Random random(6);
    weight_.fill_with([&] { return random.normal(); });
  }
  void run(KernelContext& context) override {
    rms_norm(context, x_.view(), weight_view(), kEps, y_.view());
  }
  std::string check() override {
    const GuardedRows want =
        wanted([&](TensorView y) { ref::rms_norm(x_.view(), weight_view(), kEps, y); });
    // The sum of squares is all positive (condition number 1); a few more roundings follow it.
    const double relative = gamma_n(x_.num_cols() + 6);
    return compare(y_, want, [&](std::size_t, std::size_t, double value) {
      return relative * std::abs(value) + 1e-37;
    });
  }

 private:
  static constexpr float kEps = 1e-5f;
  ConstTensorView weight_view() { return view_of(weight_.row(0), {weight_.num_cols()}); }
  GuardedRows weight_;
};

class LayerNormCase final : public RowsCase {
 public:
  // Which of weights and bias there are.
  enum class Vectors : std::uint8_t { kNone, kWeight, kBoth };

  LayerNormCase(std::size_t num_rows, std::size_t num_cols, Vectors vectors)
      : RowsCase(num_rows, num_cols), vectors_(vectors), weight_(1, num_cols), bias_(1, num_cols) {
    Random random(7);
    // Off centre, so that a variance without the mean taken off would show.
    x_.fill_with([&] { return random.normal() * 3 + 2; });
    weight_.fill_with([&] { return random.normal(); });
    bias_.fill_with([&] { return random.normal(); });
  }
  void run(KernelContext& context) override {
    layer_norm(context, x_.view(), weights(), kEps, y_.view());
  }
  std::string check() override {
    const GuardedRows want =
        wanted([&](TensorView y) { ref::layer_norm(x_.view(), weights(), kEps, y); });
    // The mean is off by gamma(E) of the mean magnitude, and so is every x - mean; the squares of
    // these are summed without cancellation.
    const double gamma = gamma_n(x_.num_cols() + 8);
    return compare(y_, want, [&](std::size_t row, std::size_t col, double value) {
      double magnitude = 0;
      double mean = 0;
      for (std::size_t c = 0; c < x_.num_cols(); ++c) {
        magnitude += std::abs(double{x_.row(row)[c]});
        mean += double{x_.row(row)[c]};
      }
      const auto count = static_cast<double>(x_.num_cols());
      mean /= count;
      double squares = 0;
      for (std::size_t c = 0; c < x_.num_cols(); ++c) {
        squares += (x_.row(row)[c] - mean) * (x_.row(row)[c] - mean);
      }
      const double factor = 1.0 / std::sqrt(squares / count + double{kEps});
      const double shift = gamma * magnitude / count;  // of the mean
      const double weight = vectors_ == Vectors::kNone ? 1.0 : std::abs(weight_.row(0)[col]);
      const double normed = std::abs(x_.row(row)[col] - mean) * factor;
      // The shift enters each element once and, squared at most, the deviation: |normed| times
      // shift * factor again.
      return weight * (shift * factor * (1 + normed) + 4 * gamma * normed) +
             gamma * std::abs(value) + 1e-37;
    });
  }

 private:
  static constexpr float kEps = 1e-5f;
  LayerNormWeights weights() {
    return {.weight = vectors_ == Vectors::kNone ? nullptr : weight_.row(0),
            .bias = vectors_ == Vectors::kBoth ? bias_.row(0) : nullptr};
  }
  Vectors vectors_;
  GuardedRows weight_;
  GuardedRows bias_;
};

class RopeCase final : public RowsCase {
 public:
  RopeCase(std::size_t num_tokens, std::size_t num_heads, std::size_t head_dim,
           std::size_t num_pairs, RopePairs pairs)
      : RowsCase(num_tokens, num_heads * head_dim),
        shape_({num_tokens, num_heads, head_dim}),
        pairs_(pairs),
        cos_(num_tokens, num_pairs),
        sin_(num_tokens, num_pairs) {
    for (std::size_t t = 0; t < num_tokens; ++t) {
      for (std::size_t i = 0; i < num_pairs; ++i) {
        const double angle = static_cast<double>(t * 7 + i) * 0.37;
        cos_.row(t)[i] = static_cast<float>(std::cos(angle));
        sin_.row(t)[i] = static_cast<float>(std::sin(angle));
      }
    }
  }
  void run(KernelContext& context) override {
    rope(context, y_.shaped(shape_), cos_.view(), sin_.view(), pairs_);
  }
  std::string check() override {
    const GuardedRows want = wanted([&](TensorView y) {
      TensorView heads = view_of(reinterpret_cast<float*>(y.data), shape_);
      heads.row_stride = y.row_stride;
      ref::rope(heads, cos_.view(), sin_.view(), pairs_);
    });
    // Two products and a sum of values of at most |x|; 6 bounds a normal draw of this many.
    return compare(y_, want, [](std::size_t, std::size_t, double) { return gamma_n(4) * 2 * 6; });
  }

 private:
  Shape shape_;
  RopePairs pairs_;
  GuardedRows cos_;
  GuardedRows sin_;
};

// Error bound of activation(x), from the error of exp (2^-22) and what its argument carries.
double activation_bound(Activation activation, double x, double y) {
  // Where exp leaves f32's normal range the kernels give zero.
  constexpr double kUnderflow = 1e-35;
  switch (activation) {
    case Activation::kSilu:  // exp of an exact argument, a sum, a quotient.
      return std::abs(y) * (0x1.0p-22 + gamma_n(4)) + kUnderflow;
    case Activation::kGelu:  // A polynomial (3e-8) of 10 steps; z and z^2 carry 4 roundings.
      return std::abs(y) * (0x1.0p-22 + 3e-8 + gamma_n(16) + x * x / 2 * gamma_n(4)) + kUnderflow;
    case Activation::kGeluTanh: {  // The argument carries 6 roundings.
      const double argument = 1.6 * (std::abs(x) + 0.045 * std::abs(x * x * x));
      return std::abs(y) * (0x1.0p-22 + gamma_n(4) + argument * gamma_n(6)) + kUnderflow;
    }
    case Activation::kRelu:
    case Activation::kRelu2:
      return std::abs(y) * gamma_n(2);
  }
  return 0;
}

enum class Gate : std::uint8_t { kNone, kUp };

class ActivationCase final : public RowsCase {
 public:
  ActivationCase(std::size_t num_rows, std::size_t num_cols, Activation activation, Gate gate)
      : RowsCase(num_rows, num_cols), activation_(activation), gate_(gate) {
    // Everything from far below exp's range to far above it.
    Random random(7);
    x_.fill_with([&] { return random.normal() * (random.chance(0.1) ? 60 : 2); });
  }
  void run(KernelContext& context) override {
    if (gate_ == Gate::kUp) {
      gated_activation(context, activation_, x_.view(), other_.view(), y_.view());
    } else {
      activate(context, activation_, x_.view(), y_.view());
    }
  }
  std::string check() override {
    const GuardedRows want = wanted([&](TensorView y) {
      if (gate_ == Gate::kUp) {
        ref::gated_activation(activation_, x_.view(), other_.view(), y);
      } else {
        ref::activate(activation_, x_.view(), y);
      }
    });
    return compare(y_, want, [&](std::size_t r, std::size_t c, double value) {
      const double x = double{x_.row(r)[c]};
      const double up = gate_ == Gate::kUp ? std::abs(double{other_.row(r)[c]}) : 1.0;
      return up * activation_bound(activation_, x, ref::activation(activation_, x)) +
             std::abs(value) * gamma_n(2);
    });
  }

 private:
  Activation activation_;
  Gate gate_;
};

enum class Simple : std::uint8_t { kAdd, kScale, kSoftcap, kGather };
constexpr std::string_view kSimpleNames[] = {"add", "scale", "softcap", "gather_rows"};

class SimpleCase final : public RowsCase {
 public:
  SimpleCase(std::size_t num_rows, std::size_t num_cols, Simple op)
      : RowsCase(num_rows, num_cols), op_(op) {
    for (std::size_t i = 0; i < num_rows; ++i) {
      indices_.push_back(static_cast<std::uint32_t>(i * 5 % num_rows));
    }
  }
  void run(KernelContext& context) override {
    switch (op_) {
      case Simple::kAdd:
        return add(context, x_.view(), y_.view());
      case Simple::kScale:
        return scale(context, -0.7f, y_.view());
      case Simple::kSoftcap:
        return softcap(context, 1.5f, y_.view());
      case Simple::kGather:
        return gather_rows(context, x_.view(), indices_, y_.view());
    }
  }
  std::string check() override {
    const GuardedRows want = wanted([&](TensorView y) {
      switch (op_) {
        case Simple::kAdd:
          return ref::add(x_.view(), y);
        case Simple::kScale:
          return ref::scale(-0.7f, y);
        case Simple::kSoftcap:
          return ref::softcap(1.5f, y);
        case Simple::kGather:
          return ref::gather_rows(x_.view(), indices_, y);
      }
    });
    // tanh within 2^-21, its argument one rounding, the product another. The others are exact to
    // one rounding, the same on both sides.
    const double relative = op_ == Simple::kSoftcap ? 0x1.0p-21 + gamma_n(3) : 0.0;
    return compare(y_, want, [&](std::size_t, std::size_t, double value) {
      return relative * std::abs(value);
    });
  }

 private:
  Simple op_;
  std::vector<std::uint32_t> indices_;
};

class ClampedGateCase final : public RowsCase {
 public:
  ClampedGateCase(std::size_t num_rows, std::size_t num_cols)
      : RowsCase(num_rows, num_cols), up_(num_rows, num_cols) {
    // Everything from far below the limit to far above it.
    Random random(16);
    x_.fill_with([&] { return random.normal() * (random.chance(0.1) ? 60 : 4); });
    up_.fill_with([&] { return random.normal() * 5; });
  }
  void run(KernelContext& context) override {
    clamped_gated_activation(context, kClamp, x_.view(), up_.view(), y_.view());
  }
  std::string check() override {
    const GuardedRows want = wanted(
        [&](TensorView y) { ref::clamped_gated_activation(kClamp, x_.view(), up_.view(), y); });
    return compare(y_, want, [&](std::size_t r, std::size_t c, double value) {
      // The argument of exp carries one rounding; up + 1 is rounded once, from exact numbers.
      const double g = std::min(double{x_.row(r)[c]}, double{kClamp.limit});
      const double argument = std::abs(g) * double{kClamp.steepness};
      return std::abs(value) * (0x1.0p-22 + gamma_n(6) + argument * gamma_n(1)) + 1e-30;
    });
  }

 private:
  static constexpr ClampedGate kClamp = {.limit = 7.0f, .steepness = 1.702f};
  GuardedRows up_;
};

class AddGatedCase final : public RowsCase {
 public:
  AddGatedCase(std::size_t num_rows, std::size_t num_cols)
      : RowsCase(num_rows, num_cols), logits_(num_rows, 1) {
    Random random(17);
    logits_.fill_with([&] { return random.normal() * 5; });
  }
  void run(KernelContext& context) override {
    add_gated(context, x_.view(), logits_.view(), y_.view());
  }
  std::string check() override {
    const GuardedRows want =
        wanted([&](TensorView y) { ref::add_gated(x_.view(), logits_.view(), y); });
    return compare(y_, want, [&](std::size_t r, std::size_t c, double) {
      return gamma_n(3) * (std::abs(double{x_.row(r)[c]}) + std::abs(double{other_.row(r)[c]}));
    });
  }

 private:
  GuardedRows logits_;
};

// Angles: checked against their definition, since the op computes in double itself.
class RopeAnglesCase final : public KernelCase {
 public:
  explicit RopeAnglesCase(std::size_t num_tokens) : cos_(num_tokens, kPairs), sin_(cos_) {
    for (std::size_t i = 0; i < kPairs; ++i) {
      frequencies_.push_back(std::pow(10000.0, -static_cast<double>(i) / kPairs));
    }
    for (std::size_t t = 0; t < num_tokens; ++t) {
      positions_.push_back(static_cast<std::uint32_t>(t * 9973));
    }
  }
  void reset() override {
    cos_.fill(0);
    sin_.fill(0);
  }
  void run(KernelContext& context) override {
    rope_angles(context, positions_, frequencies_, 1.25, cos_.view(), sin_.view());
  }
  std::string check() override {
    if (!sin_.guards_hold()) return "elements beside a row were written";
    GuardedRows want(cos_.num_rows(), kPairs);
    for (std::size_t t = 0; t < positions_.size(); ++t) {
      for (std::size_t i = 0; i < kPairs; ++i) {
        const double angle = positions_[t] * frequencies_[i];
        want.row(t)[i] = static_cast<float>(std::cos(angle) * 1.25);
        const double length = std::hypot(double{cos_.row(t)[i]}, double{sin_.row(t)[i]});
        if (std::abs(length - 1.25) > 1.25 * gamma_n(2)) return "cos and sin do not fit";
        if (double{sin_.row(t)[i]} * std::sin(angle) < 0) return "sin has the wrong sign";
      }
    }
    return compare(cos_, want, [](std::size_t, std::size_t, double value) {
      return gamma_n(1) * std::abs(value);
    });
  }
  std::vector<std::byte> output() const override { return cos_.bytes(); }
  Cost cost() const override {
    return {.operations = 2.0 * static_cast<double>(positions_.size()) * kPairs,
            .bytes = 8.0 * static_cast<double>(positions_.size()) * kPairs};
  }

 private:
  static constexpr std::size_t kPairs = 32;
  std::vector<std::uint32_t> positions_;
  std::vector<double> frequencies_;
  GuardedRows cos_;
  GuardedRows sin_;
};

std::string sized(std::string_view name, std::size_t num_rows, std::size_t num_cols) {
  return std::string(name) + "/T" + std::to_string(num_rows) + "/E" + std::to_string(num_cols);
}

constexpr std::string_view kActivationNames[] = {"silu", "gelu", "gelu_tanh", "relu", "relu2"};

void add_activation_cases(std::vector<CaseRow>& rows, std::size_t t, std::size_t e, Use use) {
  for (std::size_t i = 0; i < std::size(kActivationNames); ++i) {
    for (const Gate gate : {Gate::kNone, Gate::kUp}) {
      const auto activation = static_cast<Activation>(i);
      const std::string name = (gate == Gate::kUp ? "gated_activation/" : "activate/") +
                               std::string(kActivationNames[i]);
      rows.push_back({sized(name, t, e), use,
                      [=] { return std::make_unique<ActivationCase>(t, e, activation, gate); }});
    }
  }
}

void add_rope_cases(std::vector<CaseRow>& rows) {
  struct RopeShape {
    std::size_t t, h, d, r;
  };
  for (const RopeShape s :
       {RopeShape{0, 2, 8, 4}, RopeShape{1, 1, 2, 1}, RopeShape{3, 2, 10, 3},
        RopeShape{5, 3, 64, 32}, RopeShape{2, 7, 36, 17}, RopeShape{64, 14, 64, 32}}) {
    for (const RopePairs pairs : {RopePairs::kHalves, RopePairs::kAdjacent}) {
      const std::string name = pairs == RopePairs::kHalves ? "rope/halves" : "rope/adjacent";
      rows.push_back(
          {sized(name, s.t, s.h * s.d), s.t == 64 ? Use::kTestAndBenchmark : Use::kTest,
           [s, pairs] { return std::make_unique<RopeCase>(s.t, s.h, s.d, s.r, pairs); }});
    }
  }
}

constexpr std::pair<const char*, LayerNormCase::Vectors> kLayerNorms[] = {
    {"layer_norm", LayerNormCase::Vectors::kBoth},
    {"layer_norm/no_bias", LayerNormCase::Vectors::kWeight},
    {"layer_norm/bare", LayerNormCase::Vectors::kNone},
};

}  // namespace

void add_row_cases(std::vector<CaseRow>& rows) {
  for (const std::size_t t : {0u, 1u, 3u, 64u}) {
    // One, around every vector, around a piece of work, typical.
    for (const std::size_t e : {1u, 3u, 4u, 7u, 8u, 9u, 17u, 511u, 513u, 896u, 4864u}) {
      if (t == 64 && e < 896) continue;
      const Use use = e >= 896 && t > 0 ? Use::kTestAndBenchmark : Use::kTest;
      rows.push_back(
          {sized("rms_norm", t, e), use, [=] { return std::make_unique<RmsNormCase>(t, e); }});
      for (const auto& [name, vectors] : kLayerNorms) {
        const Use use_of = vectors == LayerNormCase::Vectors::kBoth ? use : Use::kTest;
        rows.push_back({sized(name, t, e), use_of, [t, e, vectors = vectors] {
                          return std::make_unique<LayerNormCase>(t, e, vectors);
                        }});
      }
      for (std::size_t i = 0; i < std::size(kSimpleNames); ++i) {
        rows.push_back({sized(kSimpleNames[i], t, e), use, [=] {
                          return std::make_unique<SimpleCase>(t, e, static_cast<Simple>(i));
                        }});
      }
      add_activation_cases(rows, t, e, use);
      rows.push_back({sized("clamped_gated_activation", t, e), use,
                      [=] { return std::make_unique<ClampedGateCase>(t, e); }});
      rows.push_back(
          {sized("add_gated", t, e), use, [=] { return std::make_unique<AddGatedCase>(t, e); }});
    }
  }
  add_rope_cases(rows);
  for (const std::size_t t : {0u, 1u, 13u}) {
    rows.push_back({sized("rope_angles", t, 32), Use::kTest,
                    [t] { return std::make_unique<RopeAnglesCase>(t); }});
  }
}

}  // namespace millrace::kernel_cases
