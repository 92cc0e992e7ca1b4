// Options and runs of other programs' benchmarks beside ours.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "measure/paired_runs.h"
#include "measure/peer_bench.h"

namespace CLI {
class App;
}  // namespace CLI

namespace millrace {

// As typed.
struct PeersOptions {
  std::vector<std::string> programs;
  std::string model_file;
  std::string arguments;  // for all of them: "-rtr 1"
  std::size_t num_pairs = 5;
  double pause_seconds = 1.0;
  double time_max_seconds = 1800.0;
};

enum class PeerKind : std::uint8_t { kLlamaBench, kBatchedBench };

// --peer-llama-bench or --peer-batched-bench, and what goes with it.
void add_peers_options(CLI::App& command, PeerKind kind, PeersOptions& options);

// One program that is ready to run.
struct Peer {
  std::string name;
  PeerKind kind = PeerKind::kLlamaBench;
  PeerDialect dialect = PeerDialect::kLlamaCpp;
  PeerOptions options;
};

// What both sides have in common.
struct PeerSetting {
  std::string model_file;  // what the peers read without --peer-model; may be empty
  std::size_t num_threads = 1;
  std::string_view kv_dtype;
};

// Looks at every program once. An error names the one that is missing or that is something else.
Result<std::vector<Peer>> open_peers(const PeersOptions& options, PeerKind kind,
                                     const PeerSetting& setting);

struct PeerRates {
  std::string name;
  PairedRates rates;
};
// `ours` measures the work once, in tokens per second.
Result<PeerRates> run_beside(const Peer& peer, const PeersOptions& options, const StepWork& work,
                             FunctionRef<Result<double>()> ours);

}  // namespace millrace
