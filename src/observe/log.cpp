// Formatting of log lines: nothing in a value can end a line or begin a field.
#include "observe/log.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>

#include "base/json.h"
#include "base/wall_clock.h"

namespace millrace {
namespace {

std::string json_text(std::string_view text) {
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

bool is_plain_word(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return std::isgraph(static_cast<unsigned char>(c)) != 0 && c != '"' && c != '=' && c != '\\';
  });
}

// A message may have spaces and other languages, but no line ends and other controls.
std::string one_line(std::string_view message) {
  std::string line(message);
  for (char& letter : line) {
    if (static_cast<unsigned char>(letter) < ' ' || letter == 0x7f) letter = ' ';
  }
  return line;
}

std::string text_line(const std::string& time, Severity level, std::string_view message,
                      Log::Fields fields) {
  std::string line = time + " " + std::string(severity_name(level)) + ": " + one_line(message);
  for (const LogField& field : fields) {
    line += " " + std::string(field.name) + "=" +
            (field.is_number || is_plain_word(field.value) ? field.value : json_text(field.value));
  }
  return line;
}

std::string json_line(const std::string& time, Severity level, std::string_view message,
                      Log::Fields fields) {
  std::string line = "{\"time\":\"" + time + "\",\"level\":\"" + std::string(severity_name(level)) +
                     "\",\"message\":" + json_text(message);
  for (const LogField& field : fields) {
    line += "," + json_text(field.name) + ":" +
            (field.is_number ? field.value : json_text(field.value));
  }
  return line + "}";
}

}  // namespace

LogField::LogField(std::string_view field_name, double number) : name(field_name) {
  std::array<char, 32> text{};
  const auto [end, failed] = std::to_chars(text.data(), text.data() + text.size(), number);
  value = failed == std::errc() ? std::string(text.data(), end) : "";
  is_number = std::isfinite(number);
}

std::string_view severity_name(Severity level) {
  static constexpr std::array<std::string_view, 4> kNames = {"debug", "info", "warning", "error"};
  return kNames.at(static_cast<std::size_t>(level));
}

void Log::write(Severity level, std::string_view message, Fields fields) {
  if (level < this->level()) return;
  const std::string time = utc_text(wall_now());
  writer_.try_write(format_ == LineFormat::kJson ? json_line(time, level, message, fields)
                                                 : text_line(time, level, message, fields));
}

}  // namespace millrace
