// Reads traces of real services: Azure's CSV, vidur's CSV, Mooncake's JSON lines.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "simulate/trace.h"

namespace millrace {

struct TraceLimits {
  std::uint64_t bytes_max = std::uint64_t{1} << 30;
  std::size_t line_bytes_max = std::size_t{1} << 20;
  std::size_t requests_max = 10'000'000;
  std::size_t request_tokens_max = std::size_t{1} << 22;  // of a prompt, or of an output
  std::size_t num_prefixes_max = 100'000'000;             // pieces of all prompts
};

// A line with the names of columns, then one request per line. Columns, in any order and case,
// others are ignored: TIMESTAMP or arrived_at (a date and time of day, or seconds), neither:
// lengths only; ContextTokens, num_prefill_tokens, input_length, …; GeneratedTokens,
// num_decode_tokens, output_length, … (csv_trace.cpp has all); class (a number), may be absent.
// Fields may be quoted. Errors name the line.
Result<Trace> parse_csv_trace(std::string_view text, const std::string& name,
                              const TraceLimits& limits = {});

// One JSON object per line: timestamp (milliseconds), input_length, output_length, hash_ids (a name
// for each 512 tokens of the prompt).
Result<Trace> parse_mooncake_trace(std::string_view text, const std::string& name,
                                   const TraceLimits& limits = {});

// Of a file: JSON lines when it begins with a brace, else CSV.
Result<Trace> parse_trace(std::string_view text, const std::string& name,
                          const TraceLimits& limits = {});
Result<Trace> read_trace(const std::string& path, const TraceLimits& limits = {});

// The trace as CSV in vidur's columns and `class`, arrivals to the millisecond; parse_csv_trace
// gives it back, but for its prefixes.
std::string trace_csv(const Trace& trace);

}  // namespace millrace
