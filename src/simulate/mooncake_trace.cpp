// Mooncake's trace: one JSON object per line, with names for the pieces of each prompt.
#include <cmath>
#include <optional>

#include "base/checked.h"
#include "base/file.h"
#include "base/json.h"
#include "simulate/text_lines.h"
#include "simulate/trace_reader.h"

namespace millrace {
namespace {

constexpr std::size_t kPieceTokens = 512;  // of Mooncake's hash_ids
constexpr double kMillisecondsMax = 9e12;

Result<double> number_field(const TextLines& lines, const Json& object, const char* key,
                            double max) {
  const auto field = object.find(key);
  if (field == object.end() || !field->is_number()) {
    return lines.corrupt(std::string("expected a number '") + key + "'");
  }
  const double value = field->get<double>();
  if (!(value >= 0) || value > max) {
    return lines.too_large(std::string(key) + " is outside 0 to " + std::to_string(max));
  }
  return value;
}

Result<std::uint32_t> tokens_field(const TextLines& lines, const Json& object, const char* key,
                                   const TraceLimits& limits) {
  const double value =
      TRY(number_field(lines, object, key, static_cast<double>(limits.request_tokens_max)));
  if (value != std::floor(value)) {
    return lines.corrupt(std::string(key) + " is not a whole number");
  }
  return static_cast<std::uint32_t>(value);
}

// Appends the names to the trace and notes them in the request.
Status read_prefix(const TextLines& lines, const Json& object, const TraceLimits& limits,
                   Trace& trace, TraceRequest& request) {
  const auto ids = object.find("hash_ids");
  if (ids == object.end()) return Ok{};
  if (!ids->is_array()) return lines.corrupt("hash_ids is not a list");
  const std::size_t num_expected =
      static_cast<std::size_t>(ceil_div(request.num_prompt, kPieceTokens));
  if (ids->size() > num_expected) {
    return lines.corrupt("found " + std::to_string(ids->size()) + " hash_ids for " +
                         std::to_string(request.num_prompt) + " tokens, expected at most " +
                         std::to_string(num_expected));
  }
  if (trace.prefix_ids.size() + ids->size() > limits.num_prefixes_max) {
    return lines.too_large("more than " + std::to_string(limits.num_prefixes_max) + " hash_ids");
  }
  request.prefix_begin = static_cast<std::uint32_t>(trace.prefix_ids.size());
  request.num_prefix = static_cast<std::uint32_t>(ids->size());
  constexpr std::uint64_t kNameMax = (std::uint64_t{1} << 31) - 1;
  for (const Json& id : *ids) {
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() > kNameMax) {
      return lines.corrupt("hash_ids holds something else than numbers from 0 to " +
                           std::to_string(kNameMax));
    }
    trace.prefix_ids.push_back(static_cast<std::uint32_t>(id.get<std::uint64_t>()));
  }
  return Ok{};
}

}  // namespace

Result<Trace> parse_mooncake_trace(std::string_view text, const std::string& name,
                                   const TraceLimits& limits) {
  TextLines lines(text, name);
  Trace trace;
  trace.name = name;
  trace.prefix_tokens = kPieceTokens;
  const JsonLimits line_limits{.bytes_max = limits.line_bytes_max, .depth_max = 8};
  while (const std::optional<std::string_view> line = lines.next()) {
    const Json object = TRY(parse_json(*line, lines.where(), line_limits));
    if (!object.is_object()) return lines.corrupt("expected an object");
    TraceRequest request;
    const double arrival = TRY(number_field(lines, object, "timestamp", kMillisecondsMax));
    request.arrival = Duration(static_cast<std::int64_t>(std::llround(arrival * 1e6)));
    request.num_prompt = TRY(tokens_field(lines, object, "input_length", limits));
    request.num_output = TRY(tokens_field(lines, object, "output_length", limits));
    if (request.num_prompt == 0 || request.num_output == 0) {
      ++trace.num_left_out;
      continue;
    }
    TRY(read_prefix(lines, object, limits, trace, request));
    if (trace.requests.size() == limits.requests_max) {
      return lines.too_large("more than " + std::to_string(limits.requests_max) + " requests");
    }
    trace.requests.push_back(request);
  }
  if (trace.requests.empty()) {
    return Error{ErrorCode::kCorruptData, name + ": a trace without a request"};
  }
  sort_by_arrival(trace);
  return trace;
}

Result<Trace> parse_trace(std::string_view text, const std::string& name,
                          const TraceLimits& limits) {
  TextLines lines(text, name);
  const std::optional<std::string_view> first = lines.next();
  const bool is_json = first && first->substr(first->find_first_not_of(" \t")).starts_with('{');
  return is_json ? parse_mooncake_trace(text, name, limits) : parse_csv_trace(text, name, limits);
}

Result<Trace> read_trace(const std::string& path, const TraceLimits& limits) {
  const std::string text = TRY(read_file(path, limits.bytes_max));
  return parse_trace(text, path, limits);
}

}  // namespace millrace
