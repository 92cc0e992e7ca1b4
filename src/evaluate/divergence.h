// How far a model's predictions are from another's: what a format of weights or cache costs.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "evaluate/perplexity.h"

namespace millrace {

// The distributions of a reference over one text: what candidates are held against.
//
// Kept as log-probabilities in f32, [scored, V].
class ReferencePredictions {
 public:
  // Scored positions are perplexity.h's. `bytes_max` bounds what is kept; kTooLarge names both
  // sizes.
  static Result<ReferencePredictions> measure(Decoder& decoder, KernelContext& context,
                                              const KvCache& cache,
                                              std::span<const std::uint32_t> ids,
                                              const PerplexityOptions& options,
                                              std::uint64_t bytes_max);

  std::size_t num_scored() const { return next_ids_.size(); }
  std::span<const float> log_probabilities(std::size_t row) const {
    return std::span(log_probabilities_).subspan(row * vocabulary_, vocabulary_);
  }
  std::uint32_t next_id(std::size_t row) const { return next_ids_[row]; }
  const PerplexityOptions& options() const { return options_; }
  std::size_t vocabulary() const { return vocabulary_; }

 private:
  ReferencePredictions() = default;

  PerplexityOptions options_;
  std::size_t vocabulary_ = 0;
  std::vector<float> log_probabilities_;
  std::vector<std::uint32_t> next_ids_;
};

// Of a candidate, over the reference's text. Nats.
struct DivergenceReport {
  std::size_t num_scored = 0;
  double mean_kl = 0.0;            // KL(reference || candidate)
  double kl_standard_error = 0.0;  // tokens taken as independent
  double kl_p99 = 0.0;
  double top1_agreement = 0.0;  // share of positions whose likeliest token is the same
  double perplexity = 0.0;
  double reference_perplexity = 0.0;
};

// KL(p || q) of log-probabilities and logits, in double. Tokens that the reference rules out
// (probability 0 in f32) add nothing.
double kl_divergence(std::span<const float> reference_log_probabilities,
                     std::span<const float> logits);

// The same ids through another model with the same vocabulary (else kInvalidArgument).
Result<DivergenceReport> measure_divergence(const ReferencePredictions& reference, Decoder& decoder,
                                            KernelContext& context, const KvCache& cache,
                                            std::span<const std::uint32_t> ids);

}  // namespace millrace
