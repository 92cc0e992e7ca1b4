// The terminal's chat.
#include "cli/chat_loop.h"

#include <unistd.h>

#include <cstdio>
#include <iostream>

#include "cli/interrupt.h"

namespace millrace {
namespace {

constexpr const char* kHelp =
    "/exit or Ctrl-D leaves, /clear forgets the conversation, Ctrl-C ends an answer, "
    "a line ending in \\ goes on in the next.\n";

// The next message; nothing at the end of input.
std::optional<std::string> read_message(bool is_terminal) {
  std::string message;
  for (;;) {
    if (is_terminal) std::fputs(message.empty() ? "> " : ". ", stderr);
    std::string line;
    if (!std::getline(std::cin, line)) {
      return message.empty() ? std::nullopt : std::optional(message);
    }
    if (line.empty() || line.back() != '\\') return message + line;
    line.back() = '\n';
    message += line;
  }
}

OrderedJson opening(const ChatOptions& options) {
  OrderedJson messages = OrderedJson::array();
  if (!options.system.empty())
    messages.push_back({{"role", "system"}, {"content", options.system}});
  return messages;
}

void show(const std::string& piece) {
  std::fwrite(piece.data(), 1, piece.size(), stdout);
  std::fflush(stdout);
}

// One exchange; the conversation grows only when it went well.
Status exchange(Generator& generator, const PromptBuilder& prompts, const ChatOptions& options,
                const std::string& message, OrderedJson& messages) {
  catch_interrupts();
  if (!prompts.is_chat()) {
    const auto ids = TRY(prompts.completion(message));
    TRY(generator.generate(ids, options.generation, StreamPosition::kContinuation, interrupt_flag(),
                           [](const std::string& piece) { show(piece); }));
    return Ok{};
  }
  OrderedJson turn = messages;
  turn.push_back({{"role", "user"}, {"content", message}});
  const auto ids = TRY(prompts.chat(turn));
  const Generation generation =
      TRY(generator.generate(ids, options.generation, StreamPosition::kStart, interrupt_flag(),
                             [](const std::string& piece) { show(piece); }));
  turn.push_back({{"role", "assistant"}, {"content", generation.text}});
  messages = std::move(turn);
  return Ok{};
}

}  // namespace

Status chat_in_terminal(Generator& generator, const PromptBuilder& prompts,
                        const ChatOptions& options) {
  const bool is_terminal = ::isatty(STDIN_FILENO) == 1;
  if (is_terminal) {
    std::fputs(
        prompts.is_chat() ? "" : "This model has no chat template: each line is continued.\n",
        stderr);
    std::fputs(kHelp, stderr);
  }
  OrderedJson messages = opening(options);
  while (const std::optional<std::string> message = read_message(is_terminal)) {
    if (*message == "/exit" || *message == "/bye" || *message == "/quit") break;
    if (*message == "/help") {
      std::fputs(kHelp, stderr);
      continue;
    }
    if (*message == "/clear") {
      messages = opening(options);
      continue;
    }
    if (message->empty()) continue;
    const Status status = exchange(generator, prompts, options, *message, messages);
    std::fputs("\n", stdout);
    std::fflush(stdout);
    if (status.ok()) continue;
    if (!is_terminal) return status;
    std::fprintf(stderr, "%s\n", status.error().message.c_str());
  }
  return Ok{};
}

}  // namespace millrace
