// Bounds on what a chat template may cost to read and to render.
#pragma once

#include <cstddef>
#include <cstdint>

namespace millrace {

// What a template, which came with a model and is not trusted, may cost. A step is one node that
// runs, 64 bytes of text that are read, copied or searched, or 4 items or characters that are
// walked one by one: each takes less than 100 ns, so any rendering ends within half a second on a
// slow core (two with sanitizers). A prompt of a million tokens in 2,000 messages with 100 tools
// takes a tenth of these steps with the most laborious of the published templates.
struct ChatTemplateLimits {
  std::uint64_t source_bytes_max = 256ull << 10;  // Published templates stay under 20 KB.
  std::uint64_t output_bytes_max = 64ull << 20;   // 16 M tokens at 4 bytes each.
  std::uint64_t memory_bytes_max = 256ull << 20;  // Values alive at one time while rendering.
  std::uint64_t num_steps_max = 4'000'000;
  std::uint64_t range_items_max = 100'000;  // As jinja2's sandbox.
  std::size_t nesting_max = 200;            // Brackets and blocks in the source; lists in lists.
  std::size_t depth_max = 1000;  // Expressions, blocks and macro calls in progress, one in another.
};

}  // namespace millrace
