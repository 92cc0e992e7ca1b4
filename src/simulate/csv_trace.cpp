// Traces in CSV: Azure's and vidur's columns, in any order.
#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <optional>
#include <vector>

#include "simulate/text_lines.h"
#include "simulate/trace_reader.h"

namespace millrace {
namespace {

constexpr std::size_t kColumnsMax = 64;
// Three hundred years: in nanoseconds beyond it, times would not fit 63 bits.
constexpr double kSecondsMax = 9e9;

// What services and tools call a column, in lower case.
constexpr std::array<std::string_view, 1> kTimestampNames = {"timestamp"};
constexpr std::array<std::string_view, 2> kArrivedNames = {"arrived_at", "arrival"};
constexpr std::array<std::string_view, 6> kPromptNames = {"contexttokens",  "num_prefill_tokens",
                                                          "request tokens", "prompt_tokens",
                                                          "input_length",   "input_tokens"};
constexpr std::array<std::string_view, 6> kOutputNames = {"generatedtokens", "num_decode_tokens",
                                                          "response tokens", "completion_tokens",
                                                          "output_length",   "output_tokens"};
constexpr std::array<std::string_view, 1> kClassNames = {"class"};

struct Columns {
  std::optional<std::size_t> timestamp;
  std::optional<std::size_t> arrived_at;
  std::optional<std::size_t> num_prompt;
  std::optional<std::size_t> num_output;
  std::optional<std::size_t> class_index;
  std::size_t count = 0;  // of the header
};

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

// The end of a field that begins with a quote: behind the quote that closes it. Two in a row stand
// for one. Nothing when none closes it.
std::optional<std::size_t> quoted_end(std::string_view line) {
  for (std::size_t at = 1; at < line.size(); ++at) {
    if (line[at] != '"') continue;
    if (at + 1 < line.size() && line[at + 1] == '"') {
      ++at;
    } else {
      return at + 1;
    }
  }
  return std::nullopt;
}

// Fields without the blanks around them and without their quotes (RFC 4180, but for line ends
// inside a field); nothing when a quote does not close or text follows one.
std::optional<std::vector<std::string_view>> split(std::string_view line) {
  std::vector<std::string_view> fields;
  while (fields.size() <= kColumnsMax) {
    std::size_t comma = line.find(',');
    const std::size_t begin = line.find_first_not_of(" \t");
    if (begin != std::string_view::npos && line[begin] == '"') {
      const std::optional<std::size_t> length = quoted_end(line.substr(begin));
      if (!length) return std::nullopt;
      fields.push_back(line.substr(begin + 1, *length - 2));
      comma = line.find(',', begin + *length);
      if (!trimmed(line.substr(begin + *length, comma - begin - *length)).empty()) {
        return std::nullopt;
      }
    } else {
      fields.push_back(trimmed(line.substr(0, comma)));
    }
    if (comma == std::string_view::npos) return fields;
    line = line.substr(comma + 1);
  }
  return fields;
}

template <std::size_t N>
bool is_one_of(std::string_view name, const std::array<std::string_view, N>& names) {
  std::string lower(name);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return std::find(names.begin(), names.end(), lower) != names.end();
}

template <class Number>
std::optional<Number> number_of(std::string_view text) {
  Number number{};
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size()) return std::nullopt;
  return number;
}

// A fraction of a second from its digits after the point; nothing when there are others.
std::optional<std::int64_t> fraction_ns(std::string_view digits) {
  constexpr std::size_t kDigits = 9;
  if (digits.empty() || digits.size() > 18) return std::nullopt;
  std::int64_t value = 0;
  for (std::size_t i = 0; i < std::max(digits.size(), kDigits); ++i) {
    const char c = i < digits.size() ? digits[i] : '0';
    if (c < '0' || c > '9') return std::nullopt;
    if (i < kDigits) value = value * 10 + (c - '0');
  }
  return value;
}

// "2023-11-16 18:15:46.6805900", with or without a fraction and a "+00:00" or a Z behind it.
std::optional<Duration> date_and_time(std::string_view text) {
  for (const std::string_view utc : {"+00:00", "Z"}) {
    if (text.ends_with(utc)) text.remove_suffix(utc.size());
  }
  constexpr std::size_t kWhole = 19;
  if (text.size() < kWhole || text[4] != '-' || text[7] != '-' || text[13] != ':' ||
      text[16] != ':' || (text[10] != ' ' && text[10] != 'T')) {
    return std::nullopt;
  }
  const auto part = [&](std::size_t at, std::size_t count) {
    return number_of<unsigned>(text.substr(at, count));
  };
  const std::array<std::optional<unsigned>, 6> parts = {part(0, 4),  part(5, 2),  part(8, 2),
                                                        part(11, 2), part(14, 2), part(17, 2)};
  for (const auto& one : parts) {
    if (!one) return std::nullopt;
  }
  const std::chrono::year_month_day day{std::chrono::year(static_cast<int>(*parts[0])),
                                        std::chrono::month(*parts[1]), std::chrono::day(*parts[2])};
  const bool is_time = *parts[3] < 24 && *parts[4] < 60 && *parts[5] <= 60;
  // In nanoseconds since 1970, years from 1700 to 2260 fit 63 bits.
  const bool is_year = *parts[0] >= 1970 && *parts[0] < 2260;
  if (!day.ok() || !is_time || !is_year) return std::nullopt;
  std::int64_t fraction = 0;
  if (text.size() > kWhole) {
    const auto read = text[kWhole] == '.' ? fraction_ns(text.substr(kWhole + 1)) : std::nullopt;
    if (!read) return std::nullopt;
    fraction = *read;
  }
  return std::chrono::sys_days(day).time_since_epoch() + std::chrono::hours(*parts[3]) +
         std::chrono::minutes(*parts[4]) + std::chrono::seconds(*parts[5]) +
         std::chrono::nanoseconds(fraction);
}

std::optional<Duration> seconds_of(std::string_view text) {
  const auto value = number_of<double>(text);
  if (!value || !(*value >= 0) || *value > kSecondsMax) return std::nullopt;
  return Duration(static_cast<std::int64_t>(std::llround(*value * 1e9)));
}

Result<std::vector<std::string_view>> fields_of(const TextLines& lines, std::string_view line) {
  std::optional<std::vector<std::string_view>> fields = split(line);
  if (!fields) return lines.corrupt("found a quote that does not end a field");
  return std::move(*fields);
}

Result<Columns> read_columns(const TextLines& lines, std::string_view header) {
  Columns columns;
  const std::vector<std::string_view> names = TRY(fields_of(lines, header));
  if (names.size() > kColumnsMax) {
    return lines.too_large("more than " + std::to_string(kColumnsMax) + " columns");
  }
  const auto set = [&](std::optional<std::size_t>& column, std::size_t at) -> Status {
    if (column) return lines.corrupt("column " + shown(names[at]) + " comes twice");
    column = at;
    return Ok{};
  };
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::string_view name = names[i];
    if (is_one_of(name, kTimestampNames)) TRY(set(columns.timestamp, i));
    if (is_one_of(name, kArrivedNames)) TRY(set(columns.arrived_at, i));
    if (is_one_of(name, kPromptNames)) TRY(set(columns.num_prompt, i));
    if (is_one_of(name, kOutputNames)) TRY(set(columns.num_output, i));
    if (is_one_of(name, kClassNames)) TRY(set(columns.class_index, i));
  }
  columns.count = names.size();
  if (!columns.num_prompt || !columns.num_output) {
    return lines.corrupt("found the columns " + shown(header) +
                         ", expected ContextTokens and GeneratedTokens, or num_prefill_tokens and "
                         "num_decode_tokens");
  }
  return columns;
}

