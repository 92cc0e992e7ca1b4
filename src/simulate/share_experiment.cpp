// Runs the cases one after the other and sets them beside first come, first served.
#include "simulate/share_experiment.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/check.h"
#include "report/html.h"
#include "simulate/workload.h"

namespace millrace {
namespace {

Result<Trace> at_rate(const Trace& trace, double rate) {
  WorkloadSpec spec;
  spec.arrivals.rate = rate;
  return make_workload(spec, trace);
}

Status run_policies(const Trace& trace, const SimulationOptions& options, ShareCase one,
                    ShareExperiment& experiment) {
  for (const Policy policy : kPolicies) {
    SimulationOptions with = options;
    with.policy = policy;
    const SimulationResult result = TRY(simulate(trace, with));
    one.policy = policy;
    one.summary = summarise(result, trace, with);
    experiment.cases.push_back(one);
  }
  return Ok{};
}

const ShareCase* same_case(const ShareExperiment& experiment, const ShareCase& one, Policy policy) {
  for (const ShareCase& other : experiment.cases) {
    const bool is_same = other.scenario == one.scenario && other.load == one.load;
    if (is_same && other.policy == policy) return &other;
  }
  return nullptr;
}

double work_beside(const ShareExperiment& experiment, const ShareCase& one, Policy policy) {
  const ShareCase* other = same_case(experiment, one, policy);
  if (other == nullptr || other->summary.work_per_second_arriving <= 0) return 0;
  return one.summary.work_per_second_arriving / other->summary.work_per_second_arriving;
}

double output_work_of(const TraceRequest& request) {
  return static_cast<double>(request.num_output) * kOutputTokenWork;
}

double work_of(const TraceRequest& request) {
  return static_cast<double>(request.num_prompt) * kPromptTokenWork + output_work_of(request);
}

void add_fluid(const Trace& trace, const SimulationOptions& options, double load,
               ShareExperiment& experiment) {
  const std::vector<ServiceClass>& classes = options.scheduler.classes;
  const std::vector<double> parts = share_parts(classes);
  std::vector<double> asked(classes.size(), 0.0);
  double work = 0;
  for (const TraceRequest& request : trace.requests) {
    asked[request.class_index] += work_of(request);
    work += work_of(request);
  }
  const double machine = experiment.capacity * work / static_cast<double>(trace.requests.size());
  const double whole = machine * seconds(trace.requests.back().arrival);
  for (std::size_t i = 0; i < classes.size(); ++i) {
    const auto waits_for = [&](std::size_t num_left) {
      return fluid_waits(trace, static_cast<std::uint32_t>(i), parts[i] * machine, num_left);
    };
    const Percentiles waits = waits_for(0);
    experiment.fluid.push_back({.class_name = classes[i].name,
                                .load = load,
                                .asked_part = whole > 0 ? asked[i] / whole : 0,
                                .share_part = parts[i],
                                .p50 = waits.p50,
                                .p99 = waits.p99,
                                .least_p99 = waits_for(options.scheduler.num_sequences_max).p99});
  }
}

std::string seconds_text(double value) {
  return number_text(value, 3);
}
std::string percent_text(double part) {
  return number_text(std::round(1000 * part) / 10, 4);
}

double good_part(const ClassSummary& one) {
  return one.num_requests == 0
             ? 0
             : static_cast<double>(one.num_good) / static_cast<double>(one.num_requests);
}

}  // namespace

Result<double> measure_capacity(const Trace& trace, const SimulationOptions& options) {
  WorkloadSpec spec;
  spec.arrivals.kind = ArrivalKind::kAtOnce;
  const Trace at_once = TRY(make_workload(spec, trace));
  SimulationOptions with = options;
  with.policy = Policy::kFirstCome;
  const SimulationResult result = TRY(simulate(at_once, with));
  std::vector<double> ends;
  for (const RequestOutcome& outcome : result.outcomes) {
    if (outcome.fate == RequestFate::kFinished) ends.push_back(seconds(outcome.end));
  }
  if (ends.empty()) {
    return Error{ErrorCode::kInvalidArgument, "no request of the trace can be finished"};
  }
  std::sort(ends.begin(), ends.end());
  const std::size_t most = std::max<std::size_t>(1, ends.size() * 9 / 10);
  return static_cast<double>(most) / std::max(ends[most - 1], 1e-9);
}

Percentiles fluid_waits(const Trace& trace, std::uint32_t class_index, double work_per_second,
                        std::size_t num_left) {
  CHECK(work_per_second > 0);
  std::vector<double> waits;
  std::vector<double> outputs;  // of those that came, in order
  double work_left = 0;
  double outputs_left = 0;
  Duration last{0};
  for (const TraceRequest& request : trace.requests) {
    if (request.class_index != class_index) continue;
    work_left = std::max(0.0, work_left - seconds(request.arrival - last) * work_per_second);
    last = request.arrival;
    waits.push_back(std::max(0.0, work_left - outputs_left) / work_per_second);
    work_left += work_of(request);
    outputs.push_back(output_work_of(request));
    outputs_left += outputs.back();
    outputs_left -= outputs.size() > num_left ? outputs[outputs.size() - 1 - num_left] : 0;
  }
  return percentiles_of(std::move(waits));
}

Result<ShareExperiment> run_share_experiment(const Trace& trace, const SimulationOptions& options,
                                             const std::vector<double>& loads) {
  ShareExperiment experiment;
  experiment.capacity = TRY(measure_capacity(trace, options));
  double highest = 0;
  for (const double load : loads) {
    const Trace both = TRY(at_rate(trace, load * experiment.capacity));
    ShareCase one{.scenario = "all", .load = load, .policy = Policy::kOurs, .summary = {}};
    TRY(run_policies(both, options, one, experiment));
    add_fluid(both, options, load, experiment);
    highest = std::max(highest, load);
  }
  for (std::size_t i = 0;
       i < options.scheduler.classes.size() && options.scheduler.classes.size() > 1; ++i) {
    Trace alone = TRY(at_rate(trace, highest * experiment.capacity));
    for (TraceRequest& request : alone.requests) {
      request.class_index = static_cast<std::uint32_t>(i);
    }
    ShareCase one{.scenario = "only " + options.scheduler.classes[i].name,
                  .load = highest,
                  .policy = Policy::kOurs,
                  .summary = {}};
    TRY(run_policies(alone, options, one, experiment));
  }
  return experiment;
}

Table share_table(const ShareExperiment& experiment) {
  Table table{.title = "Shares of one machine that does " + number_text(experiment.capacity, 4) +
                       " requests per second (times in seconds; work while requests come)",
              .columns = {{"classes", Align::kLeft},
                          {"load"},
                          {"policy", Align::kLeft},
                          {"work/s"},
                          {"/fcfs"},
                          {"/static"},
                          {"busy %"},
                          {"preempted"}},
              .rows = {}};
  const std::size_t num_classes =
      experiment.cases.empty() ? 0 : experiment.cases.front().summary.classes.size();
  for (std::size_t i = 0; i < num_classes; ++i) {
    const std::string name = experiment.cases.front().summary.classes[i].name.substr(0, 5);
    for (const char* what : {" work %", " ttft p50", " ttft p99", " tpot p99", " good %"}) {
      table.columns.push_back({name + what});
    }
  }
  for (const ShareCase& one : experiment.cases) {
    std::vector<std::string> row = {
        one.scenario,
        number_text(one.load, 3),
        std::string(policy_name(one.policy)),
        number_text(std::round(one.summary.work_per_second_arriving), 12),
        number_text(work_beside(experiment, one, Policy::kFirstCome), 3),
        number_text(work_beside(experiment, one, Policy::kStaticSplit), 3),
        percent_text(one.summary.busy_fraction_arriving),
        std::to_string(one.summary.num_preemptions)};
    const bool is_contended = one.summary.seconds_backlogged > 0;
    for (const ClassSummary& part : one.summary.classes) {
      row.push_back(is_contended ? percent_text(part.work_part_backlogged) : "-");
      row.push_back(seconds_text(part.first_token.p50));
      row.push_back(seconds_text(part.first_token.p99));
      row.push_back(seconds_text(part.per_token.p99));
      row.push_back(percent_text(good_part(part)));
    }
    table.add_row(std::move(row));
  }
  return table;
}

Table fluid_table(const ShareExperiment& experiment) {
  Table table{
      .title =
          "Time to first token p99 in seconds, beside the wait of a fluid that gets "
          "exactly its share, nothing lent; least: all slots full of outputs left for later",
      .columns = {{"class", Align::kLeft},
                  {"load"},
                  {"asks for %"},
                  {"share %"},
                  {"fluid p50"},
                  {"fluid p99"},
                  {"least p99"}},
      .rows = {}};
  for (const Policy policy : kPolicies) table.columns.push_back({std::string(policy_name(policy))});
  table.columns.push_back({"fcfs / ours"});
  table.columns.push_back({"fcfs / controlled"});
  table.columns.push_back({"fcfs / least"});
  const std::size_t num_classes =
      experiment.cases.empty() ? 0 : experiment.cases.front().summary.classes.size();
  for (std::size_t i = 0; i < experiment.fluid.size(); ++i) {
    const FluidWait& one = experiment.fluid[i];
    std::vector<std::string> row = {one.class_name,
                                    number_text(one.load, 3),
                                    percent_text(one.asked_part),
                                    percent_text(one.share_part),
                                    seconds_text(one.p50),
                                    seconds_text(one.p99),
                                    seconds_text(one.least_p99)};
    const auto p99_of = [&](Policy policy) {
      const ShareCase* found = same_case(
          experiment, {.scenario = "all", .load = one.load, .policy = {}, .summary = {}}, policy);
      return found == nullptr ? 0.0 : found->summary.classes[i % num_classes].first_token.p99;
    };
    for (const Policy policy : kPolicies) row.push_back(seconds_text(p99_of(policy)));
    for (const Policy policy : {Policy::kOurs, Policy::kControlled}) {
      const double p99 = p99_of(policy);
      row.push_back(number_text(p99 > 0 ? p99_of(Policy::kFirstCome) / p99 : 0, 3));
    }
    const bool has_least = one.least_p99 > 0;
    row.push_back(has_least ? number_text(p99_of(Policy::kFirstCome) / one.least_p99, 3) : "-");
    table.add_row(std::move(row));
  }
  return table;
}

OrderedJson share_json(const ShareExperiment& experiment) {
  OrderedJson object = {{"capacity_requests_per_second", experiment.capacity},
                        {"cases", OrderedJson::array()},
                        {"fluid", OrderedJson::array()}};
  for (const FluidWait& one : experiment.fluid) {
    object["fluid"].push_back({{"class", one.class_name},
                               {"load", one.load},
                               {"asked_part", one.asked_part},
                               {"share_part", one.share_part},
                               {"wait_p50", one.p50},
                               {"wait_p99", one.p99},
                               {"least_wait_p99", one.least_p99}});
  }
  for (const ShareCase& one : experiment.cases) {
    object["cases"].push_back({{"classes", one.scenario},
                               {"load", one.load},
                               {"policy", policy_name(one.policy)},
                               {"summary", summary_json(one.summary)}});
  }
  return object;
}

}  // namespace millrace
