// Date, machine and commit of a measurement.
#include "cli/bench_record.h"

#include <array>
#include <cstdio>

#include "base/machine.h"
#include "base/wall_clock.h"
#include "cli/version.h"

namespace millrace {
namespace {

std::string formatted(const char* format, double number) {
  std::array<char, 64> text;
  const int length = std::snprintf(text.data(), text.size(), format, number);
  return {text.data(), static_cast<std::size_t>(length)};
}

}  // namespace

OrderedJson bench_record(const std::string& bench, std::string_view isa, std::size_t num_threads) {
  return {{"date", utc_text(wall_now()).substr(0, 10)},
          {"bench", bench},
          {"machine", cpu_name()},
          {"threads", num_threads},
          {"isa", isa},
          {"commit", commit_text()}};
}

OrderedJson ceilings_json(const Ceilings& ceilings) {
  OrderedJson json = OrderedJson::object();
  const auto add = [&json](const char* name, double value) {
    if (value > 0) json[name] = value;
  };
  add("read_bytes_per_second", ceilings.read_bytes);
  add("copy_bytes_per_second", ceilings.copy_bytes);
  add("fma_operations_per_second", ceilings.fma_operations);
  add("int8_operations_per_second", ceilings.int8_operations);
  add("int16_operations_per_second", ceilings.int16_operations);
  add("bf16_operations_per_second", ceilings.bf16_operations);
  return json;
}

std::string show_giga(double number) {
  return number > 0 ? formatted("%.1f", number * 1e-9) : "-";
}

std::string show_percent(double fraction) {
  return formatted("%.0f %%", 100.0 * fraction);
}

std::string show_rate(double rate) {
  return formatted(rate < 100 ? "%.1f" : "%.0f", rate);
}

}  // namespace millrace
