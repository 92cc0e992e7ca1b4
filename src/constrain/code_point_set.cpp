// Arithmetic of ranges, and cutting them where UTF-8 changes its shape.
#include "constrain/code_point_set.h"

#include <algorithm>

#include "base/check.h"

namespace millrace {
namespace {

constexpr std::uint32_t kSurrogateFirst = 0xD800;
constexpr std::uint32_t kSurrogateLast = 0xDFFF;

std::size_t encode(std::uint32_t code_point, std::array<std::uint8_t, 4>& bytes) {
  const auto byte = [](std::uint32_t value) { return static_cast<std::uint8_t>(value); };
  const auto tail = [&](std::uint32_t value) { return byte(0x80u | (value & 0x3Fu)); };
  if (code_point < 0x80) {
    bytes[0] = byte(code_point);
    return 1;
  }
  if (code_point < 0x800) {
    bytes = {byte(0xC0u | (code_point >> 6)), tail(code_point), 0, 0};
    return 2;
  }
  if (code_point < 0x10000) {
    bytes = {byte(0xE0u | (code_point >> 12)), tail(code_point >> 6), tail(code_point), 0};
    return 3;
  }
  bytes = {byte(0xF0u | (code_point >> 18)), tail(code_point >> 12), tail(code_point >> 6),
           tail(code_point)};
  return 4;
}

// Cuts [first, last], of one length in UTF-8, until each piece is a product of byte ranges: the
// last bytes of a piece run from 80 to BF, except in pieces of one prefix.
void split(std::uint32_t first, std::uint32_t last, std::vector<Utf8Range>& out) {
  for (int tail_bits = 6; tail_bits <= 18; tail_bits += 6) {
    const std::uint32_t mask = (1u << tail_bits) - 1;
    if ((first & ~mask) == (last & ~mask)) continue;
    if ((first & mask) != 0) {
      split(first, first | mask, out);
      split((first | mask) + 1, last, out);
      return;
    }
    if ((last & mask) != mask) {
      split(first, (last & ~mask) - 1, out);
      split(last & ~mask, last, out);
      return;
    }
  }
  std::array<std::uint8_t, 4> low{};
  std::array<std::uint8_t, 4> high{};
  Utf8Range range;
  range.num_bytes = encode(first, low);
  CHECK(encode(last, high) == range.num_bytes);
  for (std::size_t i = 0; i < range.num_bytes; ++i) range.bytes[i] = {low[i], high[i]};
  out.push_back(range);
}

}  // namespace

CodePointSet::CodePointSet(std::vector<CodePointRange> ranges) : ranges_(std::move(ranges)) {
  normalize();
}

CodePointSet CodePointSet::all() {
  return CodePointSet({{0, kCodePointMax}});
}

void CodePointSet::add(std::uint32_t first, std::uint32_t last) {
  ranges_.push_back({first, last});
  normalize();
}

void CodePointSet::add(const CodePointSet& other) {
  ranges_.insert(ranges_.end(), other.ranges_.begin(), other.ranges_.end());
  normalize();
}

void CodePointSet::normalize() {
  std::vector<CodePointRange> cut;
  for (CodePointRange range : ranges_) {
    range.last = std::min(range.last, kCodePointMax);
    if (range.first > range.last) continue;
    if (range.last < kSurrogateFirst || range.first > kSurrogateLast) {
      cut.push_back(range);
      continue;
    }
    if (range.first < kSurrogateFirst) cut.push_back({range.first, kSurrogateFirst - 1});
    if (range.last > kSurrogateLast) cut.push_back({kSurrogateLast + 1, range.last});
  }
  std::sort(cut.begin(), cut.end(),
            [](const CodePointRange& a, const CodePointRange& b) { return a.first < b.first; });
  ranges_.clear();
  for (const CodePointRange& range : cut) {
    if (!ranges_.empty() && range.first <= ranges_.back().last + 1) {
      ranges_.back().last = std::max(ranges_.back().last, range.last);
    } else {
      ranges_.push_back(range);
    }
  }
}

CodePointSet CodePointSet::complement() const {
  std::vector<CodePointRange> gaps;
  std::uint32_t next = 0;
  for (const CodePointRange& range : ranges_) {
    if (range.first > next) gaps.push_back({next, range.first - 1});
    next = range.last + 1;
  }
  if (next <= kCodePointMax) gaps.push_back({next, kCodePointMax});
  return CodePointSet(std::move(gaps));
}

CodePointSet CodePointSet::intersection(const CodePointSet& other) const {
  std::vector<CodePointRange> both;
  std::size_t i = 0;
  std::size_t j = 0;
  while (i < ranges_.size() && j < other.ranges_.size()) {
    const CodePointRange& a = ranges_[i];
    const CodePointRange& b = other.ranges_[j];
    const std::uint32_t first = std::max(a.first, b.first);
    const std::uint32_t last = std::min(a.last, b.last);
    if (first <= last) both.push_back({first, last});
    (a.last < b.last ? i : j) += 1;
  }
  return CodePointSet(std::move(both));
}

CodePointSet CodePointSet::without_ascii_case() const {
  constexpr std::uint32_t kCaseBit = 0x20;
  std::vector<CodePointRange> ranges = ranges_;
  for (std::uint32_t upper = 'A'; upper <= 'Z'; ++upper) {
    if (contains(upper) || contains(upper | kCaseBit)) {
      ranges.push_back({upper, upper});
      ranges.push_back({upper | kCaseBit, upper | kCaseBit});
    }
  }
  return CodePointSet(std::move(ranges));
}

bool CodePointSet::contains(std::uint32_t code_point) const {
  return std::any_of(ranges_.begin(), ranges_.end(), [&](const CodePointRange& range) {
    return range.first <= code_point && code_point <= range.last;
  });
}

std::vector<Utf8Range> utf8_ranges(CodePointRange range) {
  constexpr std::array<CodePointRange, 4> kByLength = {
      {{0, 0x7F}, {0x80, 0x7FF}, {0x800, 0xFFFF}, {0x10000, kCodePointMax}}};
  std::vector<Utf8Range> out;
  for (const CodePointRange& length : kByLength) {
    const std::uint32_t first = std::max(range.first, length.first);
    const std::uint32_t last = std::min(range.last, length.last);
    if (first <= last) split(first, last, out);
  }
  return out;
}

}  // namespace millrace
