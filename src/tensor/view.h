// Somebody else's tensor: a pointer, a type, a shape and the distance between rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "base/check.h"
#include "tensor/dtype.h"
#include "tensor/half.h"
#include "tensor/shape.h"

namespace millrace {

// Where bytes live and ops run. Views of different devices never meet in one op.
enum class Device : std::uint8_t { kCpu, kCuda };

template <class T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::kF32;
};
template <>
struct DTypeOf<Float16> {
  static constexpr DType value = DType::kF16;
};
template <>
struct DTypeOf<BFloat16> {
  static constexpr DType value = DType::kBF16;
};
template <>
struct DTypeOf<std::int8_t> {
  static constexpr DType value = DType::kI8;
};
template <>
struct DTypeOf<std::int32_t> {
  static constexpr DType value = DType::kI32;
};
template <>
struct DTypeOf<std::uint32_t> {
  static constexpr DType value = DType::kI32;
};

// A view of bytes that it does not own and must not outlive. Dense but for the row stride:
// everything inside one index of dimension 0 is contiguous, row i begins row_stride elements after
// row i - 1.
template <class Byte>
struct BasicTensorView {
  Byte* data = nullptr;
  DType dtype = DType::kF32;
  Device device = Device::kCpu;
  Shape shape;
  std::size_t row_stride = 0;  // In elements; shape.row_elements() when dense.

  BasicTensorView() = default;
  BasicTensorView(Byte* bytes, DType type, const Shape& extents, Device where = Device::kCpu)
      : data(bytes),
        dtype(type),
        device(where),
        shape(extents),
        row_stride(extents.row_elements()) {}

  // A mutable view can be read.
  template <class Other>
  requires(std::is_same_v<const Other, Byte> && !std::is_same_v<Other, Byte>)
      BasicTensorView(const BasicTensorView<Other>& other)  // NOLINT: implicit
      : data(other.data),
        dtype(other.dtype),
        device(other.device),
        shape(other.shape),
        row_stride(other.row_stride) {}

  std::size_t num_rows() const { return shape.rank() == 0 ? 1 : shape[0]; }
  std::size_t row_elements() const { return shape.row_elements(); }
  bool is_dense() const { return row_stride == shape.row_elements() || num_rows() <= 1; }

  // The row's elements as T, which must be the view's plain type.
  template <class T>
  auto row(std::size_t index) const {
    using Element = std::conditional_t<std::is_const_v<Byte>, const T, T>;
    DCHECK(dtype == DTypeOf<std::remove_const_t<T>>::value);
    return reinterpret_cast<Element*>(data) + index * row_stride;
  }

  // Rows [begin, begin + count) of the same tensor.
  BasicTensorView rows(std::size_t begin, std::size_t count) const {
    CHECK(begin + count <= num_rows());
    BasicTensorView part = *this;
    Shape extents;
    extents.push_back(count);
    for (std::size_t i = 1; i < shape.rank(); ++i) extents.push_back(shape[i]);
    part.shape = extents;
    part.data = data + begin * row_stride * element_bytes(dtype);
    return part;
  }

  // The same elements with other extents. The view must be dense and the count the same.
  BasicTensorView reshaped(const Shape& extents) const {
    CHECK(is_dense());
    CHECK(extents.num_elements() == shape.num_elements());
    return BasicTensorView(data, dtype, extents, device);
  }
};

using TensorView = BasicTensorView<std::byte>;
using ConstTensorView = BasicTensorView<const std::byte>;

// A view over an array of plain elements.
template <class T>
auto view_of(T* elements, const Shape& shape) {
  using Byte = std::conditional_t<std::is_const_v<T>, const std::byte, std::byte>;
  return BasicTensorView<Byte>(reinterpret_cast<Byte*>(elements),
                               DTypeOf<std::remove_const_t<T>>::value, shape);
}

}  // namespace millrace
