// Checks of declared tensors, and the position of a writer among them.
#include "formats/weight_writer.h"

#include <array>
#include <set>
#include <string_view>

#include "formats/extents.h"
#include "formats/text_quote.h"
#include "text/utf8.h"

namespace millrace {

Result<std::vector<std::uint64_t>> declared_bytes(std::span<const TensorDeclaration> tensors,
                                                  const std::string& where) {
  std::vector<std::uint64_t> sizes;
  sizes.reserve(tensors.size());
  std::set<std::string_view> names;
  constexpr std::uint64_t kTotalBytesMax = std::uint64_t{1} << 62;  // Offsets and padding fit too.
  std::uint64_t total = 0;
  for (const TensorDeclaration& tensor : tensors) {
    const auto wrong = [&](const std::string& what) {
      return Error{ErrorCode::kInvalidArgument,
                   "cannot write " + where + ": tensor " + in_quotes(tensor.name) + " " + what};
    };
    if (tensor.name.empty() || find_invalid_utf8(tensor.name)) return wrong("has no UTF-8 name");
    if (!names.insert(tensor.name).second) return wrong("is declared twice");
    std::array<std::uint64_t, Shape::kRankMax> extents{};
    for (std::size_t i = 0; i < tensor.shape.rank(); ++i) extents[i] = tensor.shape[i];
    const auto checked = check_extents(std::span(extents).first(tensor.shape.rank()));
    const std::uint64_t row = tensor.shape.rank() == 0 ? 1 : tensor.shape[tensor.shape.rank() - 1];
    const std::uint64_t group = quant_format(tensor.dtype).group_size;
    if (row % group != 0) {
      return wrong("of type " + std::string(dtype_name(tensor.dtype)) + " has rows of " +
                   std::to_string(row) + " elements, expected a multiple of " +
                   std::to_string(group));
    }
    const auto num_bytes =
        checked ? storage_bytes(tensor.dtype, checked->num_elements) : std::nullopt;
    if (!num_bytes || *num_bytes > kTotalBytesMax - total)
      return wrong("has shape " + to_string(tensor.shape) + ": too large");
    total += *num_bytes;
    sizes.push_back(*num_bytes);
  }
  return sizes;
}

TensorCursor::TensorCursor(std::vector<std::uint64_t> tensor_bytes)
    : tensor_bytes_(std::move(tensor_bytes)) {}

bool TensorCursor::advance(std::uint64_t num_bytes) {
  CHECK(num_bytes <= num_missing());
  num_written_ += num_bytes;
  return num_missing() == 0;
}

void TensorCursor::next() {
  CHECK(!at_end());
  CHECK(num_missing() == 0);
  ++index_;
  num_written_ = 0;
}

}  // namespace millrace
