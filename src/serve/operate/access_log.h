// One line of JSON for each request that ended.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/wall_clock.h"
#include "observe/line_writer.h"
#include "serve/config/server_config.h"
#include "serve/service/service_reply.h"

namespace millrace {

// The line of a record, with these fields in their order; all when none is named. What a request
// does not have (a first token, a model) is left out.
std::string access_line(const RequestRecord& record, const std::vector<std::string>& fields,
                        WallTime now);
// All that a line can have.
std::vector<std::string> access_fields();

// Hands lines to a LineWriter, so nobody waits. Any thread.
class AccessLog final : public RequestObserver {
 public:
  // As LineWriter::open; the path is not empty.
  static Result<std::unique_ptr<AccessLog>> open(const AccessLogConfig& config);

  void request_ended(const RequestRecord& record) override;

  // For SIGHUP: opens the file anew, under its new path, with its new fields.
  void reopen(const AccessLogConfig& config);
  const LineWriter& writer() const { return *writer_; }

 private:
  AccessLog(const AccessLogConfig& config, std::unique_ptr<LineWriter> writer)
      : writer_(std::move(writer)), fields_(config.fields) {}

  const std::unique_ptr<LineWriter> writer_;
  std::mutex mutex_;  // Guards fields_.
  std::vector<std::string> fields_;
};

}  // namespace millrace
