// Pairs and spreads, other programs within limits, and the peers' protocol against a program that
// speaks it, badly when asked to.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "kernels/cpu/kernels.h"
#include "measure/ceilings.h"
#include "measure/child_process.h"
#include "measure/kernel_rows.h"
#include "measure/paired_runs.h"
#include "measure/peer_bench.h"
#include "model/public_shapes.h"

namespace millrace {
namespace {

// A program of one test's own.
class Script {
 public:
  explicit Script(const std::string& body) {
    std::string pattern = (std::filesystem::temp_directory_path() / "measure_test-XXXXXX").string();
    CHECK(::mkdtemp(pattern.data()) != nullptr);
    folder_ = pattern;
    std::ofstream(path()) << "#!/bin/sh\n" << body;
    CHECK(::chmod(path().c_str(), 0700) == 0);
  }
  ~Script() { std::filesystem::remove_all(folder_); }
  std::string path() const { return (folder_ / "program").string(); }
  std::string beside(const char* name) const { return (folder_ / name).string(); }

 private:
  std::filesystem::path folder_;
};

ChildProcessOptions options_of(std::vector<std::string> arguments) {
  ChildProcessOptions options;
  options.arguments = std::move(arguments);
  options.time_max = std::chrono::seconds(60);
  return options;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(Spread, MiddleOfOddAndEvenCounts) {
  const RateSpread odd = rate_spread({3, 1, 10});
  EXPECT_EQ(odd.median, 3);
  EXPECT_EQ(odd.min, 1);
  EXPECT_EQ(odd.max, 10);
  EXPECT_EQ(odd.mad, 2);  // of 0, 2, 7
  EXPECT_EQ(rate_spread({4, 1, 2, 3}).median, 2.5);
  EXPECT_EQ(rate_spread({7}).mad, 0);
}

TEST(PairedRuns, TheFirstSideAlternatesAndRatiosArePerPair) {
  std::string order;
  double ours_rate = 0;
  const auto ours = [&]() -> Result<double> {
    order += 'A';
    return ours_rate += 10;
  };
  const auto peer = [&]() -> Result<double> {
    order += 'B';
    return 5.0;
  };
  std::size_t num_pauses = 0;
  const auto rates = measure_in_pairs({.num_pairs = 3, .pause = std::chrono::seconds(1)}, ours,
                                      peer, [&](Duration pause) {
                                        EXPECT_EQ(pause, std::chrono::seconds(1));
                                        ++num_pauses;
                                      });
  ASSERT_TRUE(rates.ok());
  EXPECT_EQ(order, "ABBAAB");
  EXPECT_EQ(num_pauses, 6u);
  EXPECT_EQ(rates.value().ratio.median, 4.0);
  EXPECT_EQ(rates.value().ratio.min, 2.0);
  EXPECT_EQ(rates.value().ratio.max, 6.0);
}

TEST(PairedRuns, AnErrorOfEitherSideEndsTheRun) {
  std::size_t num_runs = 0;
  const auto ours = [&]() -> Result<double> {
    ++num_runs;
    return 1.0;
  };
  const auto peer = []() -> Result<double> { return Error{ErrorCode::kUnavailable, "gone"}; };
  const auto rates = measure_in_pairs({.num_pairs = 9}, ours, peer, [](Duration) {});
  ASSERT_FALSE(rates.ok());
  EXPECT_EQ(rates.error().message, "gone");
  EXPECT_EQ(num_runs, 1u);
}

TEST(ChildProcess, BothStreamsAreRead) {
  const auto output = run_child(options_of({"sh", "-c", "echo one; echo two >&2; cat"}));
  ASSERT_TRUE(output.ok()) << output.error().message;
  EXPECT_EQ(output.value().standard_output, "one\n");
  EXPECT_EQ(output.value().standard_error, "two\n");
}

TEST(ChildProcess, AMissingProgramIsNamed) {
  const auto output = run_child(options_of({"/nowhere/llama-bench"}));
  ASSERT_FALSE(output.ok());
  EXPECT_EQ(output.error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(contains(output.error().message, "/nowhere/llama-bench cannot be started"));
}

TEST(ChildProcess, AFailureHasTheStatusAndTheLastLine) {
  const auto output = run_child(options_of({"sh", "-c", "echo a >&2; echo no model >&2; exit 3"}));
  ASSERT_FALSE(output.ok());
  EXPECT_EQ(output.error().message, "sh exited with 3: no model");
}

TEST(ChildProcess, ACrashIsASignal) {
  const auto output = run_child(options_of({"sh", "-c", "kill -SEGV $$"}));
  ASSERT_FALSE(output.ok());
  EXPECT_EQ(output.error().message, "sh was killed by signal 11");
}

TEST(ChildProcess, AHangingProgramIsKilledWithWhatItStarted) {
  Script script("sleep 600 & echo $! > \"$1\"; wait\n");
  const std::string id_file = script.beside("id");
  ChildProcessOptions options = options_of({script.path(), id_file});
  options.time_max = std::chrono::milliseconds(500);
  const auto output = run_child(options);
  ASSERT_FALSE(output.ok());
  EXPECT_EQ(output.error().code, ErrorCode::kDeadlineExceeded);
  long sleeper = 0;
  std::ifstream(id_file) >> sleeper;
  if (sleeper == 0) GTEST_SKIP() << "the machine is too busy for the script to have begun";
  // Killed: gone, or a zombie that nobody has collected yet.
  std::string state;
  for (int tries = 0; tries < 500; ++tries) {
    std::ifstream status("/proc/" + std::to_string(sleeper) + "/stat");
    std::string id, name;
    state.clear();
    status >> id >> name >> state;
    if (state.empty() || state == "Z") break;
    ::usleep(10'000);
  }
  EXPECT_TRUE(state.empty() || state == "Z") << state;
}

TEST(ChildProcess, OneThatHangsAfterClosingItsStreamsIsKilledToo) {
  ChildProcessOptions options =
      options_of({"sh", "-c", "exec sleep 600 >/dev/null 2>/dev/null </dev/null"});
  options.time_max = std::chrono::milliseconds(300);
  const auto output = run_child(options);
  ASSERT_FALSE(output.ok());
  EXPECT_EQ(output.error().code, ErrorCode::kDeadlineExceeded);
}

TEST(ChildProcess, EndlessOutputEnds) {
  ChildProcessOptions options = options_of({"sh", "-c", "yes"});
  options.output_bytes_max = 100'000;
  const auto output = run_child(options);
  ASSERT_FALSE(output.ok());
  EXPECT_EQ(output.error().code, ErrorCode::kTooLarge);
}

TEST(ChildProcess, ACancelledOneEnds) {
  std::atomic<bool> is_cancelled = true;
  ChildProcessOptions options = options_of({"sleep", "600"});
  options.is_cancelled = &is_cancelled;
  const auto output = run_child(options);
  ASSERT_FALSE(output.ok());
  EXPECT_EQ(output.error().code, ErrorCode::kCancelled);
}

// What llama.cpp's llama-bench prints, shortened; the options are checked by the script itself.
constexpr const char* kLlamaBench = R"sh(
if [ "$1" = --help ]; then echo "  -d, --n-depth <n>   (default: 0)"; exit 0; fi
echo "$@" > "$(dirname "$0")/arguments"
p=0; n=0; d=0
while [ $# -gt 0 ]; do
  case "$1" in -p) p=$2;; -n) n=$2;; -d) d=$2;; esac
  shift
done
echo "some backend loaded"
printf '[\n  {\n "build_number": 1, "n_prompt": %s, "n_gen": %s, "n_depth": %s,' $p $n $d
printf '"avg_ns": 5, "avg_ts": 123.5, "stddev_ts": 0.1, "samples_ts": [ 123.5 ]\n }\n]\n'
)sh";

PeerOptions peer_options(const Script& script) {
  PeerOptions options;
  options.program = script.path();
  options.model_file = "/models/x.gguf";
  options.num_threads = 2;
  options.time_max = std::chrono::seconds(60);
  return options;
}

std::string line_of(const std::string& path) {
  std::string line;
  std::getline(std::ifstream(path) >> std::ws, line);
  return line;
}

TEST(PeerBench, LlamaBenchIsAskedForTheSameWork) {
  Script script(kLlamaBench);
  PeerOptions options = peer_options(script);
  options.extra = {"-rtr", "1"};
  const auto dialect = detect_llama_bench(options);
  ASSERT_TRUE(dialect.ok()) << dialect.error().message;
  EXPECT_EQ(dialect.value(), PeerDialect::kLlamaCpp);
  const auto rate = run_llama_bench(options, dialect.value(),
                                    {.kind = StepKind::kDecode, .num_tokens = 64, .depth = 4096});
  ASSERT_TRUE(rate.ok()) << rate.error().message;
  EXPECT_EQ(rate.value(), 123.5);
  EXPECT_EQ(line_of(script.beside("arguments")),
            "-m /models/x.gguf -t 2 -b 2048 -ub 512 -fa 1 -ctk f16 -ctv f16 -p 0 -n 64 -d 4096 "
            "-r 1 -o json -rtr 1");
  const auto prompt =
      run_llama_bench(options, dialect.value(), {.kind = StepKind::kPrefill, .num_tokens = 512});
  ASSERT_TRUE(prompt.ok()) << prompt.error().message;
  EXPECT_TRUE(contains(line_of(script.beside("arguments")), " -p 512 -n 0 -r 1"));
}

TEST(PeerBench, TheOtherDialectSaysDepthInItsOwnWay) {
  Script script(R"sh(
if [ "$1" = --help ]; then echo "  -gp <pp,tg>   (default: )"; exit 0; fi
echo "$@" > "$(dirname "$0")/arguments"
echo '[ {"n_prompt": 4096, "n_gen": 64, "avg_ts": 29.25, "test": "tg64@pp4096"} ]'
)sh");
  const PeerOptions options = peer_options(script);
  const auto dialect = detect_llama_bench(options);
  ASSERT_TRUE(dialect.ok()) << dialect.error().message;
  EXPECT_EQ(dialect.value(), PeerDialect::kIk);
  const auto rate = run_llama_bench(options, dialect.value(),
                                    {.kind = StepKind::kDecode, .num_tokens = 64, .depth = 4096});
  ASSERT_TRUE(rate.ok()) << rate.error().message;
  EXPECT_EQ(rate.value(), 29.25);
  EXPECT_TRUE(contains(line_of(script.beside("arguments")), " -p 0 -n 0 -gp 4096,64 "));
  const auto prompt = run_llama_bench(
      options, dialect.value(), {.kind = StepKind::kPrefill, .num_tokens = 64, .depth = 4096});
  ASSERT_FALSE(prompt.ok());
  EXPECT_EQ(prompt.error().code, ErrorCode::kUnsupported);
}

TEST(PeerBench, AnotherProgramIsNotTakenForLlamaBench) {
  Script script("echo usage: something else\n");
  const auto dialect = detect_llama_bench(peer_options(script));
  ASSERT_FALSE(dialect.ok());
  EXPECT_EQ(dialect.error().code, ErrorCode::kUnsupported);
}

TEST(PeerBench, ACrashOfThePeerIsItsOwn) {
  Script script("echo error: failed to load model >&2; exit 1\n");
  const auto rate = run_llama_bench(peer_options(script), PeerDialect::kLlamaCpp,
                                    {.kind = StepKind::kDecode, .num_tokens = 8});
  ASSERT_FALSE(rate.ok());
  EXPECT_TRUE(contains(rate.error().message, "exited with 1: error: failed to load model"));
}

TEST(PeerBench, OutputThatIsNotUnderstoodIsRefused) {
  const StepWork work{.kind = StepKind::kPrefill, .num_tokens = 512};
  for (const char* output : {
           "",
           "no array",
           "[",
           "]",
           "][",
           "[]",
           "[ 1, null, \"x\" ]",
           "[ {\"n_prompt\": 512, \"n_gen\": 0",
           "[ {\"n_prompt\": 512, \"n_gen\": 0} ]",
           "[ {\"n_prompt\": 512, \"n_gen\": 0, \"avg_ts\": \"12\"} ]",
           "[ {\"n_prompt\": 512, \"n_gen\": 0, \"avg_ts\": 0} ]",
           "[ {\"n_prompt\": 512, \"n_gen\": 0, \"avg_ts\": -3.5} ]",
           "[ {\"n_prompt\": 512, \"n_gen\": 0, \"avg_ts\": 1e999} ]",
           "[ {\"n_prompt\": 256, \"n_gen\": 0, \"avg_ts\": 5} ]",
           "[ {\"n_prompt\": 512, \"n_gen\": 0, \"n_depth\": 9, \"avg_ts\": 5} ]",
           "[ {\"n_prompt\": -512, \"n_gen\": 0, \"avg_ts\": 5} ]",
       }) {
    const auto rate = parse_llama_bench(output, PeerDialect::kLlamaCpp, work);
    EXPECT_FALSE(rate.ok()) << output;
  }
  const auto good = parse_llama_bench("[ {\"n_prompt\": 512, \"n_gen\": 0, \"avg_ts\": 7} ]",
                                      PeerDialect::kLlamaCpp, work);
  ASSERT_TRUE(good.ok()) << good.error().message;
  EXPECT_EQ(good.value(), 7);
}  // namespace

TEST(PeerBench, BatchedBenchAsJsonLinesAndAsATable) {
  const StepWork work{
      .kind = StepKind::kDecode, .num_tokens = 64, .depth = 128, .num_sequences = 8};
  const char* lines =
      "main: n_kv_max = 2048\n\n"
      "{\"n_kv_max\": 2048, \"pp\": 128, \"tg\": 64, \"pl\": 4, \"speed_tg\": 1.5}\n"
      "{\"n_kv_max\": 2048, \"pp\": 128, \"tg\": 64, \"pl\": 8, \"speed_pp\": 9.0, "
      "\"speed_tg\": 70.25}\n";
  const auto from_json = parse_batched_bench(lines, work);
  ASSERT_TRUE(from_json.ok()) << from_json.error().message;
  EXPECT_EQ(from_json.value(), 70.25);
  const char* table =
      "|    PP |     TG |    B |   N_KV |   T_PP s | S_PP t/s |   T_TG s | S_TG t/s |      T s | "
      " "
      "  S t/s |\n"
      "|-------|--------|------|--------|----------|----------|----------|----------|----------|-"
      "---------|\n"
      "|   128 |     64 |    8 |   1536 |   10.000 |   102.40 |    6.000 |    85.25 |   16.000 | "
      " "
      "  96.00 |\n";
  const auto from_table = parse_batched_bench(table, work);
  ASSERT_TRUE(from_table.ok()) << from_table.error().message;
  EXPECT_EQ(from_table.value(), 85.25);
  for (const char* output :
       {"", "|", "| 128 | 64 | 8 |", "{}", "{\"pp\": 128, \"tg\": 64, \"pl\": 8}", "{",
        "| 128 | 64 | 8 | 1 | 1 | 1 | 1 | fast | 1 | 1 |"}) {
    EXPECT_FALSE(parse_batched_bench(output, work).ok()) << output;
  }
}

TEST(PeerBench, BatchedBenchGetsAContextForAllSequences) {
  Script script(R"sh(
echo "$@" > "$(dirname "$0")/arguments"
echo '{"pp": 100, "tg": 64, "pl": 3, "speed_tg": 12.5}' >&2
)sh");
  const auto rate = run_batched_bench(
      peer_options(script),
      {.kind = StepKind::kDecode, .num_tokens = 64, .depth = 100, .num_sequences = 3});
  ASSERT_TRUE(rate.ok()) << rate.error().message;
  EXPECT_EQ(rate.value(), 12.5);
  EXPECT_TRUE(contains(line_of(script.beside("arguments")),
                       " -c 768 -npp 100 -ntg 64 -npl 3 --output-format jsonl"));
}

TEST(Ceilings, AreMeasuredWhereThereAreLoops) {
  ThreadTeam team(1);
  for (const CpuKernels* kernels : runnable_cpu_kernels()) {
    const Ceilings ceilings = measure_ceilings(kernels->isa, team);
    EXPECT_GT(ceilings.copy_bytes, 0) << kernels->isa;
    if (kernels->isa == "scalar") continue;
    EXPECT_GT(ceilings.read_bytes, 0) << kernels->isa;
    EXPECT_GT(ceilings.fma_operations, 0) << kernels->isa;
    EXPECT_GT(ceilings.int8_operations, 0) << kernels->isa;
    EXPECT_GT(ceilings.int16_operations, 0) << kernels->isa;
  }
}

// A case that is right or wrong on purpose.
class FakeCase final : public kernel_cases::KernelCase {
 public:
  explicit FakeCase(std::string wrong) : wrong_(std::move(wrong)) {}
  void reset() override {}
  void run(KernelContext&) override {}
  std::string check() override { return wrong_; }
  std::vector<std::byte> output() const override { return {}; }
  kernel_cases::Cost cost() const override {
    return {.operations = 100, .bytes = 50, .roof = kernel_cases::Roof::kInt8};
  }

