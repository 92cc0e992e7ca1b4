// Plain data as bytes and back: one description of a struct's fields serves writing and reading.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

namespace millrace {

// A struct is described by one function, found by its argument:
//
//   template <class Archive>
//   void archive_fields(Archive& archive, Thing& thing) {
//     archive.number(thing.count);
//     archive.choice(thing.kind, Kind::kLast);
//   }
//
// Numbers lie little-endian, one after another, without names: a changed struct is another version
// of the file that holds it.
class ArchiveWriter {
 public:
  const std::string& bytes() const { return bytes_; }

  template <class T>
  void number(const T& value) {
    static_assert(std::is_arithmetic_v<T>);
    static_assert(std::endian::native == std::endian::little);
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void flag(const bool& value) { bytes_ += value ? '\1' : '\0'; }
  void size(const std::size_t& value) { number(static_cast<std::uint64_t>(value)); }
  template <class E>
  void choice(const E& value, E /*last*/) {
    number(static_cast<std::uint8_t>(value));
  }
  void text(const std::string& value) {
    number(static_cast<std::uint32_t>(value.size()));
    bytes_ += value;
  }
  // `item(archive, element)` for each.
  template <class T, class Item>
  void list(const std::vector<T>& values, const Item& item) {
    number(static_cast<std::uint32_t>(values.size()));
    for (const T& value : values) item(*this, const_cast<T&>(value));
  }
  template <class T, class Item>
  void maybe(const std::optional<T>& value, const Item& item) {
    flag(value.has_value());
    if (value) item(*this, const_cast<T&>(*value));
  }
  template <class... Kinds>
  void one_of(const std::variant<Kinds...>& value) {
    number(static_cast<std::uint8_t>(value.index()));
    std::visit(
        [this]<class Kind>(const Kind& kind) { archive_fields(*this, const_cast<Kind&>(kind)); },
        value);
  }

 private:
  std::string bytes_;
};

// Reads what a writer wrote, and anything else without harm: after the first value that is not
// there or not allowed nothing is read any more, and finish() says where that was. Lists grow as
// their elements arrive, so memory stays in proportion to the bytes.
class ArchiveReader {
 public:
  explicit ArchiveReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  bool ok() const { return !failed_; }
  // kCorruptData when a value was wrong or bytes are left over.
  Status finish(const std::string& name) const {
    if (ok() && at_ == bytes_.size()) return Ok{};
    return Error{ErrorCode::kCorruptData,
                 name + (ok() ? ": more bytes than values at byte " : ": no such value at byte ") +
                     std::to_string(at_)};
  }

  template <class T>
  void number(T& value) {
    static_assert(std::is_arithmetic_v<T>);
    T read{};
    if (!take(sizeof read)) return;
    std::memcpy(&read, bytes_.data() + at_ - sizeof read, sizeof read);
    value = read;
  }
  void flag(bool& value) {
    std::uint8_t read = 0;
    number(read);
    if (read > 1) return fail();
    value = read == 1;
  }
  void size(std::size_t& value) {
    std::uint64_t read = 0;
    number(read);
    value = static_cast<std::size_t>(read);
  }
  template <class E>
  void choice(E& value, E last) {
    std::uint8_t read = 0;
    number(read);
    if (read > static_cast<std::uint8_t>(last)) return fail();
    value = static_cast<E>(read);
  }
  void text(std::string& value) {
    std::uint32_t count = 0;
    number(count);
    if (!take(count)) return;
    value.assign(reinterpret_cast<const char*>(bytes_.data()) + at_ - count, count);
  }
  template <class T, class Item>
  void list(std::vector<T>& values, const Item& item) {
    std::uint32_t count = 0;
    number(count);
    if (count > bytes_.size() - at_) return fail();  // Every element has a byte at least.
    values.clear();
    for (std::uint32_t i = 0; i < count && ok(); ++i) item(*this, values.emplace_back());
  }
  template <class T, class Item>
  void maybe(std::optional<T>& value, const Item& item) {
    bool has_value = false;
    flag(has_value);
    value.reset();
    if (has_value && ok()) item(*this, value.emplace());
  }
  template <class... Kinds>
  void one_of(std::variant<Kinds...>& value) {
    std::uint8_t index = 0;
    number(index);
    if (index >= sizeof...(Kinds)) return fail();
    emplace_at(value, index, std::index_sequence_for<Kinds...>());
  }

 private:
  template <class... Kinds, std::size_t... kIndices>
  void emplace_at(std::variant<Kinds...>& value, std::size_t index,
                  std::index_sequence<kIndices...>) {
    (void)((kIndices == index &&
            (archive_fields(*this, value.template emplace<kIndices>()), true)) ||
           ...);
  }
  bool take(std::size_t count) {
    if (failed_ || count > bytes_.size() - at_) {
      failed_ = true;
      return false;
    }
    at_ += count;
    return true;
  }
  void fail() { failed_ = true; }

  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
  bool failed_ = false;
};

// For list() and maybe(): elements that are described by archive_fields, and plain ones.
struct ArchiveFields {
  template <class Archive, class T>
  void operator()(Archive& archive, T& value) const {
    archive_fields(archive, value);
  }
};
struct ArchiveNumber {
  template <class Archive, class T>
  void operator()(Archive& archive, T& value) const {
    archive.number(value);
  }
};
struct ArchiveText {
  template <class Archive>
  void operator()(Archive& archive, std::string& value) const {
    archive.text(value);
  }
};

}  // namespace millrace
