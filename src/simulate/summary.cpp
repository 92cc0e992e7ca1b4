// Adds outcomes up.
#include "simulate/summary.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/check.h"
#include "report/html.h"
#include "simulate/workload.h"

namespace millrace {
namespace {

double ratio(double part, double whole) {
  return whole > 0 ? part / whole : 0;
}

// By nearest rank; at least one value.
double at_quantile(const std::vector<double>& rising, double quantile) {
  const double rank = std::ceil(quantile * static_cast<double>(rising.size()));
  return rising[static_cast<std::size_t>(std::max(1.0, rank)) - 1];
}

constexpr Duration kForetoldMin = std::chrono::seconds(1);
constexpr double kWaitedMin = 1e-3;  // so that a ratio is a number
constexpr std::size_t kDecisionsShown = 20;

struct Samples {
  std::vector<double> first_token;
  std::vector<double> per_token;
  std::vector<double> whole;
  std::vector<double> wait_foretold;
  std::vector<double> retry_foretold;
};

bool is_good(const RequestOutcome& outcome, double per_token, const ServiceClass& target) {
  const bool in_time = outcome.first_token - outcome.arrival <= target.first_token_target;
  return in_time && (!target.token_target || per_token <= seconds(*target.token_target));
}

void add_outcome(const RequestOutcome& outcome, const ServiceClass& target, ClassSummary& summary,
                 Samples& samples) {
  ++summary.num_requests;
  if (outcome.fate == RequestFate::kTooLarge) ++summary.num_too_large;
  if (outcome.fate == RequestFate::kQueueFull) ++summary.num_queue_full;
  if (outcome.fate == RequestFate::kWaitTooLong) ++summary.num_wait_too_long;
  if (outcome.fate == RequestFate::kExpired) ++summary.num_expired;
  if (outcome.fate == RequestFate::kUnfinished) ++summary.num_unfinished;
  if (outcome.has_started && outcome.foretold >= kForetoldMin) {
    const double waited = seconds(outcome.started - outcome.arrival);
    samples.wait_foretold.push_back(seconds(outcome.foretold) / std::max(waited, kWaitedMin));
  }
  if (outcome.fate != RequestFate::kFinished) return;
  ++summary.num_finished;
  samples.first_token.push_back(seconds(outcome.first_token - outcome.arrival));
  samples.whole.push_back(seconds(outcome.end - outcome.arrival));
  double per_token = 0;
  if (outcome.num_output > 1) {
    per_token = seconds(outcome.end - outcome.first_token) / (outcome.num_output - 1);
    samples.per_token.push_back(per_token);
  }
  if (is_good(outcome, per_token, target)) ++summary.num_good;
}

void set_percentiles(ClassSummary& summary, Samples samples) {
  summary.first_token = percentiles_of(std::move(samples.first_token));
  summary.per_token = percentiles_of(std::move(samples.per_token));
  summary.whole = percentiles_of(std::move(samples.whole));
  summary.wait_foretold = spread_of(std::move(samples.wait_foretold));
  summary.retry_foretold = spread_of(std::move(samples.retry_foretold));
}

void set_rates(const SimulationResult& result, Summary& summary) {
  double num_prompt = 0;
  double num_output = 0;
  double num_cached = 0;
  double num_started_prompt = 0;
  for (const RequestOutcome& outcome : result.outcomes) {
    if (outcome.has_started) {
      num_cached += outcome.num_cached;
      num_started_prompt += outcome.num_prompt;
    }
    if (outcome.fate != RequestFate::kFinished) continue;
    num_prompt += outcome.num_prompt;
    num_output += outcome.num_output;
  }
  const double end = summary.end_seconds;
  summary.prompt_tokens_per_second = ratio(num_prompt, end);
  summary.output_tokens_per_second = ratio(num_output, end);
  summary.requests_per_second = ratio(static_cast<double>(summary.all.num_finished), end);
  summary.good_requests_per_second = ratio(static_cast<double>(summary.all.num_good), end);
  summary.hit_rate = ratio(num_cached, num_started_prompt);
}

void set_totals(const SimulationResult& result, Summary& summary) {
  const RunTotals& totals = result.totals;
  const auto sum = [](const auto& values) {
    return std::accumulate(values.begin(), values.end(), 0.0);
  };
  const double replicas = static_cast<double>(result.num_replicas);
  const double steps = static_cast<double>(totals.num_steps);
  summary.num_replicas = static_cast<std::uint32_t>(result.num_replicas);
  summary.end_seconds = seconds(totals.end);
  summary.last_arrival_seconds = seconds(totals.last_arrival);
  summary.busy_fraction = ratio(totals.busy_seconds, summary.end_seconds * replicas);
  summary.busy_fraction_arriving =
      ratio(totals.busy_seconds_arriving, summary.last_arrival_seconds * replicas);
  summary.work_per_second = ratio(sum(totals.work), summary.end_seconds);
  summary.work_per_second_arriving = ratio(sum(totals.work_arriving), summary.last_arrival_seconds);
  summary.seconds_backlogged = totals.seconds_backlogged;
  summary.num_steps = totals.num_steps;
  summary.num_preemptions = totals.num_preemptions;
  summary.sequences_per_step = ratio(static_cast<double>(totals.num_sequences), steps);
  summary.tokens_per_step = ratio(static_cast<double>(totals.num_tokens), steps);
  double cache = 0;
  for (const Timeline::Span& span : result.timeline.spans()) cache += span.cache_fraction;
  summary.cache_fraction = ratio(cache, steps);
  for (std::size_t i = 0; i < summary.classes.size(); ++i) {
    summary.classes[i].work_part = ratio(totals.work[i], sum(totals.work));
    summary.classes[i].work_part_backlogged =
        ratio(totals.work_backlogged[i], sum(totals.work_backlogged));
  }
  summary.all.work_part = sum(totals.work) > 0 ? 1 : 0;
  summary.all.work_part_backlogged = sum(totals.work_backlogged) > 0 ? 1 : 0;
}

void set_shares(const SimulationResult& result, const SimulationOptions& options,
                Summary& summary) {
  if (options.policy != Policy::kControlled) return;
  const std::vector<ServiceClass>& classes = options.scheduler.classes;
  const std::vector<double> configured = share_parts(classes);
  for (std::size_t i = 0; i < classes.size(); ++i) {
    const ShareLog::OfClass& log = result.shares.classes[i];
    summary.shares.push_back({.num_received = log.num_received,
                              .num_given = log.num_given,
                              .configured = configured[i],
                              .part_min = std::min(log.part_min, log.part_max),
                              .part_mean = ratio(log.part_seconds, result.totals.busy_seconds),
                              .part_max = log.part_max});
  }
  for (const ShareDecision& decision : result.shares.decisions) {
    if (summary.decisions.size() == kDecisionsShown) break;
    const double at = seconds(decision.at.time_since_epoch());
    summary.decisions.push_back("at " + number_text(at, 4) + " s " + describe(decision, classes));
  }
}

}  // namespace

Spread spread_of(std::vector<double> values) {
  Spread result;
  if (values.empty()) return result;
  std::sort(values.begin(), values.end());
  result.count = values.size();
  result.p10 = at_quantile(values, 0.10);
  result.p50 = at_quantile(values, 0.50);
  result.p90 = at_quantile(values, 0.90);
  const auto num_within = std::count_if(values.begin(), values.end(),
                                        [](double value) { return value >= 0.5 && value <= 2; });
  result.within_twice = ratio(static_cast<double>(num_within), static_cast<double>(values.size()));
  return result;
}

Percentiles percentiles_of(std::vector<double> values) {
  Percentiles result;
  if (values.empty()) return result;
  std::sort(values.begin(), values.end());
  const auto at = [&](double quantile) { return at_quantile(values, quantile); };
  result.count = values.size();
  result.mean =
      std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
  result.p50 = at(0.50);
  result.p90 = at(0.90);
  result.p95 = at(0.95);
  result.p99 = at(0.99);
  result.max = values.back();
  return result;
}

Summary summarise(const SimulationResult& result, const Trace& trace,
                  const SimulationOptions& options) {
  CHECK(result.outcomes.size() == trace.requests.size());
  Summary summary;
  summary.classes.resize(options.scheduler.classes.size());
  std::vector<Samples> samples(options.scheduler.classes.size());
  Samples all;
  for (const RequestOutcome& outcome : result.outcomes) {
    const ServiceClass& target = options.scheduler.classes[outcome.class_index];
    add_outcome(outcome, target, summary.classes[outcome.class_index],
                samples[outcome.class_index]);
    add_outcome(outcome, target, summary.all, all);
  }
  for (const Refusal& refusal : result.refusals) {
    const bool is_between =
        refusal.retry_after > kRetryAfterMin && refusal.retry_after < kRetryAfterMax;
    if (!is_between || !refusal.half_started) continue;
    const double came = std::max(seconds(*refusal.half_started), kWaitedMin);
    const double foretold = seconds(refusal.retry_after) / came;
    samples[result.outcomes[refusal.number].class_index].retry_foretold.push_back(foretold);
    all.retry_foretold.push_back(foretold);
  }
  for (std::size_t i = 0; i < samples.size(); ++i) {
    summary.classes[i].name = options.scheduler.classes[i].name;
    set_percentiles(summary.classes[i], std::move(samples[i]));
  }
  summary.all.name = "all";
  set_percentiles(summary.all, std::move(all));
  set_totals(result, summary);
  set_rates(result, summary);
  set_shares(result, options, summary);
  double num_prompt = 0;
  for (const TraceRequest& request : trace.requests) num_prompt += request.num_prompt;
  const auto reusable = static_cast<double>(reusable_tokens(trace, options.scheduler.block_tokens));
  summary.hit_rate_possible = ratio(reusable, num_prompt);
  return summary;
}

}  // namespace millrace
