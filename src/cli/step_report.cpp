// One line per work: rates, fractions of the ceilings, ratios to the peers.
#include "cli/step_report.h"

#include <cstdio>

#include "cli/bench_record.h"
#include "cli/quantity.h"
#include "report/table.h"

namespace millrace {
namespace {

// Of most of the model's weights.
WeightFormat main_format(const ModelSession& session) {
  const FeedForwardWeights& weights = session.model().weights().layers.front().feed_forward;
  if (!weights.expert_down.empty()) return weights.expert_down.front().format;
  return weights.down.format;
}

// What the products of that format cannot exceed.
double product_ceiling(const StepReport& report, const ModelSession& session) {
  return needs_quantized_rows(main_format(session)) ? report.ceilings.int8_operations
                                                    : report.ceilings.fma_operations;
}

std::string work_text(const StepWork& work) {
  std::string text = std::to_string(work.num_tokens) + " tokens";
  if (work.num_sequences > 1) text += " x " + std::to_string(work.num_sequences);
  if (work.depth > 0) text += " after " + std::to_string(work.depth);
  return text;
}

std::string fraction_text(double value, double ceiling) {
  return value > 0 && ceiling > 0 ? show_percent(value / ceiling) : "-";
}

std::string ratio_text(double number) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", number);
  return text;
}

OrderedJson peer_json(const PeerRates& peer) {
  return {{"name", peer.name},
          {"tokens_per_second", rate_spread(peer.rates.peers).median},
          {"ours_tokens_per_second", rate_spread(peer.rates.ours).median},
          {"ratio", peer.rates.ratio.median},
          {"ratio_min", peer.rates.ratio.min},
          {"ratio_max", peer.rates.ratio.max},
          {"ours", peer.rates.ours},
          {"peer", peer.rates.peers}};
}

}  // namespace

const char* step_command_name(StepCommand command) {
  switch (command) {
    case StepCommand::kPrefill:
      return "prefill";
    case StepCommand::kDecode:
      return "decode";
    case StepCommand::kBatch:
      return "batch";
    case StepCommand::kDepth:
      return "depth";
  }
  return "";
}

std::string step_report_text(const StepReport& report, const ModelSession& session) {
  Table table;
  table.columns = {{step_command_name(report.command), Align::kLeft},
                   {"tokens/s"},
                   {"+-"},
                   {"GB/s"},
                   {"of read"},
                   {"G op/s"},
                   {"of ceiling"}};
  for (const PeerRates& peer : report.results.front().peers) {
    table.columns.push_back({peer.name});
    table.columns.push_back({"ratio"});
    table.columns.push_back({"min - max", Align::kLeft});
  }
  for (const StepResult& result : report.results) {
    std::vector<std::string> cells = {
        work_text(result.work),
        show_rate(result.ours.median),
        show_percent(result.ours.mad / result.ours.median),
        show_giga(result.bytes_per_second),
        fraction_text(result.bytes_per_second, report.ceilings.read_bytes),
        show_giga(result.operations_per_second),
        fraction_text(result.operations_per_second, product_ceiling(report, session))};
    for (const PeerRates& peer : result.peers) {
      cells.push_back(show_rate(rate_spread(peer.rates.peers).median));
      cells.push_back(ratio_text(peer.rates.ratio.median));
      cells.push_back(ratio_text(peer.rates.ratio.min) + " - " + ratio_text(peer.rates.ratio.max));
    }
    table.add_row(std::move(cells));
  }
  std::string text = table_text(table);
  text += "\n" + report.model + ", weights " + show_bytes(session.memory().weight_bytes) +
          " mostly " + std::string(weight_format_name(main_format(session))) + ", cache " +
          std::string(dtype_name(session.machine().kv_dtype)) + ", " +
          std::to_string(session.machine().num_threads) + " threads, " +
          std::string(session.machine().kernels->isa) + "\n";
  text += "in this run: read " + show_giga(report.ceilings.read_bytes) + " GB/s, products " +
          show_giga(product_ceiling(report, session)) + " G op/s\n";
  return text;
}

OrderedJson step_report_json(const StepReport& report, const ModelSession& session) {
  OrderedJson json = bench_record(step_command_name(report.command), session.machine().kernels->isa,
                                  session.machine().num_threads);
  json["model"] = report.model;
  json["kv_dtype"] = dtype_name(session.machine().kv_dtype);
  json["weight_format"] = weight_format_name(main_format(session));
  json["weight_bytes"] = session.memory().weight_bytes;
  json["ceilings"] = ceilings_json(report.ceilings);
  json["results"] = OrderedJson::array();
  for (const StepResult& result : report.results) {
    OrderedJson line = {{"tokens", result.work.num_tokens},
                        {"depth", result.work.depth},
                        {"sequences", result.work.num_sequences},
                        {"tokens_per_second", result.ours.median},
                        {"relative_mad", result.ours.mad / result.ours.median},
                        {"operations_per_second", result.operations_per_second}};
    const double ceiling = product_ceiling(report, session);
    if (ceiling > 0) line["fraction_of_ceiling"] = result.operations_per_second / ceiling;
    if (result.prompt_tokens_per_second) {
      line["prompt_tokens_per_second"] = *result.prompt_tokens_per_second;
    }
    if (result.bytes_per_second > 0 && report.ceilings.read_bytes > 0) {
      line["bytes_per_second"] = result.bytes_per_second;
      line["fraction_of_bandwidth"] = result.bytes_per_second / report.ceilings.read_bytes;
    }
    for (const PeerRates& peer : result.peers) line["peers"].push_back(peer_json(peer));
    json["results"].push_back(std::move(line));
  }
  return json;
}

}  // namespace millrace
