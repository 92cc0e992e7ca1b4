// Peers found, asked for their dialect, and run in turns with us.
#include "cli/bench_peers.h"

#include <CLI/CLI.hpp>
#include <filesystem>
#include <sstream>
#include <thread>

#include "cli/interrupt.h"

namespace millrace {
namespace {

Duration duration_of(double number) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(number));
}

std::vector<std::string> split_words(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

// "llama.cpp" of "llama.cpp/build/bin/llama-bench": the folder above the usual places of a build.
std::string peer_name(const std::string& program) {
  std::filesystem::path folder = std::filesystem::path(program).parent_path();
  while (folder.filename() == "bin" || folder.filename() == "build") folder = folder.parent_path();
  const std::string name = folder.filename().string();
  return name.empty() ? std::filesystem::path(program).filename().string() : name;
}

}  // namespace

void add_peers_options(CLI::App& command, PeerKind kind, PeersOptions& options) {
  const bool is_batch = kind == PeerKind::kBatchedBench;
  command
      .add_option(is_batch ? "--peer-batched-bench" : "--peer-llama-bench", options.programs,
                  is_batch ? "A llama-batched-bench to run in turns with us; may be repeated"
                           : "A llama-bench to run in turns with us; may be repeated")
      ->type_name("PROGRAM")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command
      .add_option("--peer-model", options.model_file,
                  "GGUF file for the peers (default: the same as ours, written to a temporary "
                  "folder for --like)")
      ->type_name("FILE");
  command.add_option("--peer-args", options.arguments, "More options for the peers: \"-rtr 1\"")
      ->type_name("TEXT");
  command.add_option("--pairs", options.num_pairs, "Measurements of each side")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  command.add_option("--pause", options.pause_seconds, "Idle seconds before each measurement")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 3600.0));
  command
      .add_option("--peer-timeout", options.time_max_seconds,
                  "Seconds after which a run of a peer is killed")
      ->capture_default_str()
      ->check(CLI::Range(0.1, 86400.0));
}

Result<std::vector<Peer>> open_peers(const PeersOptions& options, PeerKind kind,
                                     const PeerSetting& setting) {
  std::vector<Peer> peers;
  for (const std::string& program : options.programs) {
    Peer peer;
    peer.name = peer_name(program);
    peer.kind = kind;
    peer.options.program = program;
    peer.options.model_file = options.model_file.empty() ? setting.model_file : options.model_file;
    if (peer.options.model_file.empty()) {
      return Error{ErrorCode::kInvalidArgument,
                   "peers read GGUF files: name one of the same model with --peer-model"};
    }
    peer.options.num_threads = setting.num_threads;
    peer.options.kv_type = setting.kv_dtype == "i8" ? "q8_0" : std::string(setting.kv_dtype);
    peer.options.extra = split_words(options.arguments);
    peer.options.time_max = duration_of(options.time_max_seconds);
    peer.options.is_cancelled = &interrupt_flag();
    if (kind == PeerKind::kLlamaBench) peer.dialect = TRY(detect_llama_bench(peer.options));
    peers.push_back(std::move(peer));
  }
  return peers;
}

Result<PeerRates> run_beside(const Peer& peer, const PeersOptions& options, const StepWork& work,
                             FunctionRef<Result<double>()> ours) {
  const auto theirs = [&]() -> Result<double> {
    if (peer.kind == PeerKind::kBatchedBench) return run_batched_bench(peer.options, work);
    return run_llama_bench(peer.options, peer.dialect, work);
  };
  PairedOptions paired;
  paired.num_pairs = options.num_pairs;
  paired.pause = duration_of(options.pause_seconds);
  PeerRates rates;
  rates.name = peer.name;
  rates.rates = TRY(measure_in_pairs(paired, ours, theirs, [](Duration pause) {
    if (pause > Duration{0}) std::this_thread::sleep_for(pause);
  }));
  return rates;
}

}  // namespace millrace
