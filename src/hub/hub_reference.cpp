// Taking references apart, strictly.
#include "hub/hub_reference.h"

#include <algorithm>
#include <cctype>

namespace millrace {
namespace {

constexpr std::string_view kScheme = "hf://";
constexpr std::size_t kPathBytesMax = 1024;
constexpr std::size_t kPartBytesMax = 200;

// Of owners, names and parts of revisions.
bool is_word(std::string_view text) {
  return !text.empty() && text.size() <= kPartBytesMax && text.front() != '.' &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' ||
                  c == '.';
         });
}

// Up to the delimiter, which is taken away too.
std::string_view take_until(std::string_view& rest, std::string_view delimiters) {
  const std::size_t end = std::min(rest.find_first_of(delimiters), rest.size());
  const std::string_view part = rest.substr(0, end);
  rest.remove_prefix(end);
  return part;
}

}  // namespace

std::string HubReference::text() const {
  return std::string(kScheme) + repository() + (revision == "main" ? "" : "@" + revision) +
         (file.empty() ? "" : "/" + file);
}

bool is_hub_reference(std::string_view text) {
  return text.starts_with(kScheme);
}

bool is_safe_path(std::string_view path) {
  if (path.empty() || path.size() > kPathBytesMax) return false;
  while (true) {
    const std::size_t end = std::min(path.find('/'), path.size());
    const std::string_view part = path.substr(0, end);
    const bool is_good = !part.empty() && part.size() <= kPartBytesMax && part.front() != '.' &&
                         std::all_of(part.begin(), part.end(), [](char c) {
                           return static_cast<unsigned char>(c) >= ' ' && c != 0x7f && c != '\\';
                         });
    if (!is_good) return false;
    if (end == path.size()) return true;
    path.remove_prefix(end + 1);
  }
}

bool is_commit(std::string_view revision) {
  return revision.size() == 40 && std::all_of(revision.begin(), revision.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

Result<HubReference> parse_hub_reference(std::string_view text) {
  const Error wrong{ErrorCode::kInvalidArgument,
                    "\"" + std::string(text.substr(0, kPathBytesMax)) +
                        "\" is no model of a hub, expected hf://owner/name[@revision][/file]"};
  if (!is_hub_reference(text)) return wrong;
  std::string_view rest = text.substr(kScheme.size());
  HubReference reference;
  reference.owner = take_until(rest, "/");
  if (rest.empty()) return wrong;
  rest.remove_prefix(1);
  reference.name = take_until(rest, "@/");
  if (rest.starts_with('@')) {
    rest.remove_prefix(1);
    reference.revision = take_until(rest, "/");
  }
  if (!is_word(reference.owner) || !is_word(reference.name) || !is_word(reference.revision)) {
    return wrong;
  }
  if (rest.starts_with('/')) reference.file = rest.substr(1);
  if (!reference.file.empty() && !is_safe_path(reference.file)) return wrong;
  return reference;
}

}  // namespace millrace
