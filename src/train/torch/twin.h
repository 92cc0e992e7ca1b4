// The differentiable twin of a ModelSpec: the forward pass of model/decoder.h on libtorch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <tuple>
#include <vector>

#include "base/result.h"
#include "model/export_source.h"
#include "model/model_spec.h"
#include "model/required_tensors.h"
#include "train/torch/aten.h"

namespace millrace {

// The type in which matrices are multiplied. Parameters, norms, softmax and sums stay in f32.
enum class ComputeType : std::uint8_t { kF32, kBF16 };

// Weights rounded as the engine will hold them, gradients passed straight through. Bengio, Léonard
// & Courville 2013, arXiv:1308.3432, section 4.
enum class FakeQuant : std::uint8_t { kNone, kInt8Groups, kInt4Groups };

struct TwinOptions {
  at::Device device = at::kCPU;
  ComputeType compute = ComputeType::kF32;
  FakeQuant fake_quant = FakeQuant::kNone;
};

// Rows of tokens. A row may hold several documents, none of which sees another.
struct TwinBatch {
  at::Tensor token_ids;  // [B, T] int64
  at::Tensor positions;  // [B, T] int64: of a token in its document, from 0
  at::Tensor documents;  // [B, T] int64: which document of its row a token belongs to
};

struct TwinParameter {
  RequiredTensor tensor;
  at::Tensor value;  // f32, as a checkpoint stores it
};

// Everything that a ModelSpec can say, by the names of `required_tensors`. Owns its parameters; one
// thread at a time. Throws what libtorch throws: callers stand behind guard_torch.
class Twin {
 public:
  // Parameters from `source`, all of them with gradients.
  static Result<Twin> create(const ModelSpec& spec, const ExportSource& source,
                             const TwinOptions& options);

  // The same values, without a copy of them; what is learned by it is added up apart.
  Twin with_own_gradients() const;

  // [B, T, E] after the final norm.
  at::Tensor hidden(const TwinBatch& batch) const;
  // [..., V] f32 of such states.
  at::Tensor logits(const at::Tensor& states) const;
  // What the routers add to the loss so that experts share the work; of the last hidden(). A
  // scalar, 0 without experts. Fedus, Zoph & Shazeer 2021, arXiv:2101.03961, eq. 4.
  const at::Tensor& balance_loss() const { return balance_loss_; }

  const ModelSpec& spec() const { return spec_; }
  const TwinOptions& options() const { return options_; }
  // Null when the spec has none such.
  const at::Tensor* find(TensorRole role, std::size_t layer, std::size_t expert = 0) const;
  std::vector<TwinParameter>& parameters() { return parameters_; }
  const std::vector<TwinParameter>& parameters() const { return parameters_; }

 private:
  struct Angles {
    at::Tensor cos, sin;  // [B, T, 1, R/2]
  };
  // What all layers share in one forward pass.
  struct Pass {
    std::vector<Angles> angles;               // per rope
    std::map<std::size_t, at::Tensor> masks;  // by window; 0: none. [B, 1, T, T]
  };

  Twin(ModelSpec spec, const TwinOptions& options) : spec_(std::move(spec)), options_(options) {}

  // As the forward pass uses it: with what is added to stored vectors.
  at::Tensor vector(TensorRole role, std::size_t layer) const;
  at::Tensor multiply(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) const;
  // x times the matrix of that role, with the bias of that role where there is one.
  at::Tensor linear(const at::Tensor& x, TensorRole role, TensorRole bias, std::size_t layer) const;
  at::Tensor linear(const at::Tensor& x, TensorRole role, std::size_t layer,
                    std::size_t expert = 0) const;
  at::Tensor norm(const at::Tensor& x, const NormSpec& norm, TensorRole weight,
                  std::size_t layer) const;

  Pass begin_pass(const TwinBatch& batch) const;
  at::Tensor run_layer(const at::Tensor& hidden, const Pass& pass, std::size_t layer) const;
  at::Tensor finish_part(at::Tensor output, const std::optional<NormSpec>& post_norm,
                         TensorRole weight, std::size_t layer) const;

  // twin_attention.cpp
  at::Tensor attention(const at::Tensor& input, const Pass& pass, std::size_t layer) const;
  struct Projected {
    at::Tensor query, key, value;  // [B, T, heads, D]
  };
  Projected project(const at::Tensor& input, std::size_t layer) const;
  Projected project_latents(const at::Tensor& input, std::size_t layer) const;
  at::Tensor leave_latent(const at::Tensor& attended, std::size_t layer) const;
  at::Tensor norm_heads(const at::Tensor& heads, const NormSpec& norm, TensorRole weight,
                        std::size_t layer) const;
  at::Tensor rotate(const at::Tensor& heads, const Pass& pass, std::size_t rope) const;
  at::Tensor attend(const Projected& projected, const Pass& pass, std::size_t layer) const;

  // twin_feed_forward.cpp
  struct Routes {
    at::Tensor experts;  // [N, k] int64
    at::Tensor weights;  // [N, k]
  };
  at::Tensor feed_forward(const at::Tensor& input, std::size_t layer) const;
  at::Tensor experts(const at::Tensor& input, std::size_t layer) const;
  at::Tensor shared_expert(const at::Tensor& rows, std::size_t layer) const;
  Routes route(const at::Tensor& rows, std::size_t layer) const;
  at::Tensor stacked(TensorRole role, std::size_t layer, std::size_t count) const;

  using Key = std::tuple<TensorRole, std::size_t, std::size_t>;

  ModelSpec spec_;
  TwinOptions options_;
  std::vector<TwinParameter> parameters_;
  std::map<Key, std::size_t> index_;
  mutable at::Tensor balance_loss_;
};

// act(gate) * up and the like, as kernels/ops.h defines them.
at::Tensor activate(Activation activation, const at::Tensor& x);

// w rounded to symmetric integers by groups of 32 along its rows, with the gradient of w itself.
at::Tensor fake_quantize(const at::Tensor& weight, FakeQuant kind);

}  // namespace millrace
