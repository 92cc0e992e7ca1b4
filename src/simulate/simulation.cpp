// The event loop: arrivals and ends of steps in the order of time.
#include "simulate/simulation.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <tuple>
#include <utility>

#include "base/check.h"

namespace millrace {
namespace {

// Beyond every ratio of work that a simulation sees.
constexpr double kPriorityRatio = 1e9;
constexpr std::size_t kReplicasMax = 4096;

Error wrong(const std::string& what) {
  return Error{ErrorCode::kInvalidArgument, "simulation: " + what};
}

Status check_simulation(const Trace& trace, const SimulationOptions& options) {
  TRY(check_options(options.scheduler));
  if (options.num_blocks == 0) return wrong("a replica needs blocks of cache, found 0");
  if (options.cost.roofs.empty()) return wrong("a cost model without a roof");
  if (options.router.num_replicas == 0 || options.router.num_replicas > kReplicasMax) {
    return wrong("number of replicas is " + std::to_string(options.router.num_replicas) +
                 ", expected 1 to " + std::to_string(kReplicasMax));
  }
  for (const TraceRequest& request : trace.requests) {
    if (request.class_index >= options.scheduler.classes.size()) {
      return wrong("a request of class " + std::to_string(request.class_index) + " with " +
                   std::to_string(options.scheduler.classes.size()) + " classes");
    }
  }
  return Ok{};
}

// A slice of `part` of the machine for one class.
LaneOptions slice_of(const SimulationOptions& options, double part) {
  const auto scaled = [&](std::size_t count) {
    return std::max<std::size_t>(
        1, static_cast<std::size_t>(std::floor(static_cast<double>(count) * part)));
  };
  LaneOptions lane;
  lane.scheduler = options.scheduler;
  lane.scheduler.num_sequences_max = scaled(options.scheduler.num_sequences_max);
  lane.scheduler.step_tokens_max =
      std::max(scaled(options.scheduler.step_tokens_max), lane.scheduler.num_sequences_max);
  lane.num_blocks = static_cast<std::uint32_t>(scaled(options.num_blocks));
  lane.speed = part;
  return lane;
}

// One class for everybody, in the order of arrival: a target that leaves no slack to order by, and
// none between tokens, as servers without classes have it.
ServiceClass first_come_class(const std::vector<ServiceClass>& classes) {
  ServiceClass all;
  all.name = "all";
  all.first_token_target = Duration{1};
  all.queued_requests_max = 0;
  all.queued_tokens_max = 0;
  for (const ServiceClass& one : classes) {
    all.queued_requests_max +=
        std::min(one.queued_requests_max, SIZE_MAX - all.queued_requests_max);
    all.queued_tokens_max += std::min(one.queued_tokens_max, SIZE_MAX - all.queued_tokens_max);
  }
  return all;
}

// One lane per slice of a replica.
std::vector<LaneOptions> lanes_of(const SimulationOptions& options) {
  const std::vector<ServiceClass>& classes = options.scheduler.classes;
  std::vector<LaneOptions> lanes;
  if (options.policy == Policy::kStaticSplit) {
    const std::vector<double> parts = share_parts(classes);
    for (std::size_t i = 0; i < classes.size(); ++i) {
      lanes.push_back(slice_of(options, parts[i]));
      lanes.back().scheduler.classes = {classes[i]};
    }
  } else {
    lanes.push_back({.scheduler = options.scheduler, .num_blocks = options.num_blocks});
  }
  const bool is_controlled = options.policy == Policy::kControlled;
  LaneOptions& first = lanes.front();
  if (options.policy == Policy::kFirstCome) first.scheduler.classes = {first_come_class(classes)};
  if (options.policy == Policy::kStrictPriority) {
    double share = 1;
    for (ServiceClass& one : first.scheduler.classes) {
      one.share = share;
      share /= kPriorityRatio;
    }
  }
  for (LaneOptions& lane : lanes) {
    lane.observer = options.observer;
    lane.deadlines = options.deadlines;
    std::optional<ShareControllerOptions>& controller = lane.scheduler.controller;
    if (is_controlled && !controller) controller.emplace();
    if (!is_controlled) controller.reset();
    lane.is_single_class = lane.scheduler.classes.size() == 1;
  }
  return lanes;
}

class Simulation {
 public:
  Simulation(const Trace& trace, const SimulationOptions& options)
      : trace_(trace), options_(options), router_(options.router) {
    result_.num_replicas = options.router.num_replicas;
    result_.outcomes.resize(trace.requests.size());
    if (!trace.requests.empty()) result_.totals.last_arrival = trace.requests.back().arrival;
    const std::vector<LaneOptions> lanes = lanes_of(options_);
    for (std::size_t i = 0; i < options.router.num_replicas; ++i) {
      Replica& replica = replicas_.emplace_back();
      for (const LaneOptions& lane : lanes) {
        replica.lanes.push_back(
            std::make_unique<Lane>(lane, options_.cost, result_, replica.unstarted));
      }
    }
    outstanding_.resize(replicas_.size());
  }

