// `millrace bench cost-model`: times real steps of many shapes and fits how long a step takes.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "cli/command.h"
#include "cli/cost_model_bench.h"
#include "cli/version.h"
#include "model/read_spec.h"

namespace millrace {
namespace {

struct CostModelOptions {
  ModelOptions model;
  StepMeasurement measurement;
  std::optional<std::size_t> depth_max;  // tokens in the cache before a step
  std::string out_path;
  bool as_json = false;
};

// A model of a short context is measured within it, unless a depth was asked for.
StepLimits step_limits(const CostModelOptions& options, std::size_t context) {
  StepLimits limits;
  if (options.depth_max) {
    limits.depth_max = *options.depth_max;
  } else if (context < limits.depth_max + limits.chunk_max) {
    limits.chunk_max = std::max<std::size_t>(std::min(limits.chunk_max, context / 2), 1);
    limits.depth_max = std::max<std::size_t>(context - limits.chunk_max, 1);
  }
  return limits;
}

Status report_fit(const CostModelOptions& options, const StepCost& cost,
                  const std::vector<double>& errors) {
  OrderedJson object = step_cost_json(cost);
  object["commit"] = commit_text();
  object["error_median"] = at_part(errors, 0.5);
  object["error_p95"] = at_part(errors, 0.95);
  if (!options.out_path.empty()) TRY(write_file(options.out_path, object.dump(1) + "\n"));
  if (options.as_json) {
    std::printf("%s\n", object.dump().c_str());
    return Ok{};
  }
  std::printf("%s\n", cost_text(cost.roofs.front().cost).c_str());
  std::printf("on %zu shapes that the fit has not seen: error %.1f %% median, %.1f %% p95\n",
              errors.size(), 100 * at_part(errors, 0.5), 100 * at_part(errors, 0.95));
  return Ok{};
}

Status bench_cost_model(CostModelOptions options) {
  const Checkpoint checkpoint = TRY(open_model(options.model));
  const ModelSpec model = TRY(read_spec(checkpoint));
  const StepLimits limits = step_limits(options, trained_context(model));
  options.model.context = limits.depth_max + limits.chunk_max;
  const auto session = TRY(ModelSession::open(checkpoint, options.model, step_demand(limits)));
  const MeasuredCost measured = TRY(measure_step_cost(*session, limits, options.measurement));
  StepCost cost;
  cost.name = options.model.model;
  const KvCacheSpec& spec = session->cache().spec();
  cost.kv_bytes_per_token = MUST(kv_bytes_per_token(spec));  // the cache exists
  cost.roofs.push_back({"fit", measured.fit});
  return report_fit(options, cost, measured.errors);
}

}  // namespace

void add_bench_cost_model_command(CLI::App& bench, Action& action) {
  CLI::App* command = bench.add_subcommand(
      "cost-model", "Time steps of many shapes and fit a cost model for millrace simulate");
  auto options = std::make_shared<CostModelOptions>();
  command->add_option("path", options->model.model, "The model; the same as --model")
      ->type_name("PATH");
  add_model_options(*command, options->model);
  command
      ->add_option("--shapes", options->measurement.num_shapes, "How many; a third tests the fit")
      ->check(CLI::Range(6, 10'000))
      ->capture_default_str();
  command
      ->add_option("--repeats", options->measurement.num_repeats,
                   "Runs of each shape; the least counts")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  command
      ->add_option(
          "--depth", options->depth_max,
          "Most tokens in the cache before a step (default: 1024, less for a short context)")
      ->check(CLI::Range(1, 1 << 20));
  command->add_option("--seed", options->measurement.seed, "Of the shapes")->capture_default_str();
  command->add_option("--out", options->out_path, "Write the cost model")->type_name("FILE");
  command->add_flag("--json", options->as_json, "One JSON object");
  command->callback(
      [options, &action] { action = [options] { return bench_cost_model(*options); }; });
}

}  // namespace millrace
