// Windows and the sum of surprises.
#include "evaluate/perplexity.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "evaluate/window_runner.h"

namespace millrace {
namespace {

// Sums of the surprises, for mean and spread.
struct Moments {
  std::size_t count = 0;
  double sum = 0.0;
  double sum_squares = 0.0;

  void add(double value) {
    ++count;
    sum += value;
    sum_squares += value * value;
  }
};

}  // namespace

ScoredRange scored_positions(std::size_t window_tokens) {
  return {window_tokens / 2, window_tokens - 1};
}

double negative_log_likelihood(std::span<const float> logits, std::uint32_t id) {
  CHECK(id < logits.size());
  const double largest = double{*std::max_element(logits.begin(), logits.end())};
  double sum = 0.0;
  for (const float logit : logits) sum += std::exp(double{logit} - largest);
  return std::log(sum) + largest - double{logits[id]};
}

Result<PerplexityReport> measure_perplexity(Decoder& decoder, KernelContext& context,
                                            const KvCache& cache,
                                            std::span<const std::uint32_t> ids,
                                            const PerplexityOptions& options,
                                            FunctionRef<void(std::size_t, std::size_t)> progress) {
  TRY(check_windows(decoder, cache, ids, options.window_tokens));
  PerplexityReport report;
  report.num_windows = ids.size() / options.window_tokens;
  Moments moments;
  WindowRunner runner(decoder, context, cache);
  std::vector<std::uint32_t> window(options.window_tokens);
  for (std::size_t i = 0; i < report.num_windows; ++i) {
    const auto part = ids.subspan(i * options.window_tokens, options.window_tokens);
    std::copy(part.begin(), part.end(), window.begin());
    if (options.bos) window.front() = *options.bos;
    runner.run(window, [&](std::size_t position, std::span<const float> logits) {
      moments.add(negative_log_likelihood(logits, window[position + 1]));
    });
    progress(i + 1, report.num_windows);
  }
  const double count = static_cast<double>(moments.count);
  report.num_scored = moments.count;
  report.mean_nll = moments.sum / count;
  const double variance =
      std::max(0.0, moments.sum_squares / count - report.mean_nll * report.mean_nll);
  report.standard_error = std::sqrt(variance / count);
  report.perplexity = std::exp(report.mean_nll);
  return report;
}

}  // namespace millrace
