// Medians over runs, ratios to simulations, errors over steps.
#include "cli/replay_report.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "report/html.h"
#include "report/table.h"

namespace millrace {
namespace {

struct Figure {
  const char* name;
  Percentiles ClassSummary::*kind;
  double Percentiles::*quantile;
  bool is_median;
};
constexpr std::array<Figure, 4> kFigures = {
    {{"first token p50", &ClassSummary::first_token, &Percentiles::p50, true},
     {"first token p99", &ClassSummary::first_token, &Percentiles::p99, false},
     {"per token p50", &ClassSummary::per_token, &Percentiles::p50, true},
     {"per token p99", &ClassSummary::per_token, &Percentiles::p99, false}}};

// One figure of one class: over the real runs, and of each simulation.
struct Comparison {
  std::string class_name;
  const Figure* figure = nullptr;
  double least = 0;
  double median = 0;
  double most = 0;
  std::vector<double> simulated;
  double own_ratio = 0;  // of each run's simulation by its own steps to that run, the median

  double ratio(std::size_t at) const { return median > 0 ? simulated[at] / median : 0; }
};

const ClassSummary& part_of(const Summary& summary, std::size_t at) {
  return at < summary.classes.size() ? summary.classes[at] : summary.all;
}

std::vector<Comparison> compare(const ReplayReport& report) {
  std::vector<Comparison> all;
  const std::size_t num_parts = report.real.front().classes.size() + 1;
  for (std::size_t part = 0; part < num_parts; ++part) {
    if (part_of(report.real.front(), part).num_requests == 0) continue;
    for (const Figure& figure : kFigures) {
      Comparison one;
      one.class_name = part_of(report.real.front(), part).name;
      one.figure = &figure;
      std::vector<double> values;
      std::vector<double> own_ratios;
      for (std::size_t run = 0; run < report.real.size(); ++run) {
        values.push_back(part_of(report.real[run], part).*figure.kind.*figure.quantile);
        const Summary& by_own = report.simulated_by_own[run];
        const double own = part_of(by_own, part).*figure.kind.*figure.quantile;
        own_ratios.push_back(values.back() > 0 ? own / values.back() : 0);
      }
      std::sort(values.begin(), values.end());
      std::sort(own_ratios.begin(), own_ratios.end());
      one.own_ratio = own_ratios[own_ratios.size() / 2];
      one.least = values.front();
      one.median = values[values.size() / 2];
      one.most = values.back();
      for (const Summary& simulation : report.simulated) {
        one.simulated.push_back(part_of(simulation, part).*figure.kind.*figure.quantile);
      }
      all.push_back(std::move(one));
    }
  }
  return all;
}

std::string ms(double value_seconds) {
  return number_text(value_seconds * 1e3, 4);
}

Table latency_table(const ReplayReport& report) {
  Table table{
      .title = "Latency in ms: the median of " + std::to_string(report.real.size()) +
               " real runs, their spread, and simulations over it",
      .columns = {{"class", Align::kLeft}, {"of", Align::kLeft}, {"real"}, {"least"}, {"most"}},
      .rows = {}};
  for (const StepCost& cost : report.costs) {
    table.columns.push_back({"simulated, " + cost.name});
    table.columns.push_back({"ratio"});
  }
  table.columns.push_back({"ratio by each run's own steps"});
  for (const Comparison& one : compare(report)) {
    std::vector<std::string> row = {one.class_name, one.figure->name, ms(one.median), ms(one.least),
                                    ms(one.most)};
    for (std::size_t i = 0; i < one.simulated.size(); ++i) {
      row.push_back(ms(one.simulated[i]));
      row.push_back(number_text(one.ratio(i), 3));
    }
    row.push_back(number_text(one.own_ratio, 3));
    table.add_row(std::move(row));
  }
  return table;
}

Table error_table(const ReplayReport& report) {
  Table table{.title = "Time of a step, |predicted - measured| / measured in percent",
              .columns = {{"predicted by", Align::kLeft},
                          {"steps"},
                          {"median"},
                          {"p95"},
                          {"sum / measured"}},
              .rows = {}};
  for (const StepErrors& one : step_errors(report)) {
    table.add_row({one.name, std::to_string(one.num_steps), number_text(100 * one.median, 3),
                   number_text(100 * one.p95, 3), one.total > 0 ? number_text(one.total, 3) : "-"});
  }
  return table;
}

StepErrors errors_of(const std::string& name, std::vector<double> errors) {
  StepErrors result{.name = name, .num_steps = errors.size()};
  if (errors.empty()) return result;
  std::sort(errors.begin(), errors.end());
  result.median = at_part(errors, 0.5);
  result.p95 = at_part(errors, 0.95);
  return result;
}

// Of the p50 figures, whose ratio `ratio_of` gives.
template <class RatioOf>
std::size_t num_within(const std::vector<Comparison>& all, RatioOf ratio_of) {
  constexpr double kTarget = 0.15;
  return static_cast<std::size_t>(std::count_if(all.begin(), all.end(), [&](const Comparison& one) {
    return one.figure->is_median && std::abs(ratio_of(one) - 1) <= kTarget;
  }));
}

}  // namespace

void ReplayReport::add_run(const ReplayRun& run, const Trace& trace,
                           const SimulationOptions& options) {
  real.push_back(summarise(run.result, trace, options));
  steps.insert(steps.end(), run.steps.begin(), run.steps.end());
}

std::vector<StepErrors> step_errors(const ReplayReport& report) {
  const auto errors_by = [&](const std::string& name, const auto& predict) {
    std::vector<double> errors;
    double predicted = 0;
    double measured = 0;
    for (const RecordedStep& step : report.steps) {
      const double foretold = predict(step);
      if (foretold <= 0) continue;
      errors.push_back(std::abs(foretold / step.seconds - 1));
      predicted += foretold;
      measured += step.seconds;
    }
    StepErrors result = errors_of(name, std::move(errors));
    result.total = measured > 0 ? predicted / measured : 0;
    return result;
  };
  std::vector<StepErrors> all = {errors_by(
      "the scheduler as it learns", [](const RecordedStep& step) { return step.predicted; })};
  for (const StepCost& cost : report.costs) {
    all.push_back(
        errors_by(cost.name, [&](const RecordedStep& step) { return cost.seconds(step.shape); }));
  }
  all.push_back(errors_of("bench cost-model, its own unseen shapes", report.shape_errors));
  return all;
}

std::string replay_text(const ReplayReport& report) {
  std::string text = std::to_string(report.num_requests) + " requests, " +
                     number_text(report.rate, 3) + " per second (" + number_text(report.load, 3) +
                     " of what the machine can do), lengths x " +
                     number_text(report.length_scale, 3) + ", " +
                     std::to_string(report.num_threads) + " threads\n";
  for (const StepCost& cost : report.costs) {
    text += cost.name + ": " + cost_text(cost.roofs.front().cost) + "; host " +
            cost_text(cost.host) + "\n";
  }
  text += "\n" + table_text(latency_table(report)) + "\n" + table_text(error_table(report)) + "\n";
  const std::vector<Comparison> all = compare(report);
  const auto num_medians = std::count_if(
      all.begin(), all.end(), [](const Comparison& one) { return one.figure->is_median; });
  const std::string of_medians = " of " + std::to_string(num_medians) + " medians within 15 %\n";
  for (std::size_t i = 0; i < report.costs.size(); ++i) {
    const std::size_t within = num_within(all, [i](const Comparison& one) { return one.ratio(i); });
    text += report.costs[i].name + ": " + std::to_string(within) + of_medians;
  }
  const std::size_t within = num_within(all, [](const Comparison& one) { return one.own_ratio; });
  return text + "each run by its own steps: " + std::to_string(within) + of_medians;
}

std::string steps_csv(const std::vector<RecordedStep>& steps) {
  std::string text = "tokens,sequences,kv_tokens,attended,sampled,seconds,predicted\n";
  for (const RecordedStep& step : steps) {
    for (const std::uint64_t count :
         {step.shape.num_tokens, step.shape.num_sequences, step.shape.num_kv_tokens,
          step.shape.num_attended, step.shape.num_sampled}) {
      text += std::to_string(count) + ",";
    }
    text += number_text(step.seconds) + "," + number_text(step.predicted) + "\n";
  }
  return text;
}

OrderedJson replay_json(const ReplayReport& report) {
  OrderedJson object = {{"bench", "replay"},
                        {"requests", report.num_requests},
                        {"requests_per_second", report.rate},
                        {"load", report.load},
                        {"length_scale", report.length_scale},
                        {"threads", report.num_threads},
                        {"runs", report.real.size()},
                        {"costs", OrderedJson::array()},
                        {"latency_seconds", OrderedJson::array()},
                        {"step_errors", OrderedJson::array()}};
  for (const StepCost& cost : report.costs) object["costs"].push_back(step_cost_json(cost));
  for (const Comparison& one : compare(report)) {
    OrderedJson row = {
        {"class", one.class_name},       {"of", one.figure->name}, {"real", one.median},
        {"real_least", one.least},       {"real_most", one.most},  {"simulated", one.simulated},
        {"ratios", OrderedJson::array()}};
    for (std::size_t i = 0; i < one.simulated.size(); ++i) row["ratios"].push_back(one.ratio(i));
    row["ratio_by_own_steps"] = one.own_ratio;
    object["latency_seconds"].push_back(std::move(row));
  }
  for (const StepErrors& one : step_errors(report)) {
    object["step_errors"].push_back({{"predicted_by", one.name},
                                     {"steps", one.num_steps},
                                     {"median", one.median},
                                     {"p95", one.p95},
                                     {"sum_over_measured", one.total}});
  }
  return object;
}

}  // namespace millrace