// A count of tokens; "12.0" counts, as some tools write whole numbers.
Result<std::uint32_t> tokens_of(const TextLines& lines, std::string_view text,
                                const TraceLimits& limits) {
  const auto value = number_of<double>(text);
  if (!value || !(*value >= 0) || *value != std::floor(*value)) {
    return lines.corrupt("found " + shown(text) + ", expected a number of tokens");
  }
  if (*value > static_cast<double>(limits.request_tokens_max)) {
    return lines.too_large(std::string(text.substr(0, 20)) + " tokens exceed " +
                           std::to_string(limits.request_tokens_max));
  }
  return static_cast<std::uint32_t>(*value);
}

Result<TraceRequest> read_row(const TextLines& lines, const Columns& columns,
                              const std::vector<std::string_view>& fields,
                              const TraceLimits& limits) {
  TraceRequest request;
  request.num_prompt = TRY(tokens_of(lines, fields[*columns.num_prompt], limits));
  request.num_output = TRY(tokens_of(lines, fields[*columns.num_output], limits));
  if (const auto column = columns.timestamp ? columns.timestamp : columns.arrived_at) {
    // Services write dates, tools seconds, under either name.
    std::optional<Duration> arrival = date_and_time(fields[*column]);
    if (!arrival) arrival = seconds_of(fields[*column]);
    if (!arrival) {
      return lines.corrupt("found " + shown(fields[*column]) +
                           ", expected seconds from 0 to 9e9 or a time such as "
                           "2023-11-16 18:15:46.68");
    }
    request.arrival = *arrival;
  }
  if (columns.class_index) {
    constexpr std::uint32_t kClassMax = 15;
    const auto index = number_of<std::uint32_t>(fields[*columns.class_index]);
    if (!index || *index > kClassMax) {
      return lines.corrupt("found class " + shown(fields[*columns.class_index]) +
                           ", expected a number from 0 to " + std::to_string(kClassMax));
    }
    request.class_index = *index;
  }
  return request;
}

}  // namespace

