// A summary as tables, as JSON, and with plots on a page.
#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <utility>

#include "report/html.h"
#include "simulate/summary.h"

namespace millrace {
namespace {

std::string time_text(double value_seconds) {
  if (value_seconds >= 1) return number_text(value_seconds, 4) + " s";
  return number_text(value_seconds * 1e3, 3) + " ms";
}

std::string percent(double part) {
  return number_text(std::round(part * 1000) / 10, 4) + " %";
}

// Whole numbers where the fraction says nothing.
std::string rate_text(double value) {
  return number_text(value >= 100 ? std::round(value) : value, value >= 100 ? 15 : 4);
}

OrderedJson percentiles_json(const Percentiles& values) {
  return {{"mean", values.mean}, {"p50", values.p50}, {"p90", values.p90},
          {"p95", values.p95},   {"p99", values.p99}, {"max", values.max}};
}

OrderedJson spread_json(const Spread& values) {
  return {{"count", values.count},
          {"p10", values.p10},
          {"p50", values.p50},
          {"p90", values.p90},
          {"within_twice", values.within_twice}};
}

OrderedJson class_json(const ClassSummary& summary) {
  return {{"class", summary.name},
          {"requests", summary.num_requests},
          {"finished", summary.num_finished},
          {"too_large", summary.num_too_large},
          {"queue_full", summary.num_queue_full},
          {"wait_too_long", summary.num_wait_too_long},
          {"expired", summary.num_expired},
          {"unfinished", summary.num_unfinished},
          {"within_targets", summary.num_good},
          {"first_token_seconds", percentiles_json(summary.first_token)},
          {"per_token_seconds", percentiles_json(summary.per_token)},
          {"whole_seconds", percentiles_json(summary.whole)},
          {"wait_foretold_over_measured", spread_json(summary.wait_foretold)},
          {"retry_after_over_measured", spread_json(summary.retry_foretold)},
          {"work_part", summary.work_part},
          {"work_part_while_all_backlogged", summary.work_part_backlogged}};
}

void add_latency_rows(const ClassSummary& summary, Table& table) {
  const std::array<std::pair<const char*, const Percentiles*>, 3> kinds = {
      {{"first token", &summary.first_token},
       {"per token", &summary.per_token},
       {"whole request", &summary.whole}}};
  for (const auto& [kind, values] : kinds) {
    table.add_row({summary.name, kind, std::to_string(values->count), time_text(values->p50),
                   time_text(values->p90), time_text(values->p95), time_text(values->p99),
                   time_text(values->max)});
  }
}

Table class_table(const Summary& summary) {
  Table table{.title = "Requests by class",
              .columns = {{"class", Align::kLeft},
                          {"requests"},
                          {"finished"},
                          {"too large"},
                          {"queue full"},
                          {"wait too long"},
                          {"expired"},
                          {"in target"},
                          {"work"},
                          {"work, all backlogged"}},
              .rows = {}};
  std::vector<const ClassSummary*> all;
  for (const ClassSummary& one : summary.classes) all.push_back(&one);
  all.push_back(&summary.all);
  for (const ClassSummary* one : all) {
    const double good = one->num_requests == 0 ? 0
                                               : static_cast<double>(one->num_good) /
                                                     static_cast<double>(one->num_requests);
    table.add_row({one->name, std::to_string(one->num_requests), std::to_string(one->num_finished),
                   std::to_string(one->num_too_large), std::to_string(one->num_queue_full),
                   std::to_string(one->num_wait_too_long), std::to_string(one->num_expired),
                   percent(good), percent(one->work_part), percent(one->work_part_backlogged)});
  }
  return table;
}

// How well waits and times to come back were foretold, for those classes that had any.
Table foretold_table(const Summary& summary) {
  Table table{.title = "Foretold over measured, of a second or more",
              .columns = {{"class", Align::kLeft},
                          {"of", Align::kLeft},
                          {"count"},
                          {"p10"},
                          {"p50"},
                          {"p90"},
                          {"within twice"}},
              .rows = {}};
  const auto add = [&](const std::string& name, const char* what, const Spread& values) {
    if (values.count == 0) return;
    table.add_row({name, what, std::to_string(values.count), number_text(values.p10, 3),
                   number_text(values.p50, 3), number_text(values.p90, 3),
                   percent(values.within_twice)});
  };
  for (const ClassSummary& one : summary.classes) {
    add(one.name, "wait to start", one.wait_foretold);
    add(one.name, "come back when half has started", one.retry_foretold);
  }
  return table;
}

Table controller_table(const Summary& summary) {
  Table table{.title = "Share controller",
              .columns = {{"class", Align::kLeft},
                          {"configured"},
                          {"least"},
                          {"mean"},
                          {"most"},
                          {"got, late"},
                          {"got, queue"},
                          {"got, calm"},
                          {"gave"}},
              .rows = {}};
  for (std::size_t i = 0; i < summary.shares.size(); ++i) {
    const Summary::ControlledShare& one = summary.shares[i];
    table.add_row({summary.classes[i].name, percent(one.configured), percent(one.part_min),
                   percent(one.part_mean), percent(one.part_max),
                   std::to_string(one.num_received[0]), std::to_string(one.num_received[1]),
                   std::to_string(one.num_received[2]), std::to_string(one.num_given)});
  }
  return table;
}

Table machine_table(const Summary& summary) {
  Table table{.title = "Machine", .columns = {{"figure", Align::kLeft}, {"value"}}, .rows = {}};
  const auto add = [&](const char* name, std::string value) {
    table.add_row({name, std::move(value)});
  };
  add("replicas", std::to_string(summary.num_replicas));
  add("simulated time", time_text(summary.end_seconds));
  add("last arrival", time_text(summary.last_arrival_seconds));
  add("busy", percent(summary.busy_fraction));
  add("busy while requests came", percent(summary.busy_fraction_arriving));
  add("steps", std::to_string(summary.num_steps));
  add("sequences per step", number_text(summary.sequences_per_step, 4));
  add("tokens per step", number_text(summary.tokens_per_step, 4));
  add("cache held by sequences", percent(summary.cache_fraction));
  add("preemptions", std::to_string(summary.num_preemptions));
  add("requests per second", rate_text(summary.requests_per_second));
  add("requests in target per second", rate_text(summary.good_requests_per_second));
  add("prompt tokens per second", rate_text(summary.prompt_tokens_per_second));
  add("output tokens per second", rate_text(summary.output_tokens_per_second));
  add("work per second", rate_text(summary.work_per_second));
  add("work per second while requests came", rate_text(summary.work_per_second_arriving));
  add("time with all classes backlogged", time_text(summary.seconds_backlogged));
  add("prompt tokens found in the cache", percent(summary.hit_rate));
  add("best possible for this trace", percent(summary.hit_rate_possible));
  return table;
}

// Which part of the requests had a value of at most x.
PlotSeries distribution(const std::string& name, std::vector<double> values) {
  std::sort(values.begin(), values.end());
  PlotSeries series{.name = name, .points = {}};
  for (std::size_t i = 0; i < values.size(); ++i) {
    series.points.push_back(
        {values[i], static_cast<double>(i + 1) / static_cast<double>(values.size())});
  }
  return series;
}

std::vector<double> first_token_seconds(const SimulationResult& result, std::size_t class_index) {
  std::vector<double> values;
  for (const RequestOutcome& outcome : result.outcomes) {
    if (outcome.fate != RequestFate::kFinished || outcome.class_index != class_index) continue;
    values.push_back(seconds(outcome.first_token - outcome.arrival));
  }
  return values;
}

template <class Value>
PlotSeries over_time(const std::string& name, const Timeline& timeline, Value value) {
  PlotSeries series{.name = name, .points = {}};
  double time = 0;
  for (const Timeline::Span& span : timeline.spans()) {
    series.points.push_back({time, value(span)});
    time += seconds(timeline.span());
  }
  return series;
}

double per_step(double sum, const Timeline::Span& span) {
  return span.num_steps == 0 ? 0 : sum / static_cast<double>(span.num_steps);
}

void add_plots(HtmlPage& page, const SimulationResult& result, const Summary& summary) {
  LinePlot first{.title = "Time to first token",
                 .x_label = "log10 of seconds",
                 .y_label = "part of the requests",
                 .lines = Lines::kSteps,
                 .series = {}};
  LinePlot work{.title = "Work of each class",
                .x_label = "simulated seconds",
                .y_label = "work per second",
                .lines = Lines::kSteps,
                .series = {}};
  const double span_seconds = seconds(result.timeline.span());
  for (std::size_t i = 0; i < summary.classes.size(); ++i) {
    const std::string& name = summary.classes[i].name;
    std::vector<double> values = first_token_seconds(result, i);
    for (double& value : values) value = std::log10(std::max(value, 1e-6));
    first.series.push_back(distribution(name, std::move(values)));
    work.series.push_back(over_time(name, result.timeline, [&](const Timeline::Span& span) {
      return span.work[i] / span_seconds;
    }));
  }
  page.add_plot(first);
  page.add_plot(work);
  const double replicas = static_cast<double>(result.num_replicas);
  page.add_plot(
      LinePlot{.title = "Machine",
               .x_label = "simulated seconds",
               .y_label = "part",
               .lines = Lines::kSteps,
               .series = {over_time("busy", result.timeline,
                                    [&](const Timeline::Span& span) {
                                      return span.busy_seconds / span_seconds / replicas;
                                    }),
                          over_time("cache held", result.timeline, [](const Timeline::Span& span) {
                            return per_step(span.cache_fraction, span);
                          })}});
  page.add_plot(
      LinePlot{.title = "Requests that wait, per replica",
               .x_label = "simulated seconds",
               .y_label = "requests",
               .lines = Lines::kSteps,
               .series = {over_time("waiting", result.timeline, [](const Timeline::Span& span) {
                 const auto sum = static_cast<double>(span.num_waiting);
                 return per_step(sum, span);
               })}});
}

}  // namespace

OrderedJson summary_json(const Summary& summary) {
  OrderedJson object = {
      {"replicas", summary.num_replicas},
      {"end_seconds", summary.end_seconds},
      {"last_arrival_seconds", summary.last_arrival_seconds},
      {"busy_fraction", summary.busy_fraction},
      {"busy_fraction_arriving", summary.busy_fraction_arriving},
      {"steps", summary.num_steps},
      {"sequences_per_step", summary.sequences_per_step},
      {"tokens_per_step", summary.tokens_per_step},
      {"cache_fraction", summary.cache_fraction},
      {"preemptions", summary.num_preemptions},
      {"requests_per_second", summary.requests_per_second},
      {"requests_within_targets_per_second", summary.good_requests_per_second},
      {"prompt_tokens_per_second", summary.prompt_tokens_per_second},
      {"output_tokens_per_second", summary.output_tokens_per_second},
      {"work_per_second", summary.work_per_second},
      {"work_per_second_arriving", summary.work_per_second_arriving},
      {"seconds_all_backlogged", summary.seconds_backlogged},
      {"hit_rate", summary.hit_rate},
      {"hit_rate_possible", summary.hit_rate_possible},
      {"all", class_json(summary.all)},
      {"classes", OrderedJson::array()},
  };
  for (const ClassSummary& one : summary.classes) object["classes"].push_back(class_json(one));
  if (summary.shares.empty()) return object;
  object["controller"] = {{"shares", OrderedJson::array()}, {"first_decisions", summary.decisions}};
  for (std::size_t i = 0; i < summary.shares.size(); ++i) {
    const Summary::ControlledShare& one = summary.shares[i];
    object["controller"]["shares"].push_back({{"class", summary.classes[i].name},
                                              {"configured", one.configured},
                                              {"least", one.part_min},
                                              {"mean", one.part_mean},
                                              {"most", one.part_max},
                                              {"received_late", one.num_received[0]},
                                              {"received_queue", one.num_received[1]},
                                              {"received_calm", one.num_received[2]},
                                              {"given", one.num_given}});
  }
  return object;
}

std::vector<Table> summary_tables(const Summary& summary) {
  Table latency{.title = "Latency by class",
                .columns = {{"class", Align::kLeft},
                            {"of", Align::kLeft},
                            {"requests"},
                            {"p50"},
                            {"p90"},
                            {"p95"},
                            {"p99"},
                            {"max"}},
                .rows = {}};
  for (const ClassSummary& one : summary.classes) add_latency_rows(one, latency);
  if (summary.classes.size() > 1) add_latency_rows(summary.all, latency);
  std::vector<Table> tables = {std::move(latency), class_table(summary)};
  Table foretold = foretold_table(summary);
  if (!foretold.rows.empty()) tables.push_back(std::move(foretold));
  if (!summary.shares.empty()) tables.push_back(controller_table(summary));
  tables.push_back(machine_table(summary));
  return tables;
}

void add_to_page(HtmlPage& page, const SimulationResult& result, const Summary& summary) {
  for (const Table& table : summary_tables(summary)) page.add_table(table);
  add_plots(page, result, summary);
  if (summary.shares.empty()) return;
  LinePlot shares{.title = "Share of each class",
                  .x_label = "simulated seconds",
                  .y_label = "part",
                  .lines = Lines::kSteps,
                  .series = {}};
  for (std::size_t i = 0; i < summary.shares.size(); ++i) {
    shares.series.push_back(
        over_time(summary.classes[i].name, result.timeline,
                  [i](const Timeline::Span& span) { return per_step(span.share[i], span); }));
  }
  page.add_plot(shares);
  for (const std::string& decision : summary.decisions) page.add_paragraph(decision);
}

}  // namespace millrace
