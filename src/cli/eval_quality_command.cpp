// `millrace eval quality`: what each format of weights and cache costs, against f32 on a text.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "base/file.h"
#include "cli/bench_record.h"
#include "cli/command.h"
#include "cli/eval_text.h"
#include "cli/model_session.h"
#include "cli/model_text.h"
#include "cli/quantity.h"
#include "evaluate/divergence.h"
#include "report/table.h"

namespace millrace {
namespace {

constexpr std::size_t kWindowDefault = 256;
constexpr std::size_t kRowsAtOnce = 128;
constexpr std::uint64_t kReferenceBytesMax = 8ull << 30;

struct QualityOptions {
  ModelOptions model;
  std::string file;
  std::uint64_t num_bytes = 60'000;
  std::vector<std::string> weight_formats;
  std::vector<std::string> kv_dtypes;
  std::vector<std::string> others;
  bool as_json = false;
};

// One line of the table: a model and how it is held.
struct Candidate {
  std::string path;
  std::string weights;  // empty: as the file has them
  std::string kv;
};

std::vector<Candidate> candidates_of(const QualityOptions& options) {
  std::vector<Candidate> candidates;
  for (const std::string& format : options.weight_formats) {
    candidates.push_back({options.model.model, format, "f32"});
  }
  for (const std::string& kv : options.kv_dtypes) {
    candidates.push_back({options.model.model, "f32", kv});
  }
  for (const std::string& path : options.others) candidates.push_back({path, "", "f32"});
  return candidates;
}

Result<std::unique_ptr<ModelSession>> open_session(const QualityOptions& options,
                                                   const Candidate& candidate) {
  ModelOptions model = options.model;
  model.model = candidate.path;
  model.weight_format = candidate.weights;
  model.kv_dtype = candidate.kv;
  model.share_limit = "0";
  SessionDemand demand;
  demand.context_default = kWindowDefault;
  demand.limits = {.tokens_max = kRowsAtOnce, .logit_rows_max = kRowsAtOnce};
  return ModelSession::open(TRY(open_model(model)), model, demand);
}

double bits_per_weight(const ModelSession& session) {
  return 8.0 * static_cast<double>(session.memory().weight_bytes) /
         static_cast<double>(count_parameters(session.spec()).total);
}

std::string number_text(const char* format, double number) {
  char text[64];
  std::snprintf(text, sizeof text, format, number);
  return text;
}

void add_line(const Candidate& candidate, const ModelSession& session,
              const DivergenceReport& report, Table& table, OrderedJson& json) {
  const bool is_other = candidate.weights.empty();
  const std::string weights = is_other ? candidate.path : candidate.weights;
  const double bits = bits_per_weight(session);
  table.add_row({weights, candidate.kv, number_text("%.2f", bits),
                 number_text("%.6f", report.mean_kl), number_text("%.6f", report.kl_standard_error),
                 number_text("%.5f", report.kl_p99),
                 number_text("%.2f %%", 100.0 * report.top1_agreement),
                 number_text("%.4f", report.perplexity)});
  json.push_back({{"weights", weights},
                  {"kv_dtype", candidate.kv},
                  {"bits_per_weight", bits},
                  {"mean_kl", report.mean_kl},
                  {"kl_standard_error", report.kl_standard_error},
                  {"kl_p99", report.kl_p99},
                  {"top1_agreement", report.top1_agreement},
                  {"perplexity", report.perplexity},
                  {"matrices_kept", session.model().report().num_kept}});
}

Table quality_table() {
  Table table;
  table.columns = {{"weights", Align::kLeft},
                   {"cache", Align::kLeft},
                   {"bits"},
                   {"KL"},
                   {"+-"},
                   {"KL p99"},
                   {"top-1 same"},
                   {"perplexity"}};
  return table;
}

void print_report(const QualityOptions& options, const ModelSession& session,
                  std::size_t num_scored, double perplexity, const Table& table, OrderedJson rows) {
  if (options.as_json) {
    OrderedJson record =
        bench_record("quality", session.machine().kernels->isa, session.machine().num_threads);
    record["model"] = options.model.model;
    record["text"] = options.file;
    record["tokens_scored"] = num_scored;
    record["reference_perplexity"] = perplexity;
    record["rows"] = std::move(rows);
    std::printf("%s\n", record.dump(-1, ' ', false, Json::error_handler_t::replace).c_str());
    return;
  }
  std::printf("%s\nagainst f32 weights and cache of %s, perplexity %.4f; %zu tokens scored of %s\n",
              table_text(table).c_str(), options.model.model.c_str(), perplexity, num_scored,
              options.file.c_str());
}

Status quality(QualityOptions& options) {
  const std::string text = TRY(read_first_bytes(options.file, options.num_bytes));
  const Checkpoint checkpoint = TRY(open_model(options.model));
  const ModelText model_text = TRY(load_model_text(checkpoint));
  const std::vector<TokenId> ids = TRY(model_text.tokenizer.encode(text));
  const auto session = TRY(open_session(options, {options.model.model, "f32", "f32"}));
  PerplexityOptions measure;
  measure.window_tokens = session->context_tokens();
  if (!ids.empty() && model_text.tokenizer.bos_id() == ids.front()) measure.bos = ids.front();
  const ReferencePredictions reference = TRY(ReferencePredictions::measure(
      session->decoder(), session->context(), session->cache(), ids, measure, kReferenceBytesMax));
  Table table = quality_table();
  OrderedJson rows = OrderedJson::array();
  double perplexity = 0.0;
  for (const Candidate& candidate : candidates_of(options)) {
    const auto other = TRY(open_session(options, candidate));
    const DivergenceReport report =
        TRY(measure_divergence(reference, other->decoder(), other->context(), other->cache(), ids));
    perplexity = report.reference_perplexity;
    add_line(candidate, *other, report, table, rows);
  }
  print_report(options, *session, reference.num_scored(), perplexity, table, std::move(rows));
  return Ok{};
}

std::vector<std::string> all_weight_formats() {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < kNumWeightFormats; ++i) {
    names.emplace_back(weight_format_name(static_cast<WeightFormat>(i)));
  }
  return names;
}

constexpr const char* kFooter =
    "KL is KL(f32 || format) per token in nats, over the later half of windows of --context "
    "tokens\n"
    "(256); top-1 the share of tokens at which both have the same likeliest next one. --against\n"
    "adds other files of the same model, such as GGUF files that other programs quantised.";

}  // namespace

void add_eval_quality_command(CLI::App& eval, Action& action) {
  CLI::App* command = eval.add_subcommand(
      "quality", "KL divergence and agreement of every format of weights and cache with f32");
  auto options = std::make_shared<QualityOptions>();
  options->weight_formats = all_weight_formats();
  options->kv_dtypes = {"f16", "bf16", "int8"};
  command->add_option("path", options->model.model, "The model; the same as --model")
      ->type_name("PATH");
  command->add_option("--text", options->file, "The text")->type_name("FILE")->required();
  command->add_option("--bytes", options->num_bytes, "Only the first so many bytes of it")
      ->capture_default_str();
  command->add_option("--formats", options->weight_formats, "Formats of weights (all)")
      ->delimiter(',');
  command->add_option("--caches", options->kv_dtypes, "Formats of the cache (all)")->delimiter(',');
  command->add_option("--against", options->others, "More files of the same model")
      ->type_name("PATH")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  add_model_options(*command, options->model);
  command->add_flag("--json", options->as_json, "One JSON object");
  command->footer(kFooter);
  command->callback([options, &action] { action = [options] { return quality(*options); }; });
}

}  // namespace millrace
