// The run of an event handler over a text, and its errors.
#include "formats/json_events.h"

namespace millrace {

Status JsonEvents::read(std::string_view text, const std::string& name) {
  // nlohmann's parser takes a zero byte for the end of the text and ignores what follows.
  const std::size_t zero = text.find('\0');
  if (zero == std::string_view::npos && Json::sax_parse(text, this)) return Ok{};
  if (zero != std::string_view::npos) fail("not valid JSON at byte " + std::to_string(zero));
  return Error{ErrorCode::kCorruptData, name + ": " + fault_};
}

bool JsonEvents::parse_error(std::size_t position, const std::string&,
                             const nlohmann::detail::exception&) {
  // nlohmann's own message quotes the last token, which may be as long as the text.
  return fail("not valid JSON at byte " + std::to_string(position));
}

bool JsonEvents::refuse(const std::string& found) {
  return fail(place() + " holds " + found + ", which is not expected there");
}

bool JsonEvents::fail(const std::string& message) {
  fault_ = message;
  return false;
}

}  // namespace millrace
