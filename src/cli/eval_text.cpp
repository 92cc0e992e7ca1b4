// Reading the beginning of a text.
#include "cli/eval_text.h"

#include "base/file.h"

namespace millrace {

Result<std::string> read_first_bytes(const std::string& path,
                                     std::optional<std::uint64_t> num_bytes) {
  constexpr std::uint64_t kTextBytesMax = 1ull << 30;
  std::string text = TRY(read_file(path, kTextBytesMax));
  if (!num_bytes || *num_bytes >= text.size()) return text;
  std::size_t end = *num_bytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0u) == 0x80u) --end;
  text.resize(end);
  return text;
}

}  // namespace millrace
