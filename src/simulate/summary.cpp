// Adds outcomes up.
#include "simulate/summary.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/check.h"
#include "simulate/workload.h"

namespace millrace {
namespace {

double ratio(double part, double whole) {
  return whole > 0 ? part / whole : 0;
}

struct Samples {
  std::vector<double> first_token;
  std::vector<double> per_token;
  std::vector<double> whole;
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
  if (outcome.fate == RequestFate::kUnfinished) ++summary.num_unfinished;
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

}  // namespace

Percentiles percentiles_of(std::vector<double> values) {
  Percentiles result;
  if (values.empty()) return result;
  std::sort(values.begin(), values.end());
  const auto at = [&](double quantile) {
    const double rank = std::ceil(quantile * static_cast<double>(values.size()));
    return values[static_cast<std::size_t>(std::max(1.0, rank)) - 1];
  };
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
  for (std::size_t i = 0; i < samples.size(); ++i) {
    summary.classes[i].name = options.scheduler.classes[i].name;
    set_percentiles(summary.classes[i], std::move(samples[i]));
  }
  summary.all.name = "all";
  set_percentiles(summary.all, std::move(all));
  set_totals(result, summary);
  set_rates(result, summary);
  double num_prompt = 0;
  for (const TraceRequest& request : trace.requests) num_prompt += request.num_prompt;
  const auto reusable = static_cast<double>(reusable_tokens(trace, options.scheduler.block_tokens));
  summary.hit_rate_possible = ratio(reusable, num_prompt);
  return summary;
}

}  // namespace millrace
