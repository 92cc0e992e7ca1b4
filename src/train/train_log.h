// What a run reports as it goes: records in a file of JSON lines, and a page of plots of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace millrace {

struct TrainRecord {
  std::size_t step = 0;  // steps done
  double loss = 0.0;     // nats per learned token of the steps since the last record
  std::optional<double> held_out_loss;
  double learning_rate = 0.0;
  double gradient_norm = 0.0;    // before clipping
  std::uint64_t num_tokens = 0;  // trained on since step 0, padding left out
  double tokens_per_second = 0.0;
  double seconds_left = 0.0;

  bool operator==(const TrainRecord&) const = default;
};

std::string train_record_line(const TrainRecord& record);
Result<TrainRecord> parse_train_record(const std::string& line, const std::string& name);

// log.jsonl and report.html of a run's folder. One thread.
class TrainLog {
 public:
  // Goes on behind `num_steps`: later records, which a killed run has left, are taken out.
  static Result<TrainLog> open(const std::string& folder, std::size_t num_steps);

  Status append(const TrainRecord& record);
  Status write_report(const std::string& title) const;
  const std::vector<TrainRecord>& records() const { return records_; }

 private:
  explicit TrainLog(std::string folder) : folder_(std::move(folder)) {}

  std::string folder_;
  std::vector<TrainRecord> records_;
  std::ofstream file_;
};

}  // namespace millrace
