// Draws arrivals, lengths and classes by seed.
#include "simulate/workload.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>
#include <unordered_set>

#include "base/check.h"

namespace millrace {
namespace {

constexpr std::size_t kRequestsMax = 20'000'000;
// In nanoseconds, 292 years fill 63 bits.
constexpr double kSecondsMax = 9e9;

Duration duration_of(double value_seconds) {
  return Duration(static_cast<std::int64_t>(std::min(value_seconds, kSecondsMax) * 1e9));
}

double exponential(double mean, Random& random) {
  return -mean * std::log(1.0 - random.uniform());
}

Error wrong(const std::string& what) {
  return Error{ErrorCode::kInvalidArgument, "workload: " + what};
}

Status check_spec(const WorkloadSpec& spec, const Trace& source) {
  const bool needs_rate =
      spec.arrivals.kind == ArrivalKind::kConstant || spec.arrivals.kind == ArrivalKind::kPoisson ||
      spec.arrivals.kind == ArrivalKind::kDay || spec.arrivals.kind == ArrivalKind::kOnOff;
  if (needs_rate && !spec.arrivals.rate) return wrong("arrivals of this kind need a rate");
  if (spec.arrivals.rate && !(*spec.arrivals.rate > 1e-6 && *spec.arrivals.rate < 1e9)) {
    return wrong("rate is " + std::to_string(*spec.arrivals.rate) +
                 " requests per second, expected 0.000001 to 1e9");
  }
  if (spec.arrivals.on_mean <= Duration{0} || spec.arrivals.off_mean < Duration{0}) {
    return wrong("bursts need a time on above 0 and a time off that is not below 0");
  }
  if (spec.arrivals.day <= Duration{0} || !(spec.arrivals.swing >= 0 && spec.arrivals.swing <= 1)) {
    return wrong("a day is longer than 0 and its swing is 0 to 1");
  }
  // Periods are drawn one by one, so many empty ones between two requests would take for ever.
  const double period = seconds(spec.arrivals.on_mean) + seconds(spec.arrivals.off_mean);
  if (spec.arrivals.kind == ArrivalKind::kOnOff && period * *spec.arrivals.rate < 1e-3) {
    return wrong("bursts come more than a thousand times as often as requests");
  }
  const bool uses_trace =
      spec.lengths.kind == LengthKind::kTrace || spec.arrivals.kind == ArrivalKind::kTrace;
  if (uses_trace && source.requests.empty()) return wrong("no request to take lengths from");
  if (spec.arrivals.kind == ArrivalKind::kTrace && !source.has_arrivals) {
    return wrong("the trace has no arrivals, so another kind of arrivals is needed");
  }
  const LengthSpec& lengths = spec.lengths;
  if (lengths.prompt_tokens == 0 || lengths.output_tokens == 0 || lengths.tokens_max == 0 ||
      !(lengths.sigma >= 0 && lengths.sigma <= 10)) {
    return wrong("lengths are at least 1 and sigma is 0 to 10");
  }
  if (!uses_trace && !spec.num_requests) return wrong("without a trace, say how many requests");
  if (spec.num_requests && (*spec.num_requests == 0 || *spec.num_requests > kRequestsMax)) {
    return wrong("number of requests is " + std::to_string(*spec.num_requests) +
                 ", expected 1 to " + std::to_string(kRequestsMax));
  }
  double sum = 0;
  for (const double weight : spec.class_weights) {
    if (!(weight >= 0 && weight < 1e9)) return wrong("a class weight is not from 0 to 1e9");
    sum += weight;
  }
  if (!spec.class_weights.empty() && !(sum > 0)) return wrong("all class weights are 0");
  return Ok{};
}

std::uint32_t draw_length(const LengthSpec& spec, std::uint32_t middle, Random& random) {
  const double m = middle;
  double length = m;
  if (spec.kind == LengthKind::kUniform) length = m * (0.5 + random.uniform());
  if (spec.kind == LengthKind::kLognormal) length = m * std::exp(spec.sigma * random.normal());
  const double max = spec.tokens_max;
  return static_cast<std::uint32_t>(std::clamp(std::round(length), 1.0, max));
}

std::uint32_t draw_class(const std::vector<double>& weights, Random& random) {
  double sum = 0;
  for (const double weight : weights) sum += weight;
  double left = random.uniform() * sum;
  std::uint32_t chosen = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] == 0) continue;
    chosen = static_cast<std::uint32_t>(i);
    if (left < weights[i]) break;
    left -= weights[i];
  }
  return chosen;
}

