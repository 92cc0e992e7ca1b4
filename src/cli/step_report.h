// Results of timed steps, as a table and as JSON.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "cli/bench_peers.h"
#include "cli/model_session.h"
#include "measure/ceilings.h"
#include "measure/paired_runs.h"
#include "measure/step_bench.h"

namespace millrace {

enum class StepCommand : std::uint8_t { kPrefill, kDecode, kBatch, kDepth };
const char* step_command_name(StepCommand command);

struct StepResult {
  StepWork work;
  RateSpread ours;  // tokens per second, of all sequences together
  std::optional<double> prompt_tokens_per_second;
  double bytes_per_second = 0;       // weights and cache that decoding read; 0 for prompts
  double operations_per_second = 0;  // in matrices
  std::vector<PeerRates> peers;
};

struct StepReport {
  StepCommand command = StepCommand::kPrefill;
  std::string model;
  Ceilings ceilings;  // of this run
  std::vector<StepResult> results;
};

std::string step_report_text(const StepReport& report, const ModelSession& session);
OrderedJson step_report_json(const StepReport& report, const ModelSession& session);

}  // namespace millrace
