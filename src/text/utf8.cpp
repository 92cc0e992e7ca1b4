// UTF-8 by the table of well-formed byte sequences (Unicode 15, table 3-7).
#include "text/utf8.h"

#include "base/check.h"

namespace millrace {
namespace {

// What may follow a lead byte: how long the character is and the range of its second byte.
struct Lead {
  std::uint8_t num_bytes = 0;  // 0: not a lead byte.
  std::uint8_t second_min = 0x80;
  std::uint8_t second_max = 0xBF;
};

constexpr Lead lead_of(std::uint8_t byte) {
  if (byte < 0x80) return {.num_bytes = 1};
  if (byte < 0xC2) return {};
  if (byte < 0xE0) return {.num_bytes = 2};
  if (byte == 0xE0) return {.num_bytes = 3, .second_min = 0xA0};
  if (byte == 0xED) return {.num_bytes = 3, .second_max = 0x9F};
  if (byte < 0xF0) return {.num_bytes = 3};
  if (byte == 0xF0) return {.num_bytes = 4, .second_min = 0x90};
  if (byte < 0xF4) return {.num_bytes = 4};
  if (byte == 0xF4) return {.num_bytes = 4, .second_max = 0x8F};
  return {};
}

constexpr std::uint8_t byte_at(std::string_view text, std::size_t i) {
  return static_cast<std::uint8_t>(text[i]);
}

// How many bytes at the front agree with a well-formed character, and how many it needs.
struct Progress {
  std::uint8_t num_good = 0;
  std::uint8_t num_needed = 0;  // 0: the first byte starts no character.
};

Progress progress_of(std::string_view text) {
  const Lead lead = lead_of(byte_at(text, 0));
  if (lead.num_bytes == 0) return {};
  std::uint8_t num_good = 1;
  while (num_good < lead.num_bytes && num_good < text.size()) {
    const std::uint8_t byte = byte_at(text, num_good);
    const std::uint8_t low = num_good == 1 ? lead.second_min : std::uint8_t{0x80};
    const std::uint8_t high = num_good == 1 ? lead.second_max : std::uint8_t{0xBF};
    if (byte < low || byte > high) break;
    ++num_good;
  }
  return {num_good, lead.num_bytes};
}

}  // namespace

Utf8Character decode_utf8(std::string_view text) {
  DCHECK(!text.empty());
  const std::uint8_t first = byte_at(text, 0);
  if (first < 0x80) return {.code_point = first, .num_bytes = 1, .valid = true};
  const Progress progress = progress_of(text);
  if (progress.num_needed == 0) return {};
  if (progress.num_good < progress.num_needed) return {.num_bytes = progress.num_good};
  constexpr std::uint8_t kPayloadMask[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
  char32_t code_point = first & kPayloadMask[progress.num_needed];
  for (std::size_t i = 1; i < progress.num_needed; ++i) {
    code_point = (code_point << 6) | (byte_at(text, i) & 0x3Fu);
  }
  return {.code_point = code_point, .num_bytes = progress.num_needed, .valid = true};
}

void append_utf8(char32_t code_point, std::string& out) {
  const auto put = [&out](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xC0 | (code_point >> 6));
    put(0x80 | (code_point & 0x3F));
  } else if (code_point < 0x10000) {
    put(0xE0 | (code_point >> 12));
    put(0x80 | ((code_point >> 6) & 0x3F));
    put(0x80 | (code_point & 0x3F));
  } else {
    put(0xF0 | (code_point >> 18));
    put(0x80 | ((code_point >> 12) & 0x3F));
    put(0x80 | ((code_point >> 6) & 0x3F));
    put(0x80 | (code_point & 0x3F));
  }
}

std::optional<std::size_t> find_invalid_utf8(std::string_view text) {
  std::size_t i = 0;
  while (i < text.size()) {
    if (byte_at(text, i) < 0x80) {
      ++i;
      continue;
    }
    const Progress progress = progress_of(text.substr(i));
    if (progress.num_needed == 0 || progress.num_good < progress.num_needed) return i;
    i += progress.num_needed;
  }
  return std::nullopt;
}

std::string repair_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t num_valid = find_invalid_utf8(text).value_or(text.size());
    out.append(text.substr(0, num_valid));
    text.remove_prefix(num_valid);
    if (text.empty()) break;
    append_utf8(kReplacementCharacter, out);
    text.remove_prefix(decode_utf8(text).num_bytes);
  }
  return out;
}

std::size_t incomplete_utf8_suffix_bytes(std::string_view text) {
  constexpr std::size_t kIncompleteBytesMax = 3;
  for (std::size_t n = 1; n <= kIncompleteBytesMax && n <= text.size(); ++n) {
    const std::string_view suffix = text.substr(text.size() - n);
    if (lead_of(byte_at(suffix, 0)).num_bytes == 0) continue;  // A continuation byte: look further.
    const Progress progress = progress_of(suffix);
    return progress.num_good == n && progress.num_needed > n ? n : 0;
  }
  return 0;
}

void Utf8Assembler::push(std::string_view bytes, std::string& out) {
  held_.append(bytes);
  const std::size_t num_kept = incomplete_utf8_suffix_bytes(held_);
  const std::string_view complete = std::string_view(held_).substr(0, held_.size() - num_kept);
  if (find_invalid_utf8(complete)) {
    out.append(repair_utf8(complete));
  } else {
    out.append(complete);
  }
  held_.erase(0, complete.size());
}

void Utf8Assembler::flush(std::string& out) {
  out.append(repair_utf8(held_));
  held_.clear();
}

}  // namespace millrace
