// Keys of bodies.
#include "serve/operate/admin_body.h"

namespace millrace {

Result<std::string> text_at(const Json& body, const char* key) {
  const auto found = body.find(key);
  if (found == body.end()) return std::string();
  if (!found->is_string()) {
    return Error{ErrorCode::kInvalidArgument, std::string(key) + " is no text"};
  }
  return found->get<std::string>();
}

Result<std::string> required_text(const Json& body, const char* key) {
  std::string text = TRY(text_at(body, key));
  if (text.empty()) return Error{ErrorCode::kInvalidArgument, std::string(key) + " is missing"};
  return text;
}

OrderedJson admin_done() {
  return {{"status", "ok"}};
}

}  // namespace millrace
