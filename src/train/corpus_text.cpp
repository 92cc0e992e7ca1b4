// Texts out of files, in pieces.
#include "train/corpus_text.h"

#include <algorithm>

#include "base/file.h"
#include "base/json.h"
#include "text/utf8.h"

namespace millrace {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{1} << 20;
constexpr std::uint64_t kLineBytesMax = std::uint64_t{16} << 20;

using TakeText = FunctionRef<Status(std::string_view)>;

Status take_valid(std::string_view text, TakeText take) {
  if (text.empty()) return Ok{};
  if (!find_invalid_utf8(text)) return take(text);
  return take(repair_utf8(text));
}

Status take_text(std::string_view all, TakeText take) {
  while (!all.empty()) {
    std::size_t count = std::min(all.size(), kPieceBytes);
    if (count < all.size()) {
      const std::size_t line_break = all.rfind('\n', count - 1);
      count = line_break == std::string_view::npos
                  ? count - incomplete_utf8_suffix_bytes(all.substr(0, count))
                  : line_break + 1;
    }
    TRY(take_valid(all.substr(0, count), take));
    all.remove_prefix(count);
  }
  return Ok{};
}

Status take_json(const Json& json, const std::string& where, TakeText take) {
  if (json.is_object() && json.contains("text") && json["text"].is_string()) {
    return take_text(json["text"].get_ref<const std::string&>(), take);
  }
  if (!json.is_object() || !json.contains("messages") || !json["messages"].is_array()) {
    return Error{ErrorCode::kCorruptData,
                 where + ": expected an object with a text or a list of messages"};
  }
  for (const Json& message : json["messages"]) {
    if (!message.is_object() || !message.contains("content")) continue;
    if (!message["content"].is_string()) continue;
    TRY(take_text(message["content"].get_ref<const std::string&>(), take));
  }
  return Ok{};
}

Status take_lines(std::string_view all, const std::string& path, TakeText take) {
  for (std::size_t line = 1; !all.empty(); ++line) {
    const std::size_t end = std::min(all.size(), all.find('\n'));
    const std::string_view text = all.substr(0, end);
    all.remove_prefix(std::min(all.size(), end + 1));
    if (text.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string where = path + ":" + std::to_string(line);
    const Json json = TRY(parse_json(text, where, {.bytes_max = kLineBytesMax}));
    TRY(take_json(json, where, take));
  }
  return Ok{};
}

}  // namespace

Status for_each_text(const std::string& path, TakeText take) {
  const MappedFile mapped = TRY(MappedFile::open(path));
  const std::span<const std::byte> bytes = mapped.bytes();
  const std::string_view all(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (path.ends_with(".jsonl")) {
    TRY(take_lines(all, path, take));
  } else {
    TRY(take_text(all, take));
  }
  return mapped.check_intact();
}

}  // namespace millrace
