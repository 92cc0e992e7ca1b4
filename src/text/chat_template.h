// Chat templates: messages, tools and settings become the prompt text that a model was trained on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "text/chat_template_limits.h"

namespace millrace {

namespace jinja {
struct Program;
}  // namespace jinja

enum class GenerationPrompt : std::uint8_t { kOff, kOn };

// Everything that a template can see. What is absent renders as transformers has it: tools and
// documents as none, special tokens as undefined.
struct ChatTemplateInput {
  OrderedJson messages = OrderedJson::array();    // Objects as OpenAI's API takes them.
  OrderedJson tools = nullptr;                    // An array of schemas, or null.
  OrderedJson documents = nullptr;                // An array of objects, or null.
  OrderedJson arguments = OrderedJson::object();  // chat_template_kwargs: more variables.
  GenerationPrompt generation_prompt = GenerationPrompt::kOn;
  std::optional<std::string> bos_token;
  std::optional<std::string> eos_token;
  // strftime_now() shows this time as if it were in UTC; add the offset of the zone to show.
  std::int64_t unix_seconds = 0;
};

// What a template makes of a conversation, found by rendering small ones.
struct ChatTemplateFacts {
  bool shows_system_message = false;  // A message of role "system" reaches the prompt.
  bool shows_tools = false;           // Tool schemas reach the prompt.
  bool shows_tool_calls = false;      // An assistant's tool_calls reach the prompt.
  bool shows_tool_results = false;    // A message of role "tool" reaches the prompt.
  bool needs_content_parts = false;   // Content reaches the prompt only as [{"type": "text", …}].
  bool needs_argument_objects = false;  // Arguments of a tool call must be an object, not its text.
};

// A parsed template. Immutable: any thread may render it, several at once.
//
// The dialect is Jinja as Hugging Face transformers sets it up: an immutable sandbox, trim_blocks,
// lstrip_blocks, break and continue, generation blocks, and its own tojson, raise_exception and
// strftime_now. Output equals jinja2's byte for byte; where jinja2 fails, so do we. Which of
// several named templates of a model to use ("default", "tool_use", …) is the loader's decision.
class ChatTemplate {
 public:
  // kCorruptData names the line, what was found and what was expected; kUnsupported names a
  // statement, filter or test that we do not have; kTooLarge names the limit.
  static Result<ChatTemplate> parse(std::string_view source, const ChatTemplateLimits& limits = {});

  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

  // kInvalidArgument is the template's own raise_exception message, or names the line and what
  // went wrong there; kTooLarge names the limit.
  Result<std::string> render(const ChatTemplateInput& input) const;

  // Renders about ten conversations of a few words.
  ChatTemplateFacts facts() const;

 private:
  explicit ChatTemplate(std::unique_ptr<const jinja::Program> program);

  std::unique_ptr<const jinja::Program> program_;
};

}  // namespace millrace
