// A walk over every string of a conversation.
#include "serve/output/plain_marks.h"

#include <functional>
#include <utility>

namespace millrace {
namespace {

using Change = std::function<void(std::string&)>;
using Test = std::function<bool(const std::string&)>;

// Depth is that of a request's body, which is limited.
void change_strings(OrderedJson& value, const Change& change) {
  if (value.is_string()) return change(value.get_ref<std::string&>());
  if (value.is_array()) {
    for (OrderedJson& element : value) change_strings(element, change);
  }
  if (!value.is_object()) return;
  OrderedJson changed = OrderedJson::object();
  for (auto& [key, element] : value.items()) {
    std::string name = key;
    change(name);
    change_strings(element, change);
    changed[name] = std::move(element);
  }
  value = std::move(changed);
}

bool any_string(const OrderedJson& value, const Test& test) {
  if (value.is_string()) return test(value.get_ref<const std::string&>());
  if (!value.is_structured()) return false;
  for (const auto& [key, element] : value.items()) {
    if (value.is_object() && test(key)) return true;
    if (any_string(element, test)) return true;
  }
  return false;
}

bool any_text(const ChatTemplateInput& input, const Test& test) {
  for (const OrderedJson* const part :
       {&input.messages, &input.tools, &input.documents, &input.arguments}) {
    if (any_string(*part, test)) return true;
  }
  return false;
}

void change_all(ChatTemplateInput& input, const Change& change, const Change& change_said) {
  for (OrderedJson& message : input.messages) {
    const bool is_assistant = message["role"] == "assistant";
    for (auto& [key, value] : message.items()) {
      if (key == "role") continue;
      const bool is_said = is_assistant && (key == "content" || key == "reasoning_content");
      change_strings(value, is_said ? change_said : change);
    }
  }
  for (OrderedJson* const part : {&input.tools, &input.documents, &input.arguments}) {
    change_strings(*part, change);
  }
}

// Noncharacters, which no text has for a reason: U+FDD0 to U+FDEF.
std::string free_mark(const ChatTemplateInput& input) {
  constexpr std::uint8_t kFirst = 0x90;
  constexpr std::uint8_t kLast = 0xAF;
  for (std::uint8_t last = kFirst; last <= kLast; ++last) {
    const std::string mark{'\xEF', '\xB7', static_cast<char>(last)};
    const auto has_mark = [&](const std::string& text) {
      return text.find(mark) != std::string::npos;
    };
    if (!any_text(input, has_mark)) return mark;
  }
  return "";
}

}  // namespace

Result<std::string> mark_plain_text(const Tokenizer& tokenizer,
                                    const std::vector<std::string_view>& kept,
                                    ChatTemplateInput& input) {
  const auto has_special = [&](const std::string& text) { return tokenizer.has_special(text); };
  if (!any_text(input, has_special)) return std::string();
  std::string mark = free_mark(input);
  if (mark.empty()) {
    return Error{ErrorCode::kInvalidArgument,
                 "messages have every one of the characters U+FDD0 to U+FDEF, expected one of them "
                 "to be left for the server's own use"};
  }
  change_all(
      input, [&](std::string& text) { text = tokenizer.mark_special(text, mark); },
      [&](std::string& text) {
        text = tokenizer.mark_special(text, mark);
        for (const std::string_view each : kept) {
          const std::string marked = mark + std::string(each);
          for (std::size_t at = text.find(marked); at != std::string::npos;
               at = text.find(marked, at)) {
            text.erase(at, mark.size());
          }
        }
      });
  return mark;
}

std::string without_marks(std::string text, std::string_view mark) {
  if (mark.empty()) return text;
  for (std::size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, at)) {
    text.erase(at, mark.size());
  }
  return text;
}

}  // namespace millrace
