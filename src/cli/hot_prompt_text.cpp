// Files and templates of hot prompts.
#include "cli/hot_prompt_text.h"

#include <algorithm>
#include <utility>

#include "base/file.h"
#include "text/chat_template.h"

namespace millrace {
namespace {

constexpr std::uint64_t kFileBytesMax = 16ull << 20;

// The conversation up to where the user begins to speak is the same for whatever is said.
Result<std::vector<TokenId>> conversation_tokens(const ModelText& text,
                                                 const ChatTemplate& chat_template,
                                                 const std::string& system,
                                                 const std::string& said) {
  ChatTemplateInput input;
  input.messages = OrderedJson::array(
      {{{"role", "system"}, {"content", system}}, {{"role", "user"}, {"content", said}}});
  input.bos_token = text.bos_text;
  input.eos_token = text.eos_text;
  return text.tokenizer.encode(
      TRY(chat_template.render(input)),
      {.add_special = AddSpecial::kNo, .parse_special = ParseSpecial::kYes});
}

}  // namespace

Result<std::vector<TokenId>> hot_prompt_tokens(const ModelText& text,
                                               const std::optional<std::string>& chat_template,
                                               const HotPromptConfig& prompt) {
  std::string content = prompt.text;
  if (!prompt.file.empty()) content = TRY(read_file(prompt.file, kFileBytesMax));
  if (prompt.kind == HotPromptKind::kText) {
    return text.tokenizer.encode(
        content, {.add_special = AddSpecial::kYes, .parse_special = ParseSpecial::kNo});
  }
  if (!chat_template) {
    return Error{ErrorCode::kInvalidArgument,
                 "a hot system prompt needs a chat template, and this model has none"};
  }
  const ChatTemplate parsed = TRY(ChatTemplate::parse(*chat_template));
  std::vector<TokenId> first = TRY(conversation_tokens(text, parsed, content, "A"));
  const std::vector<TokenId> second = TRY(conversation_tokens(text, parsed, content, "7 B"));
  const auto end = std::mismatch(first.begin(), first.end(), second.begin(), second.end()).first;
  first.erase(end, first.end());
  return first;
}

}  // namespace millrace
