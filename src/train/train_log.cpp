// Records of a run, and their plots.
#include "train/train_log.h"

#include <cmath>
#include <cstdio>
#include <sstream>

#include "base/file.h"
#include "base/json.h"
#include "report/page.h"

namespace millrace {
namespace {

constexpr std::uint64_t kLogBytesMax = 256ull << 20;
constexpr std::size_t kPlotColumns = 600;

std::string rounded(double value, int digits) {
  std::ostringstream text;
  text.precision(digits);
  text << std::fixed << value;
  return text.str();
}

LinePlot plot_of(const std::string& title, const std::string& y_label) {
  return {.title = title, .x_label = "step", .y_label = y_label, .series = {}};
}

PlotSeries series_of(const std::vector<TrainRecord>& records, const std::string& name,
                     std::optional<double> (*value)(const TrainRecord&)) {
  std::vector<PlotPoint> points;
  for (const TrainRecord& record : records) {
    const std::optional<double> y = value(record);
    if (y) points.push_back({static_cast<double>(record.step), *y});
  }
  return {name, thinned(points, kPlotColumns)};
}

}  // namespace

std::string train_record_line(const TrainRecord& record) {
  OrderedJson json = {{"step", record.step}, {"loss", record.loss}};
  if (record.held_out_loss) json["held_out_loss"] = *record.held_out_loss;
  json["learning_rate"] = record.learning_rate;
  json["gradient_norm"] = record.gradient_norm;
  json["tokens"] = record.num_tokens;
  json["tokens_per_second"] = record.tokens_per_second;
  json["seconds_left"] = record.seconds_left;
  return json.dump();
}

Result<TrainRecord> parse_train_record(const std::string& line, const std::string& name) {
  const Json json = TRY(parse_json(line, name));
  const auto number = [&](const char* key) {
    const auto found = json.find(key);
    return found != json.end() && found->is_number() ? found->get<double>() : 0.0;
  };
  if (!json.is_object() || !json.contains("step") || !json["step"].is_number_unsigned()) {
    return Error{ErrorCode::kCorruptData, name + ": expected a record with a step"};
  }
  TrainRecord record;
  record.step = json["step"].get<std::size_t>();
  record.loss = number("loss");
  if (json.contains("held_out_loss")) record.held_out_loss = number("held_out_loss");
  record.learning_rate = number("learning_rate");
  record.gradient_norm = number("gradient_norm");
  record.num_tokens = static_cast<std::uint64_t>(number("tokens"));
  record.tokens_per_second = number("tokens_per_second");
  record.seconds_left = number("seconds_left");
  return record;
}

Result<TrainLog> TrainLog::open(const std::string& folder, std::size_t num_steps) {
  TrainLog log(folder);
  const std::string path = folder + "/log.jsonl";
  std::string kept;
  if (file_exists(path) && num_steps > 0) {
    std::istringstream lines(TRY(read_file(path, kLogBytesMax)));
    for (std::string line; std::getline(lines, line);) {
      // A killed run may have left half a line, behind all that is kept.
      const Result<TrainRecord> record = parse_train_record(line, path);
      if (!record.ok() || record.value().step > num_steps) break;
      log.records_.push_back(record.value());
      kept += line + "\n";
    }
  }
  TRY(write_file(path, kept));
  log.file_.open(path, std::ios::app);
  if (log.file_) return log;
  return Error{ErrorCode::kUnavailable, path + ": cannot be written"};
}

Status TrainLog::append(const TrainRecord& record) {
  records_.push_back(record);
  file_ << train_record_line(record) << "\n" << std::flush;
  if (file_) return Ok{};
  return Error{ErrorCode::kUnavailable, folder_ + "/log.jsonl: cannot be written"};
}

Status TrainLog::write_report(const std::string& title) const {
  using Value = std::optional<double>;
  LinePlot loss = plot_of("Loss", "nats per token");
  loss.series.push_back(
      series_of(records_, "training", [](const TrainRecord& r) { return Value(r.loss); }));
  loss.series.push_back(
      series_of(records_, "held out", [](const TrainRecord& r) { return r.held_out_loss; }));
  LinePlot rate = plot_of("Learning rate", "per step");
  rate.series.push_back(series_of(records_, "learning rate",
                                  [](const TrainRecord& r) { return Value(r.learning_rate); }));
  LinePlot norm = plot_of("Norm of the gradient, before clipping", "norm");
  norm.series.push_back(
      series_of(records_, "norm", [](const TrainRecord& r) { return Value(r.gradient_norm); }));
  LinePlot speed = plot_of("Speed", "tokens per second");
  speed.series.push_back(series_of(records_, "tokens per second", [](const TrainRecord& r) {
    return Value(r.tokens_per_second);
  }));
  HtmlPage page(title);
  if (!records_.empty()) {
    const TrainRecord& last = records_.back();
    page.add_paragraph("Step " + std::to_string(last.step) + ", " +
                       std::to_string(last.num_tokens) + " tokens, loss " + rounded(last.loss, 4) +
                       ".");
  }
  for (const LinePlot* plot : {&loss, &rate, &norm, &speed}) page.add_plot(*plot);
  return write_file(folder_ + "/report.html", page.text());
}

}  // namespace millrace