 private:
  std::string wrong_;
};

TEST(KernelRows, AWrongAnswerHasNoTime) {
  ThreadTeam team(1);
  KernelContext context(*runnable_cpu_kernels().front(), team);
  for (const char* wrong : {"", "off by one"}) {
    const kernel_cases::CaseRow row{.name = "fake",
                                    .use = kernel_cases::Use::kBenchmark,
                                    .make = [wrong] { return std::make_unique<FakeCase>(wrong); }};
    const KernelTiming timing = time_kernel_row(row, context, std::chrono::milliseconds(1));
    EXPECT_EQ(timing.wrong, wrong);
    EXPECT_EQ(timing.median_seconds > 0, timing.wrong.empty());
  }
  const Ceilings ceilings{.read_bytes = 10, .fma_operations = 20, .int8_operations = 50};
  EXPECT_EQ(seconds_at_ceiling({100, 50, kernel_cases::Roof::kInt8}, ceilings), 2);
  EXPECT_EQ(seconds_at_ceiling({100, 50, kernel_cases::Roof::kFma}, ceilings), 5);
  EXPECT_EQ(seconds_at_ceiling({100, 50, kernel_cases::Roof::kBandwidth}, ceilings), 5);
}

TEST(MatrixOperations, CountTheLayersPerTokenAndTheOutputPerLogit) {
  // 0.72 G operations per prompt token and about 1 G per generated one.
  const ModelSpec spec = spec_of(*find_public_shape("qwen2.5-0.5b").value()).value();
  const double prompt =
      matrix_operations(spec, {.kind = StepKind::kPrefill, .num_tokens = 1000}) / 1000;
  EXPECT_NEAR(prompt, 0.716e9, 0.002e9);
  const double answer = matrix_operations(spec, {.kind = StepKind::kDecode, .num_tokens = 1});
  EXPECT_NEAR(answer, 0.988e9, 0.002e9);
}

}  // namespace
}  // namespace millrace
