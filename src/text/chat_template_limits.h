// Bounds on what a chat template may cost to read and to render.
#pragma once

#include <cstddef>
#include <cstdint>

namespace millrace {

// What a template, which came with a model and is not trusted, may cost.
struct ChatTemplateLimits {
  std::uint64_t source_bytes_max = 256ull << 10;  // Published templates stay under 20 KB.
  std::uint64_t output_bytes_max = 64ull << 20;   // 16 M tokens at 4 bytes each.
  std::uint64_t memory_bytes_max = 512ull << 20;  // Values alive at one time while rendering.
  std::uint64_t num_steps_max = 20'000'000;  // Under 100 ns each; a step also pays for 256 bytes.
  std::uint64_t range_items_max = 100'000;   // As jinja2's sandbox.
  std::size_t nesting_max = 200;             // Brackets and blocks in the source; lists in lists.
  std::size_t depth_max = 1000;  // Expressions, blocks and macro calls in progress, one in another.
};

}  // namespace millrace
