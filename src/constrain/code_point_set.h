// Sets of Unicode code points as ranges, and the UTF-8 that spells them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace millrace {

inline constexpr std::uint32_t kCodePointMax = 0x10FFFF;

struct CodePointRange {
  std::uint32_t first = 0;
  std::uint32_t last = 0;
  bool operator==(const CodePointRange&) const = default;
};

// Ranges in order, apart from each other, without surrogates.
class CodePointSet {
 public:
  CodePointSet() = default;
  explicit CodePointSet(std::vector<CodePointRange> ranges);
  static CodePointSet all();

  void add(std::uint32_t first, std::uint32_t last);
  void add(const CodePointSet& other);
  CodePointSet complement() const;
  CodePointSet intersection(const CodePointSet& other) const;
  // With the other case of each ASCII letter.
  CodePointSet without_ascii_case() const;

  bool is_empty() const { return ranges_.empty(); }
  bool contains(std::uint32_t code_point) const;
  const std::vector<CodePointRange>& ranges() const { return ranges_; }

 private:
  void normalize();
  std::vector<CodePointRange> ranges_;
};

// Bytes whose every combination, each within its range, is the UTF-8 of a character.
struct Utf8Range {
  struct ByteRange {
    std::uint8_t first = 0;
    std::uint8_t last = 0;
  };
  std::array<ByteRange, 4> bytes{};
  std::size_t num_bytes = 0;
};

// The code points of a range, as few products of byte ranges as it takes.
std::vector<Utf8Range> utf8_ranges(CodePointRange range);

}  // namespace millrace
