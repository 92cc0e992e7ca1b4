// An index that cannot be mixed up with an index of another kind.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace millrace {

template <class Tag>
struct Id {
  std::uint32_t index = 0;
  auto operator<=>(const Id&) const = default;
};

using BlockId = Id<struct BlockTag>;
using SequenceId = Id<struct SequenceTag>;

// Unique over the life of a process, so 64 bits.
struct RequestId {
  std::uint64_t value = 0;
  auto operator<=>(const RequestId&) const = default;
};

}  // namespace millrace

template <class Tag>
struct std::hash<millrace::Id<Tag>> {
  std::size_t operator()(millrace::Id<Tag> id) const noexcept { return id.index; }
};

template <>
struct std::hash<millrace::RequestId> {
  std::size_t operator()(millrace::RequestId id) const noexcept {
    return std::hash<std::uint64_t>{}(id.value);
  }
};
