// The peers' command lines, and their JSON and tables.
#include "measure/peer_bench.h"

#include <cmath>
#include <cstdlib>
#include <optional>

#include "base/checked.h"
#include "base/json.h"
#include "measure/child_process.h"

namespace millrace {
namespace {

constexpr std::size_t kBatch = 2048;  // llama-bench's defaults, said so that both builds agree
constexpr std::size_t kMicroBatch = 512;

std::string text_of(std::size_t number) {
  return std::to_string(number);
}

ChildProcessOptions command(const PeerOptions& options, std::vector<std::string> arguments) {
  ChildProcessOptions child;
  child.arguments = {options.program};
  for (std::string& argument : arguments) child.arguments.push_back(std::move(argument));
  child.arguments.insert(child.arguments.end(), options.extra.begin(), options.extra.end());
  child.time_max = options.time_max;
  child.is_cancelled = options.is_cancelled;
  return child;
}

std::vector<std::string> common_arguments(const PeerOptions& options) {
  return {"-m",   options.model_file,
          "-t",   text_of(options.num_threads),
          "-b",   text_of(kBatch),
          "-ub",  text_of(kMicroBatch),
          "-fa",  "1",
          "-ctk", options.kv_type,
          "-ctv", options.kv_type};
}

// The dialects' words for a work.
Result<std::vector<std::string>> work_arguments(PeerDialect dialect, const StepWork& work) {
  const std::string tokens = text_of(work.num_tokens);
  const bool is_prompt = work.kind == StepKind::kPrefill;
  if (dialect == PeerDialect::kIk && work.depth > 0) {
    if (is_prompt) {
      return Error{ErrorCode::kUnsupported,
                   "this build of llama-bench has no -d, so it cannot time a prompt at depth " +
                       text_of(work.depth)};
    }
    return std::vector<std::string>{"-p", "0",   "-n",
                                    "0",  "-gp", text_of(work.depth) + "," + tokens};
  }
  std::vector<std::string> arguments = {"-p", is_prompt ? tokens : "0", "-n",
                                        is_prompt ? "0" : tokens};
  if (work.depth > 0) {
    arguments.push_back("-d");
    arguments.push_back(text_of(work.depth));
  }
  return arguments;
}

Error not_understood(const std::string& what) {
  return {ErrorCode::kCorruptData, "the peer's output is not understood: " + what};
}

std::size_t count_in(const Json& entry, const char* key) {
  const auto found = entry.find(key);
  return found != entry.end() && found->is_number_unsigned() ? found->get<std::size_t>() : 0;
}

// Whether an entry of llama-bench is about the work.
bool is_of_work(const Json& entry, PeerDialect dialect, const StepWork& work) {
  if (!entry.is_object()) return false;
  const bool is_prompt = work.kind == StepKind::kPrefill;
  const std::size_t num_prompt = count_in(entry, "n_prompt");
  const std::size_t num_generated = count_in(entry, "n_gen");
  if (dialect == PeerDialect::kIk && work.depth > 0) {
    return num_prompt == work.depth && num_generated == work.num_tokens;
  }
  return num_prompt == (is_prompt ? work.num_tokens : 0) &&
         num_generated == (is_prompt ? 0 : work.num_tokens) &&
         count_in(entry, "n_depth") == work.depth;
}

Result<double> positive_rate(const Json& entry, const char* key) {
  const auto found = entry.find(key);
  if (found == entry.end() || !found->is_number()) {
    return not_understood(std::string("an entry has no number called ") + key);
  }
  const auto rate = found->get<double>();
  if (std::isfinite(rate) && rate > 0) return rate;
  return not_understood(std::string(key) + " is " + found->dump() + ", expected more than 0");
}

// The cells of "|   128 |     64 |    1 | …"; empty for other lines.
std::vector<std::string> table_cells(std::string_view line) {
  std::vector<std::string> cells;
  if (line.empty() || line.front() != '|') return cells;
  std::size_t begin = 1;
  for (std::size_t end = line.find('|', begin); end != std::string_view::npos;
       begin = end + 1, end = line.find('|', begin)) {
    std::string_view cell = line.substr(begin, end - begin);
    while (!cell.empty() && cell.front() == ' ') cell.remove_prefix(1);
    while (!cell.empty() && cell.back() == ' ') cell.remove_suffix(1);
    cells.emplace_back(cell);
  }
  return cells;
}

// The rate in one line of llama-batched-bench, as JSON or as a row of its table; nothing when the
// line is about something else.
Result<std::optional<double>> batch_rate(std::string_view line, const StepWork& work) {
  if (line.starts_with("{")) {
    const Json entry = TRY(parse_json(line, "llama-batched-bench"));
    if (count_in(entry, "pp") != work.depth || count_in(entry, "tg") != work.num_tokens ||
        count_in(entry, "pl") != work.num_sequences) {
      return std::optional<double>();
    }
    return std::optional<double>(TRY(positive_rate(entry, "speed_tg")));
  }
  constexpr std::size_t kColumns = 10;  // PP TG B N_KV T_PP S_PP T_TG S_TG T S
  constexpr std::size_t kRate = 7;
  const std::vector<std::string> cells = table_cells(line);
  if (cells.size() != kColumns || cells[0] != text_of(work.depth) ||
      cells[1] != text_of(work.num_tokens) || cells[2] != text_of(work.num_sequences)) {
    return std::optional<double>();
  }
  const double rate = std::strtod(cells[kRate].c_str(), nullptr);
  if (!std::isfinite(rate) || rate <= 0) {
    return not_understood("S_TG is \"" + cells[kRate] + "\", expected more than 0");
  }
  return std::optional<double>(rate);
}

}  // namespace

Result<PeerDialect> detect_llama_bench(const PeerOptions& options) {
  ChildProcessOptions child;
  child.arguments = {options.program, "--help"};
  child.time_max = std::min<Duration>(options.time_max, std::chrono::seconds(60));
  child.is_cancelled = options.is_cancelled;
  const ChildOutput output = TRY(run_child(child));
  const std::string help = output.standard_output + output.standard_error;
  if (help.find("--n-depth") != std::string::npos) return PeerDialect::kLlamaCpp;
  if (help.find("-gp <pp,tg>") != std::string::npos) return PeerDialect::kIk;
  return Error{ErrorCode::kUnsupported,
               options.program +
                   ": its help has neither --n-depth nor -gp <pp,tg>, as those of "
                   "llama-bench do"};
}

Result<double> run_llama_bench(const PeerOptions& options, PeerDialect dialect,
                               const StepWork& work) {
  CHECK(work.num_sequences == 1);
  std::vector<std::string> arguments = common_arguments(options);
  for (std::string& argument : TRY(work_arguments(dialect, work))) {
    arguments.push_back(std::move(argument));
  }
  for (const char* argument : {"-r", "1", "-o", "json"}) arguments.emplace_back(argument);
  const ChildOutput output = TRY(run_child(command(options, std::move(arguments))));
  return parse_llama_bench(output.standard_output, dialect, work);
}

Result<double> run_batched_bench(const PeerOptions& options, const StepWork& work) {
  std::vector<std::string> arguments = common_arguments(options);
  // A context of its own for every sequence, which llama.cpp cuts out of the whole in these steps.
  constexpr std::size_t kContextStep = 256;
  const std::size_t context =
      work.num_sequences * round_up(work.tokens_per_sequence(), kContextStep);
  for (const std::string& argument :
       {std::string("-c"), text_of(context), std::string("-npp"), text_of(work.depth),
        std::string("-ntg"), text_of(work.num_tokens), std::string("-npl"),
        text_of(work.num_sequences), std::string("--output-format"), std::string("jsonl")}) {
    arguments.push_back(argument);
  }
  const ChildOutput output = TRY(run_child(command(options, std::move(arguments))));
  // Builds differ in where they print it.
  return parse_batched_bench(output.standard_output + "\n" + output.standard_error, work);
}

Result<double> parse_llama_bench(std::string_view output, PeerDialect dialect,
                                 const StepWork& work) {
  // Some builds print a line or two about the machine first.
  std::size_t begin = output.find("[\n");
  if (begin == std::string_view::npos) begin = output.find('[');
  const std::size_t end = output.rfind(']');
  if (begin == std::string_view::npos || end == std::string_view::npos || end < begin) {
    return not_understood("there is no JSON array in it");
  }
  const Json entries = TRY(parse_json(output.substr(begin, end - begin + 1), "llama-bench"));
  for (const Json& entry : entries) {
    if (is_of_work(entry, dialect, work)) return positive_rate(entry, "avg_ts");
  }
  return not_understood("no entry has " + text_of(work.num_tokens) + " tokens at depth " +
                        text_of(work.depth));
}

Result<double> parse_batched_bench(std::string_view output, const StepWork& work) {
  while (!output.empty()) {
    const std::size_t end = output.find('\n');
    const auto rate = TRY(batch_rate(output.substr(0, end), work));
    if (rate) return *rate;
    if (end == std::string_view::npos) break;
    output.remove_prefix(end + 1);
  }
  return not_understood("no row has " + text_of(work.num_sequences) + " sequences of " +
                        text_of(work.depth) + " and " + text_of(work.num_tokens) + " tokens");
}

}  // namespace millrace
