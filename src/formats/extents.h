// Extents from a file, checked before they become a Shape.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "tensor/shape.h"

namespace millrace {

struct CheckedExtents {
  Shape shape;  // Beyond rank 4 the innermost extents are folded into one.
  std::uint64_t num_elements = 1;
};

// Outermost first. Nothing when the product of the extents that are not zero overflows 64 bits, so
// that no later product of some of them can.
std::optional<CheckedExtents> check_extents(std::span<const std::uint64_t> extents);

// "[2, 3]".
std::string extents_text(std::span<const std::uint64_t> extents);

}  // namespace millrace
