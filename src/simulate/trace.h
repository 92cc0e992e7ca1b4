// A trace: when requests came, how long they were, and which of them begin alike.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/token_id.h"

namespace millrace {

struct TraceRequest {
  Duration arrival{0};  // after the first one
  std::uint32_t num_prompt = 0;
  std::uint32_t num_output = 0;
  std::uint32_t class_index = 0;
  // Names of the prompt's pieces of Trace::prefix_tokens each, the last one shorter: the same names
  // in the same order are the same tokens. None: the prompt is like no other.
  std::uint32_t prefix_begin = 0;  // in Trace::prefix_ids
  std::uint32_t num_prefix = 0;
};

// Plain data, by rising arrival.
struct Trace {
  std::string name;
  std::vector<TraceRequest> requests;
  std::vector<std::uint32_t> prefix_ids;
  std::size_t prefix_tokens = 512;
  bool has_arrivals = true;  // false: lengths only, every arrival is 0
  bool has_classes = false;
  std::size_t num_left_out = 0;  // requests of the file without a prompt or without an output

  std::span<const std::uint32_t> prefix_of(const TraceRequest& request) const {
    return std::span(prefix_ids).subspan(request.prefix_begin, request.num_prefix);
  }
};

// The tokens of a request's prompt: each piece is filled with a token of its name, or all of it
// with one that no other request has. `number` is the request's place in the simulation.
void fill_prompt(const Trace& trace, const TraceRequest& request, std::uint64_t number,
                 std::vector<TokenId>& prompt);

// Stable by arrival, and counted from the first one.
void sort_by_arrival(Trace& trace);

}  // namespace millrace
