// Overflow checks of tensor extents.
#include "formats/extents.h"

#include <algorithm>

#include "base/checked.h"

namespace millrace {

std::optional<CheckedExtents> check_extents(std::span<const std::uint64_t> extents) {
  CheckedExtents checked;
  std::uint64_t product = 1;  // Of the extents that are not zero.
  for (const std::uint64_t extent : extents) {
    const auto next = checked_mul(product, std::max<std::uint64_t>(extent, 1));
    if (!next) return std::nullopt;
    product = *next;
    checked.num_elements *= extent;
  }
  for (std::size_t i = 0; i < extents.size() && i + 1 < Shape::kRankMax; ++i)
    checked.shape.push_back(extents[i]);
  if (extents.size() >= Shape::kRankMax) {
    std::uint64_t folded = 1;
    for (const std::uint64_t extent : extents.subspan(Shape::kRankMax - 1)) folded *= extent;
    checked.shape.push_back(folded);
  }
  return checked;
}

std::string extents_text(std::span<const std::uint64_t> extents) {
  constexpr std::size_t kShownMax = 8;
  std::string text = "[";
  for (std::size_t i = 0; i < extents.size() && i < kShownMax; ++i)
    text += (i == 0 ? "" : ", ") + std::to_string(extents[i]);
  return text + (extents.size() > kShownMax ? ", …]" : "]");
}

}  // namespace millrace
