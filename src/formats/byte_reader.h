// Little-endian reads at any address from a bounded range: the only way that headers are parsed.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>

namespace millrace {

static_assert(std::endian::native == std::endian::little, "file formats are read in place");

// The value at `bytes`, which need not be aligned.
template <class T>
T load(const std::byte* bytes) {
  static_assert(std::is_trivially_copyable_v<T>);
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}

// Walks forward through somebody else's bytes; a read that would leave them yields nothing and
// moves nothing.
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::size_t offset() const { return offset_; }
  std::size_t num_left() const { return bytes_.size() - offset_; }

  template <class T>
  std::optional<T> read() {
    if (num_left() < sizeof(T)) return std::nullopt;
    const T value = load<T>(bytes_.data() + offset_);
    offset_ += sizeof(T);
    return value;
  }

  std::optional<std::span<const std::byte>> take(std::uint64_t num_bytes) {
    if (num_bytes > num_left()) return std::nullopt;
    const auto taken = bytes_.subspan(offset_, static_cast<std::size_t>(num_bytes));
    offset_ += taken.size();
    return taken;
  }

  // | u64 length | bytes |
  std::optional<std::string_view> read_string() {
    const std::size_t begin = offset_;
    if (const auto num_bytes = read<std::uint64_t>()) {
      if (const auto text = take(*num_bytes)) {
        return std::string_view(reinterpret_cast<const char*>(text->data()), text->size());
      }
    }
    offset_ = begin;
    return std::nullopt;
  }

 private:
  std::span<const std::byte> bytes_;
  std::size_t offset_ = 0;
};

}  // namespace millrace
