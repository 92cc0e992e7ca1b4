// Two models over one text, position by position.
#include "evaluate/divergence.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "base/checked.h"
#include "evaluate/window_runner.h"

namespace millrace {
namespace {

// log sum exp, in double.
double log_normaliser(std::span<const float> logits) {
  const double largest = double{*std::max_element(logits.begin(), logits.end())};
  double sum = 0.0;
  for (const float logit : logits) sum += std::exp(double{logit} - largest);
  return std::log(sum) + largest;
}

std::size_t likeliest(std::span<const float> values) {
  return static_cast<std::size_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

// All windows of a text; `visit` as WindowRunner's, with the id that follows.
void run_windows(WindowRunner& runner, std::span<const std::uint32_t> ids,
                 const PerplexityOptions& options,
                 FunctionRef<void(std::span<const float> logits, std::uint32_t next)> visit) {
  std::vector<std::uint32_t> window(options.window_tokens);
  for (std::size_t i = 0; i + window.size() <= ids.size(); i += window.size()) {
    std::copy_n(ids.begin() + static_cast<std::ptrdiff_t>(i), window.size(), window.begin());
    if (options.bos) window.front() = *options.bos;
    runner.run(window, [&](std::size_t position, std::span<const float> logits) {
      visit(logits, window[position + 1]);
    });
  }
}

}  // namespace

Result<ReferencePredictions> ReferencePredictions::measure(Decoder& decoder, KernelContext& context,
                                                           const KvCache& cache,
                                                           std::span<const std::uint32_t> ids,
                                                           const PerplexityOptions& options,
                                                           std::uint64_t bytes_max) {
  TRY(check_windows(decoder, cache, ids, options.window_tokens));
  const ScoredRange scored = scored_positions(options.window_tokens);
  const std::uint64_t num_scored =
      ids.size() / options.window_tokens * (scored.last - scored.first);
  ReferencePredictions reference;
  reference.options_ = options;
  reference.vocabulary_ = decoder.spec().vocabulary;
  const std::uint64_t num_bytes = num_scored * reference.vocabulary_ * sizeof(float);
  if (num_bytes > bytes_max) {
    return Error{ErrorCode::kTooLarge, "the predictions of " + std::to_string(num_scored) +
                                           " tokens take " + std::to_string(num_bytes) +
                                           " bytes, at most " + std::to_string(bytes_max) +
                                           " are kept: take less of the text"};
  }
  reference.log_probabilities_.reserve(num_scored * reference.vocabulary_);
  WindowRunner runner(decoder, context, cache);
  run_windows(runner, ids, options, [&](std::span<const float> logits, std::uint32_t next) {
    const double normaliser = log_normaliser(logits);
    for (const float logit : logits) {
      reference.log_probabilities_.push_back(static_cast<float>(double{logit} - normaliser));
    }
    reference.next_ids_.push_back(next);
  });
  return reference;
}

double kl_divergence(std::span<const float> reference_log_probabilities,
                     std::span<const float> logits) {
  CHECK(reference_log_probabilities.size() == logits.size());
  const double normaliser = log_normaliser(logits);
  double sum = 0.0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const double log_p = double{reference_log_probabilities[i]};
    const double p = std::exp(log_p);
    if (p > 0.0) sum += p * (log_p - (double{logits[i]} - normaliser));
  }
  return sum;
}

Result<DivergenceReport> measure_divergence(const ReferencePredictions& reference, Decoder& decoder,
                                            KernelContext& context, const KvCache& cache,
                                            std::span<const std::uint32_t> ids) {
  TRY(check_windows(decoder, cache, ids, reference.options().window_tokens));
  if (decoder.spec().vocabulary != reference.vocabulary()) {
    return Error{ErrorCode::kInvalidArgument,
                 "a vocabulary of " + std::to_string(decoder.spec().vocabulary) +
                     " cannot be held against one of " + std::to_string(reference.vocabulary())};
  }
  std::vector<double> divergences;
  double nll = 0.0;
  double reference_nll = 0.0;
  std::size_t num_agreeing = 0;
  WindowRunner runner(decoder, context, cache);
  run_windows(runner, ids, reference.options(),
              [&](std::span<const float> logits, std::uint32_t next) {
                const std::size_t row = divergences.size();
                CHECK(row < reference.num_scored());
                CHECK(next == reference.next_id(row));  // The same text.
                const std::span<const float> log_p = reference.log_probabilities(row);
                divergences.push_back(kl_divergence(log_p, logits));
                num_agreeing += likeliest(log_p) == likeliest(logits) ? 1 : 0;
                nll += negative_log_likelihood(logits, next);
                reference_nll -= double{log_p[next]};
              });
  const double count = static_cast<double>(divergences.size());
  DivergenceReport report;
  report.num_scored = divergences.size();
  double sum = 0.0;
  double sum_squares = 0.0;
  for (const double divergence : divergences) {
    sum += divergence;
    sum_squares += divergence * divergence;
  }
  report.mean_kl = sum / count;
  report.kl_standard_error =
      std::sqrt(std::max(0.0, sum_squares / count - report.mean_kl * report.mean_kl) / count);
  std::sort(divergences.begin(), divergences.end());
  report.kl_p99 = divergences[divergences.size() * 99 / 100];
  report.top1_agreement = static_cast<double>(num_agreeing) / count;
  report.perplexity = std::exp(nll / count);
  report.reference_perplexity = std::exp(reference_nll / count);
  return report;
}

}  // namespace millrace