Result<Trace> parse_csv_trace(std::string_view text, const std::string& name,
                              const TraceLimits& limits) {
  TextLines lines(text, name);
  const std::optional<std::string_view> header = lines.next();
  if (!header) return Error{ErrorCode::kCorruptData, name + ": a trace without a line"};
  const Columns columns = TRY(read_columns(lines, *header));
  const std::size_t num_columns = columns.count;
  Trace trace;
  trace.name = name;
  trace.has_arrivals = columns.timestamp || columns.arrived_at;
  trace.has_classes = columns.class_index.has_value();
  while (const std::optional<std::string_view> line = lines.next()) {
    if (line->size() > limits.line_bytes_max) {
      return lines.too_large("longer than " + std::to_string(limits.line_bytes_max) + " bytes");
    }
    const std::vector<std::string_view> fields = TRY(fields_of(lines, *line));
    if (fields.size() != num_columns) {
      return lines.corrupt("found " + std::to_string(fields.size()) + " fields, expected " +
                           std::to_string(num_columns));
    }
    const TraceRequest request = TRY(read_row(lines, columns, fields, limits));
    if (request.num_prompt == 0 || request.num_output == 0) {
      ++trace.num_left_out;
      continue;
    }
    if (trace.requests.size() == limits.requests_max) {
      return lines.too_large("more than " + std::to_string(limits.requests_max) + " requests");
    }
    trace.requests.push_back(request);
  }
  sort_by_arrival(trace);
  return trace;
}

std::string trace_csv(const Trace& trace) {
  std::string text = "arrived_at,num_prefill_tokens,num_decode_tokens,class\n";
  for (const TraceRequest& request : trace.requests) {
    constexpr std::int64_t kMsPerSecond = 1000;
    const std::int64_t milliseconds = request.arrival.count() / 1'000'000;
    const std::string fraction = std::to_string(milliseconds % kMsPerSecond);
    text += std::to_string(milliseconds / kMsPerSecond) + "." +
            std::string(3 - fraction.size(), '0') + fraction + "," +
            std::to_string(request.num_prompt) + "," + std::to_string(request.num_output) + "," +
            std::to_string(request.class_index) + "\n";
  }
  return text;
}

}  // namespace millrace
