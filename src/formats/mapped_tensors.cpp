// Mapped files behind a sorted list of tensor names.
#include "formats/mapped_tensors.h"

#include <algorithm>
#include <functional>
#include <iterator>

#include "formats/text_quote.h"

namespace millrace {

const TensorInfo* MappedTensors::find(std::string_view name) const {
  const auto at = std::lower_bound(by_name_.begin(), by_name_.end(), name,
                                   [this](std::uint32_t index, std::string_view wanted) {
                                     return tensors_[index].name < wanted;
                                   });
  if (at == by_name_.end() || tensors_[*at].name != name) return nullptr;
  return &tensors_[*at];
}

Status MappedTensors::check_intact() const {
  for (const MappedFile& mapping : mappings_) TRY(mapping.check_intact());
  return Ok{};
}

void MappedTensors::release_pages(std::span<const std::byte> range) const {
  if (range.empty()) return;
  const std::less_equal<const std::byte*> not_after;
  const auto holder = std::find_if(mappings_.begin(), mappings_.end(), [&](const MappedFile& file) {
    const auto bytes = file.bytes();
    return not_after(bytes.data(), range.data()) &&
           not_after(range.data() + range.size(), bytes.data() + bytes.size());
  });
  CHECK(holder != mappings_.end());
  holder->release_pages(range);
}

Result<std::span<const std::byte>> MappedTensors::map(const std::string& path) {
  MappedFile mapping = TRY(MappedFile::open(path));
  const FileIdentity identity = TRY(file_identity(path));
  const std::span<const std::byte> bytes = mapping.bytes();
  if (identity.num_bytes != bytes.size()) {
    return Error{ErrorCode::kUnavailable, path + " changed while it was being opened: it had " +
                                              std::to_string(bytes.size()) + " bytes, then " +
                                              std::to_string(identity.num_bytes)};
  }
  mappings_.push_back(std::move(mapping));
  files_.push_back({path, identity});
  return bytes;
}

void MappedTensors::append(std::vector<TensorInfo> tensors) {
  tensors_.insert(tensors_.end(), std::make_move_iterator(tensors.begin()),
                  std::make_move_iterator(tensors.end()));
}

Status MappedTensors::index_names() {
  CHECK(by_name_.empty());
  by_name_.resize(tensors_.size());
  for (std::size_t i = 0; i < by_name_.size(); ++i) by_name_[i] = static_cast<std::uint32_t>(i);
  std::sort(by_name_.begin(), by_name_.end(), [this](std::uint32_t a, std::uint32_t b) {
    return tensors_[a].name < tensors_[b].name;
  });
  const auto twice = std::adjacent_find(
      by_name_.begin(), by_name_.end(),
      [this](std::uint32_t a, std::uint32_t b) { return tensors_[a].name == tensors_[b].name; });
  if (twice == by_name_.end()) return Ok{};
  return Error{ErrorCode::kCorruptData,
               path_ + ": tensor " + in_quotes(tensors_[*twice].name) + " occurs twice"};
}

}  // namespace millrace
