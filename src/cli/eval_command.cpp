// `millrace eval perplexity`: how well a model predicts a text.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "cli/command.h"
#include "cli/eval_text.h"
#include "cli/model_session.h"
#include "cli/model_text.h"
#include "cli/progress_bar.h"
#include "cli/version.h"
#include "evaluate/perplexity.h"

namespace millrace {
namespace {

constexpr std::size_t kWindowDefault = 512;

struct PerplexityCommand {
  ModelOptions model;
  std::string file;
  std::optional<std::uint64_t> num_bytes;
  bool as_json = false;
};

void print_report(const PerplexityReport& report, const PerplexityCommand& options,
                  const ModelSession& session, std::size_t window) {
  if (options.as_json) {
    const OrderedJson json = {
        {"perplexity", report.perplexity},
        {"mean_nll", report.mean_nll},
        {"standard_error", report.standard_error},
        {"tokens_scored", report.num_scored},
        {"windows", report.num_windows},
        {"context", window},
        {"model", options.model.model},
        {"text", options.file},
        {"kv_dtype", dtype_name(session.machine().kv_dtype)},
        {"isa", session.machine().kernels->isa},
        {"commit", commit_text()},
    };
    std::printf("%s\n", json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace).c_str());
    return;
  }
  std::printf(
      "perplexity %.4f +- %.4f\n%zu tokens scored in %zu windows of %zu, the later half of each; "
      "cache %s, %s kernels\n",
      report.perplexity, report.perplexity * report.standard_error, report.num_scored,
      report.num_windows, window, std::string(dtype_name(session.machine().kv_dtype)).c_str(),
      std::string(session.machine().kernels->isa).c_str());
}

Status perplexity(PerplexityCommand& options) {
  const std::string text = TRY(read_first_bytes(options.file, options.num_bytes));
  const Checkpoint checkpoint = TRY(open_model(options.model));
  const ModelText model_text = TRY(load_model_text(checkpoint));
  SessionDemand demand;
  demand.context_default = kWindowDefault;
  demand.limits = {.tokens_max = 256, .logit_rows_max = 256};
  const auto session = TRY(ModelSession::open(checkpoint, options.model, demand));
  const std::vector<TokenId> ids = TRY(model_text.tokenizer.encode(text));
  PerplexityOptions measure;
  measure.window_tokens = session->context_tokens();
  // Every window begins as a text does.
  if (!ids.empty() && model_text.tokenizer.bos_id() == ids.front()) measure.bos = ids.front();
  ProgressBar bar("scoring");
  const PerplexityReport report = TRY(
      measure_perplexity(session->decoder(), session->context(), session->cache(), ids, measure,
                         [&bar](std::size_t done, std::size_t total) { bar.update(done, total); }));
  print_report(report, options, *session, measure.window_tokens);
  return Ok{};
}

}  // namespace

void add_eval_command(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("eval", "Measure the quality of a model");
  command->require_subcommand(1);
  add_eval_quality_command(*command, action);
  CLI::App* measure = command->add_subcommand(
      "perplexity",
      "Perplexity over a text: windows of --context tokens that do not overlap, each begun anew "
      "with the tokeniser's bos; the later half of each window is scored");
  auto options = std::make_shared<PerplexityCommand>();
  measure->add_option("path", options->model.model, "The model; the same as --model")
      ->type_name("PATH");
  measure->add_option("--text", options->file, "The text")->type_name("FILE")->required();
  measure->add_option("--bytes", options->num_bytes, "Only the first so many bytes of it");
  add_model_options(*measure, options->model);
  measure->add_flag("--json", options->as_json, "One JSON object");
  measure->callback([options, &action] { action = [options] { return perplexity(*options); }; });
}

}  // namespace millrace