// Copies of the source's requests, or drawn ones; all arrive at 0 unless the source says when.
void draw_requests(const WorkloadSpec& spec, const Trace& source, Trace& made) {
  Random lengths(mix64(spec.seed + 1));
  Random classes(mix64(spec.seed + 2));
  const std::size_t count = spec.num_requests.value_or(source.requests.size());
  // How long one round of the trace takes: to the last arrival, and the mean distance after it.
  Duration round{0};
  if (!source.requests.empty()) {
    const auto num_source = static_cast<std::int64_t>(source.requests.size());
    round = source.requests.back().arrival * (num_source + 1) / num_source;
  }
  made.requests.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    TraceRequest request;
    const std::size_t num_source = source.requests.size();
    if (num_source > 0) request = source.requests[i % num_source];
    if (spec.lengths.kind != LengthKind::kTrace) {
      request.num_prompt = draw_length(spec.lengths, spec.lengths.prompt_tokens, lengths);
      request.num_output = draw_length(spec.lengths, spec.lengths.output_tokens, lengths);
      request.num_prefix = 0;
    }
    if (num_source > 0) request.arrival += round * static_cast<std::int64_t>(i / num_source);
    if (!spec.class_weights.empty()) request.class_index = draw_class(spec.class_weights, classes);
    made.requests.push_back(request);
  }
}

// The k-th request of a class arrives at the k-th arrival drawn for it.
void set_arrivals(const WorkloadSpec& spec, Trace& made) {
  const std::uint32_t num_classes =
      1 + std::max_element(made.requests.begin(), made.requests.end(),
                           [](const TraceRequest& a, const TraceRequest& b) {
                             return a.class_index < b.class_index;
                           })
              ->class_index;
  // Bursts and days belong to classes; the others are drawn for all together.
  const bool by_class =
      spec.arrivals.kind == ArrivalKind::kOnOff || spec.arrivals.kind == ArrivalKind::kDay;
  for (std::uint32_t index = 0; index < (by_class ? num_classes : 1); ++index) {
    std::vector<TraceRequest*> chosen;
    for (TraceRequest& request : made.requests) {
      if (!by_class || request.class_index == index) chosen.push_back(&request);
    }
    const double part =
        static_cast<double>(chosen.size()) / static_cast<double>(made.requests.size());
    Random random(mix64(spec.seed + 100 + index));
    ArrivalSpec arrival_spec = spec.arrivals;
    arrival_spec.phase = static_cast<double>(index) / num_classes;
    const auto arrivals = draw_arrivals(arrival_spec, part, chosen.size(), random);
    for (std::size_t i = 0; i < chosen.size(); ++i) chosen[i]->arrival = arrivals[i];
  }
}

void scale_time(double factor, Trace& made) {
  for (TraceRequest& request : made.requests) {
    request.arrival = duration_of(seconds(request.arrival) * factor);
  }
}

// By thinning (Lewis & Shedler 1979): drawn at the highest rate, kept as often as the rate of the
// moment is of it.
std::vector<Duration> draw_day(const ArrivalSpec& spec, double mean, std::size_t count,
                               Random& random) {
  std::vector<Duration> arrivals;
  arrivals.reserve(count);
  const double highest = 1.0 + spec.swing;
  for (double now = 0; arrivals.size() < count;) {
    now = std::min(now + exponential(mean / highest, random), kSecondsMax);
    const double turn = 2.0 * std::numbers::pi * (now / seconds(spec.day) - spec.phase);
    const bool is_kept = random.chance((1.0 + spec.swing * std::cos(turn)) / highest);
    if (is_kept || now >= kSecondsMax) arrivals.push_back(duration_of(now));
  }
  return arrivals;
}

}  // namespace

