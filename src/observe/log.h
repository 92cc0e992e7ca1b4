// A line for the operator: a level, what happened, and named values beside it.
#pragma once

#include <atomic>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "observe/line_writer.h"

namespace millrace {

enum class Severity : std::uint8_t { kDebug, kInfo, kWarning, kError };

enum class LineFormat : std::uint8_t {
  kText,  // 2026-03-01T12:00:00.123Z warning: disk is full path=/var/log/x num_lines=3
  kJson,  // {"time":"2026-…","level":"warning","message":"disk is full","path":"/var/log/x",…}
};

// One named value of a line.
struct LogField {
  LogField(std::string_view field_name, std::string_view text) : name(field_name), value(text) {}
  LogField(std::string_view field_name, const std::string& text) : name(field_name), value(text) {}
  LogField(std::string_view field_name, const char* text) : name(field_name), value(text) {}
  LogField(std::string_view field_name, std::integral auto number)
      : name(field_name), value(std::to_string(number)), is_number(true) {}
  LogField(std::string_view field_name, double number);

  std::string_view name;
  std::string value;
  bool is_number = false;
};

// Formats on the calling thread and hands the line to a LineWriter, which makes nobody wait. Any
// thread.
class Log {
 public:
  // The writer outlives the log.
  Log(LineWriter& writer, LineFormat format) : writer_(writer), format_(format) {}

  void set_format(LineFormat format) { format_.store(format, std::memory_order_relaxed); }
  void set_level(Severity level) { level_.store(level, std::memory_order_relaxed); }
  Severity level() const { return level_.load(std::memory_order_relaxed); }

  using Fields = std::initializer_list<LogField>;
  void write(Severity level, std::string_view message, Fields fields = {});
  void debug(std::string_view message, Fields fields = {}) {
    write(Severity::kDebug, message, fields);
  }
  void info(std::string_view message, Fields fields = {}) {
    write(Severity::kInfo, message, fields);
  }
  void warning(std::string_view message, Fields fields = {}) {
    write(Severity::kWarning, message, fields);
  }
  void error(std::string_view message, Fields fields = {}) {
    write(Severity::kError, message, fields);
  }

 private:
  LineWriter& writer_;
  std::atomic<LineFormat> format_;
  std::atomic<Severity> level_{Severity::kInfo};
};

// "debug", "info", "warning" or "error".
std::string_view severity_name(Severity level);

}  // namespace millrace
