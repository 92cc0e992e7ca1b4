// Offsets of planned terms, and the one buffer behind them.
#include "memory/arena.h"

#include <array>
#include <bit>
#include <cstdio>
#include <utility>

#include "base/check.h"
#include "base/checked.h"

namespace millrace {
namespace {

constexpr std::uint64_t kPageBytes = 4096;

}  // namespace

Result<ArenaSlice> ArenaPlan::take(std::string name, std::uint64_t num_bytes,
                                   std::uint64_t alignment) {
  CHECK(std::has_single_bit(alignment));
  CHECK(alignment <= kPageBytes);
  const std::uint64_t padding = (alignment - num_bytes_ % alignment) % alignment;
  const auto offset = checked_add(num_bytes_, padding);
  const auto end = offset ? checked_add(*offset, num_bytes) : std::nullopt;
  if (!end) {
    return Error{ErrorCode::kTooLarge, "arena: " + name + " of " + std::to_string(num_bytes) +
                                           " bytes after " + std::to_string(num_bytes_) +
                                           " exceeds 64 bits"};
  }
  num_bytes_ = *end;
  terms_.push_back({std::move(name), {*offset, num_bytes}});
  return terms_.back().slice;
}

std::string ArenaPlan::describe() const {
  constexpr double kMebibyte = 1024.0 * 1024.0;
  std::string text;
  for (const ArenaTerm& term : terms_) {
    std::array<char, 32> size{};
    std::snprintf(size.data(), size.size(), " %.1f MiB",
                  static_cast<double>(term.slice.num_bytes) / kMebibyte);
    text += (text.empty() ? "" : ", ") + term.name + size.data();
  }
  return text;
}

Result<Arena> Arena::create(ArenaPlan plan) {
  Result<Buffer> buffer = Buffer::allocate(plan.num_bytes());
  if (!buffer.ok()) return with_context(std::move(buffer).error(), "arena");
  Arena arena;
  arena.plan_ = std::move(plan);
  arena.buffer_ = std::move(buffer).value();
  return arena;
}

std::span<std::byte> Arena::bytes(const ArenaSlice& slice) {
  CHECK(slice.offset <= plan_.num_bytes());
  CHECK(slice.num_bytes <= plan_.num_bytes() - slice.offset);
  return buffer_.bytes().subspan(slice.offset, slice.num_bytes);
}

}  // namespace millrace
