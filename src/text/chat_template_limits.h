// Bounds on what a chat template may cost to read and to render.
#pragma once

#include <cstddef>
#include <cstdint>

namespace millrace {

// What a template, which came with a model and is not trusted, may cost. A step is one node that
// runs, 64 bytes of text that are read, copied or searched, or 4 items or characters that are
// walked one by one: each takes less than 100 ns, so a rendering ends within half a second on a
// slow core, and within two when its input has megabytes. 2,000 messages of a million tokens with
// 100 tools take under 1.5 M steps with 63 of 65 published templates; the other two look at all
// messages for each message and take 15 M, which is why a large input may take more.
struct ChatTemplateLimits {
  std::uint64_t source_bytes_max = 256ull << 10;    // Published templates stay under 20 KB.
  std::uint64_t output_bytes_max = 64ull << 20;     // 16 M tokens at 4 bytes each.
  std::uint64_t memory_bytes_max = 256ull << 20;    // Values alive at one time while rendering.
  std::uint64_t num_steps_max = 4'000'000;          // With a small input.
  std::uint64_t num_steps_per_input_byte = 4;       // More, for each byte of the input's values,
  std::uint64_t num_steps_max_of_all = 20'000'000;  // up to so many.
  std::uint64_t range_items_max = 100'000;          // As jinja2's sandbox.
  std::size_t nesting_max = 200;  // Brackets and blocks in the source; lists in lists.
  std::size_t depth_max = 1000;  // Expressions, blocks and macro calls in progress, one in another.
};

}  // namespace millrace
