// Token ids that begin alike where the trace says so.
#include "simulate/trace.h"

#include <algorithm>

#include "base/check.h"

namespace millrace {

void fill_prompt(const Trace& trace, const TraceRequest& request, std::uint64_t number,
                 std::vector<TokenId>& prompt) {
  // Names of pieces stay below; numbers of requests wrap only after 2^31 of them.
  constexpr TokenId kUniqueBit = TokenId{1} << 31;
  prompt.assign(request.num_prompt, kUniqueBit | static_cast<TokenId>(number));
  std::size_t at = 0;
  for (const std::uint32_t id : trace.prefix_of(request)) {
    const std::size_t end = std::min<std::size_t>(at + trace.prefix_tokens, prompt.size());
    std::fill(prompt.begin() + static_cast<std::ptrdiff_t>(at),
              prompt.begin() + static_cast<std::ptrdiff_t>(end), id & ~kUniqueBit);
    at = end;
  }
}

void sort_by_arrival(Trace& trace) {
  std::stable_sort(
      trace.requests.begin(), trace.requests.end(),
      [](const TraceRequest& a, const TraceRequest& b) { return a.arrival < b.arrival; });
  if (trace.requests.empty()) return;
  const Duration first = trace.requests.front().arrival;
  for (TraceRequest& request : trace.requests) request.arrival -= first;
}

}  // namespace millrace