  SimulationResult run();

 private:
  struct Replica {
    std::vector<std::unique_ptr<Lane>> lanes;
    UnstartedCounts unstarted{};
  };
  // End of a step, earliest first; then by place, so that ties always fall alike.
  struct StepEnd {
    Duration time;
    std::size_t order;
    Lane* lane;
    bool operator>(const StepEnd& other) const {
      return std::tie(time, order) > std::tie(other.time, other.order);
    }
  };

  void arrive(std::size_t number);
  Lane& lane_for(const TraceRequest& request, std::size_t replica);
  void begin(Lane& lane, std::size_t order, Duration now);

  const Trace& trace_;
  const SimulationOptions& options_;
  Router router_;
  std::deque<Replica> replicas_;  // never moves: lanes point to its counts
  std::vector<std::uint64_t> outstanding_;
  std::priority_queue<StepEnd, std::vector<StepEnd>, std::greater<>> ends_;
  std::vector<std::pair<Lane*, std::size_t>> woken_;
  SimulationResult result_;
};

Lane& Simulation::lane_for(const TraceRequest& request, std::size_t replica) {
  const auto& lanes = replicas_[replica].lanes;
  return *lanes[lanes.size() == 1 ? 0 : request.class_index];
}

void Simulation::arrive(std::size_t number) {
  const TraceRequest& request = trace_.requests[number];
  for (std::size_t i = 0; i < replicas_.size() && replicas_.size() > 1; ++i) {
    outstanding_[i] = 0;
    for (const auto& lane : replicas_[i].lanes) outstanding_[i] += lane->outstanding_tokens();
  }
  const std::size_t replica = router_.route(trace_, request, outstanding_);
  Lane& lane = lane_for(request, replica);
  RequestOutcome& outcome = result_.outcomes[number];
  outcome.arrival = request.arrival;
  outcome.num_prompt = request.num_prompt;
  outcome.class_index = request.class_index;
  outcome.fate = lane.submit(trace_, request, number);
  if (outcome.fate == RequestFate::kUnfinished && !lane.is_busy())
    woken_.emplace_back(&lane, replica * kClassesMax + request.class_index);
}

void Simulation::begin(Lane& lane, std::size_t order, Duration now) {
  if (lane.is_busy()) return;
  lane.begin_step(now, options_.scheduler.classes.size());
  if (lane.is_busy()) ends_.push({lane.busy_until(), order, &lane});
}

SimulationResult Simulation::run() {
  std::size_t next = 0;
  const std::size_t num_requests = trace_.requests.size();
  while (next < num_requests || !ends_.empty()) {
    const bool is_arrival =
        next < num_requests && (ends_.empty() || trace_.requests[next].arrival <= ends_.top().time);
    if (!is_arrival) {
      const StepEnd end = ends_.top();
      ends_.pop();
      end.lane->finish_step();
      begin(*end.lane, end.order, end.time);
      continue;
    }
    // All that come at one moment, so that an idle machine's first step has all of them.
    const Duration now = trace_.requests[next].arrival;
    while (next < num_requests && trace_.requests[next].arrival == now) arrive(next++);
    for (const auto& [lane, order] : woken_) begin(*lane, order, now);
    woken_.clear();
  }
  return std::move(result_);
}

}  // namespace

std::string_view policy_name(Policy policy) {
  switch (policy) {
    case Policy::kOurs:
      return "ours";
    case Policy::kControlled:
      return "controlled";
    case Policy::kFirstCome:
      return "fcfs";
    case Policy::kStrictPriority:
      return "strict-priority";
    case Policy::kStaticSplit:
      return "static-split";
  }
  return "unknown";
}

Result<Policy> find_policy(std::string_view name) {
  std::string names;
  for (const Policy policy : kPolicies) {
    if (policy_name(policy) == name) return policy;
    names += (names.empty() ? "" : ", ") + std::string(policy_name(policy));
  }
  return Error{ErrorCode::kInvalidArgument,
               "policy '" + std::string(name) + "' is none of " + names};
}

Result<SimulationResult> simulate(const Trace& trace, const SimulationOptions& options) {
  TRY(check_simulation(trace, options));
  Simulation simulation(trace, options);
  return simulation.run();
}

}  // namespace millrace
