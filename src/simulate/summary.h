// The figures of a run: latencies by class, goodput, throughput, utilisation, cache hits, shares.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "report/page.h"
#include "report/table.h"
#include "simulate/outcome.h"
#include "simulate/simulation.h"
#include "simulate/trace.h"

namespace millrace {

// In seconds, by nearest rank; all 0 when there is no value.
struct Percentiles {
  std::size_t count = 0;
  double mean = 0;
  double p50 = 0;
  double p90 = 0;
  double p95 = 0;
  double p99 = 0;
  double max = 0;
};
Percentiles percentiles_of(std::vector<double> values);

// What was foretold over what came; by nearest rank, all 0 when there is no value.
struct Spread {
  std::size_t count = 0;
  double p10 = 0;
  double p50 = 0;
  double p90 = 0;
  double within_twice = 0;  // part of the values from a half to 2
};
Spread spread_of(std::vector<double> values);

struct ClassSummary {
  std::string name;
  std::size_t num_requests = 0;
  std::size_t num_finished = 0;
  std::size_t num_too_large = 0;
  std::size_t num_queue_full = 0;
  std::size_t num_wait_too_long = 0;
  std::size_t num_expired = 0;
  std::size_t num_unfinished = 0;
  std::size_t num_good = 0;  // finished within the targets of their class
  Percentiles first_token;   // from arrival to the first token
  Percentiles per_token;     // mean distance of a request's further tokens; of those with two
  Percentiles whole;         // from arrival to the last token
  // Waits of a second or more for the start, and times to come back between Admission's limits.
  Spread wait_foretold;
  Spread retry_foretold;
  double work_part = 0;             // of all work
  double work_part_backlogged = 0;  // of the work while every class had requests waiting
};

struct Summary {
  std::vector<ClassSummary> classes;
  ClassSummary all;
  // What the share controller did; by class; empty without one.
  struct ControlledShare {
    std::array<std::uint64_t, 3> num_received{};  // by ShareReason
    std::uint64_t num_given = 0;
    double configured = 0;
    double part_min = 0;
    double part_mean = 0;  // while the machine was busy
    double part_max = 0;
  };
  std::vector<ControlledShare> shares;
  std::vector<std::string> decisions;  // the first few, in words
  std::uint32_t num_replicas = 1;
  double end_seconds = 0;           // of the last step
  double last_arrival_seconds = 0;  // "arriving": until here
  double busy_fraction = 0;
  double busy_fraction_arriving = 0;
  // Of finished requests, over the whole run.
  double prompt_tokens_per_second = 0;
  double output_tokens_per_second = 0;
  double requests_per_second = 0;
  double good_requests_per_second = 0;
  double work_per_second = 0;           // prompt tokens computed and twice the tokens generated
  double work_per_second_arriving = 0;  // while requests still came
  double seconds_backlogged = 0;        // while every class had requests waiting
  double sequences_per_step = 0;
  double tokens_per_step = 0;
  double cache_fraction = 0;  // of the blocks held by sequences, mean over steps
  std::uint64_t num_steps = 0;
  std::uint64_t num_preemptions = 0;
  double hit_rate = 0;           // of the prompt tokens, found in the cache
  double hit_rate_possible = 0;  // with a cache without end, on one machine
};

Summary summarise(const SimulationResult& result, const Trace& trace,
                  const SimulationOptions& options);

OrderedJson summary_json(const Summary& summary);
// Latencies by class, then everything else.
std::vector<Table> summary_tables(const Summary& summary);
// Tables and plots of one run.
void add_to_page(HtmlPage& page, const SimulationResult& result, const Summary& summary);

}  // namespace millrace
