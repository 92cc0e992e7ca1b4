// Extents of a tensor: at most four, outermost first.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "base/check.h"

namespace millrace {

// Plain data. A rank-0 shape is a scalar of one element. Products are not checked here: whoever
// reads extents from a file checks them in 64 bits first (formats/).
class Shape {
 public:
  static constexpr std::size_t kRankMax = 4;

  Shape() = default;
  Shape(std::initializer_list<std::size_t> extents) {
    CHECK(extents.size() <= kRankMax);
    for (const std::size_t extent : extents) extents_[rank_++] = extent;
  }

  void push_back(std::size_t extent) {
    CHECK(rank_ < kRankMax);
    extents_[rank_++] = extent;
  }

  std::size_t rank() const { return rank_; }
  std::size_t operator[](std::size_t i) const {
    CHECK(i < rank_);
    return extents_[i];
  }
  std::size_t num_elements() const {
    std::size_t product = 1;
    for (std::size_t i = 0; i < rank_; ++i) product *= extents_[i];
    return product;
  }
  // Elements of one index of the outermost dimension; 1 for a scalar.
  std::size_t row_elements() const {
    std::size_t product = 1;
    for (std::size_t i = 1; i < rank_; ++i) product *= extents_[i];
    return product;
  }

  bool operator==(const Shape&) const = default;

 private:
  std::array<std::size_t, kRankMax> extents_{};
  std::size_t rank_ = 0;
};

// "[2, 3]".
inline std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.rank(); ++i)
    text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return text + "]";
}

}  // namespace millrace