std::vector<Duration> draw_arrivals(const ArrivalSpec& spec, double part, std::size_t count,
                                    Random& random) {
  std::vector<Duration> arrivals;
  if (count == 0) return arrivals;
  arrivals.reserve(count);
  if (spec.kind == ArrivalKind::kAtOnce || spec.kind == ArrivalKind::kTrace) {
    arrivals.assign(count, Duration{0});
    return arrivals;
  }
  CHECK(spec.rate.has_value());
  const double mean = 1.0 / (*spec.rate * part);
  if (spec.kind == ArrivalKind::kConstant) {
    for (std::size_t i = 0; i < count; ++i) {
      arrivals.push_back(duration_of(mean * static_cast<double>(i)));
    }
    return arrivals;
  }
  if (spec.kind == ArrivalKind::kDay) return draw_day(spec, mean, count, random);
  const double on = seconds(spec.on_mean);
  const double off = spec.kind == ArrivalKind::kOnOff ? seconds(spec.off_mean) : 0.0;
  // Faster while on, so that the mean over both is as asked.
  const double mean_on = mean * on / (on + off);
  double now = 0;
  double on_left = exponential(on, random);
  if (off > 0 && random.chance(off / (on + off))) now += exponential(off, random);
  while (arrivals.size() < count) {
    const double gap = exponential(mean_on, random);
    if (off > 0 && gap > on_left) {
      // Poisson arrivals have no memory: the rest of the gap is drawn anew in the next period.
      now += on_left + exponential(off, random);
      on_left = exponential(on, random);
      if (now > kSecondsMax) now = kSecondsMax;
      continue;
    }
    now += gap;
    on_left -= gap;
    arrivals.push_back(duration_of(now));
  }
  return arrivals;
}

Result<Trace> make_workload(const WorkloadSpec& spec, const Trace& source) {
  TRY(check_spec(spec, source));
  Trace made;
  made.name = source.requests.empty() ? "drawn" : source.name;
  made.prefix_ids = source.prefix_ids;
  made.prefix_tokens = source.prefix_tokens;
  made.has_classes = source.has_classes || !spec.class_weights.empty();
  draw_requests(spec, source, made);
  if (spec.arrivals.kind != ArrivalKind::kTrace) set_arrivals(spec, made);
  sort_by_arrival(made);
  if (spec.arrivals.kind == ArrivalKind::kTrace && spec.arrivals.rate) {
    const double length = seconds(made.requests.back().arrival);
    const double rate = static_cast<double>(made.requests.size()) / std::max(length, 1e-9);
    scale_time(rate / *spec.arrivals.rate, made);
  }
  if (spec.first) {
    std::erase_if(made.requests,
                  [&](const TraceRequest& request) { return request.arrival >= *spec.first; });
    if (made.requests.empty()) return wrong("no request arrives in the time that is simulated");
  }
  return made;
}

std::uint64_t reusable_tokens(const Trace& trace, std::size_t block_tokens) {
  CHECK(block_tokens > 0);
  std::unordered_set<std::uint64_t> seen;
  std::uint64_t sum = 0;
  for (const TraceRequest& request : trace.requests) {
    std::uint64_t path = 0;
    std::size_t num_shared = 0;
    bool is_shared = true;
    std::size_t at = 0;
    for (const std::uint32_t id : trace.prefix_of(request)) {
      const std::size_t end = std::min<std::size_t>(at + trace.prefix_tokens, request.num_prompt);
      // A short last piece is another one than the whole piece of its name.
      path = mix64(path + id + ((end - at) << 32) + 0x9E3779B97F4A7C15u);
      is_shared = !seen.insert(path).second && is_shared;
      if (is_shared) num_shared = end;
      at = end;
    }
    const std::size_t usable = std::min<std::size_t>(num_shared, request.num_prompt - 1);
    sum += usable / block_tokens * block_tokens;
  }
  return sum;
}

}  // namespace millrace
