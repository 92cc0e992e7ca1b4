// Answers of chat completions and of completions, whole and streamed.
#include <utility>

#include "base/check.h"
#include "serve/api/answer_json.h"
#include "serve/api/answer_writers.h"
#include "text/utf8.h"

namespace millrace {
namespace {

const char* finish_word(AnswerEnd end) {
  switch (end) {
    case AnswerEnd::kStop:
    case AnswerEnd::kStopString:
      return "stop";
    case AnswerEnd::kToolCalls:
      return "tool_calls";
    case AnswerEnd::kLength:
    case AnswerEnd::kDeadline:  // OpenAI has no word for it; the answer is cut short all the same.
    case AnswerEnd::kCancelled:
      return "length";
  }
  CHECK(false);  // Every enumerator is named above.
  return "";
}

OrderedJson finish_json(const std::optional<ChoiceFinished>& finished) {
  return finished ? OrderedJson(finish_word(finished->end)) : OrderedJson(nullptr);
}

OrderedJson envelope(const AnswerSettings& settings, const char* prefix, const char* object) {
  OrderedJson envelope{{"id", prefix + settings.identity.id},
                       {"object", object},
                       {"created", settings.identity.unix_seconds},
                       {"model", settings.identity.model}};
  const std::string& fingerprint = settings.identity.fingerprint;
  if (!fingerprint.empty()) envelope["system_fingerprint"] = fingerprint;
  return envelope;
}

OrderedJson chat_logprobs(const std::vector<TokenLogprobs>& logprobs) {
  return {{"content", logprobs_json(logprobs)}, {"refusal", nullptr}};
}

OrderedJson call_json(const AnswerPiece& call) {
  return {{"id", call.call_id},
          {"type", "function"},
          {"function", {{"name", call.name}, {"arguments", call.text}}}};
}

OrderedJson chat_message(const AnswerPieces& choice) {
  std::string content = choice.joined(AnswerPiece::Kind::kText);
  std::string reasoning = choice.joined(AnswerPiece::Kind::kReasoning);
  OrderedJson message{{"role", "assistant"}, {"content", nullptr}, {"refusal", nullptr}};
  if (!content.empty() || !choice.has_calls()) message["content"] = std::move(content);
  if (!reasoning.empty()) message["reasoning_content"] = std::move(reasoning);
  if (!choice.has_calls()) return message;
  OrderedJson calls = OrderedJson::array();
  for (const AnswerPiece& piece : choice.pieces()) {
    if (piece.kind == AnswerPiece::Kind::kCall) calls.push_back(call_json(piece));
  }
  message["tool_calls"] = std::move(calls);
  return message;
}

// By text, the likeliest first; the token itself is among them.
OrderedJson top_logprobs(const TokenLogprobs& each) {
  OrderedJson top = OrderedJson::object();
  for (const TokenChance& chance : each.top) {
    const std::string text =
        token_text(chance.id == each.token.id ? each.token.bytes : chance.bytes);
    if (!top.contains(text)) top[text] = json_logprob(chance.logprob);  // Not a rarer one's.
  }
  const std::string own = token_text(each.token.bytes);
  if (!top.empty() && !top.contains(own)) top[own] = json_logprob(each.token.logprob);
  return top;
}

// The parallel lists of the completions dialect. `offset` counts characters of the text so far.
OrderedJson completion_logprobs(const std::vector<TokenLogprobs>& logprobs, std::size_t& offset) {
  OrderedJson offsets = OrderedJson::array();
  OrderedJson chances = OrderedJson::array();
  OrderedJson tokens = OrderedJson::array();
  OrderedJson tops = OrderedJson::array();
  for (const TokenLogprobs& each : logprobs) {
    offsets.push_back(offset);
    tokens.push_back(token_text(each.token.bytes));
    chances.push_back(each.has_chance ? OrderedJson(json_logprob(each.token.logprob)) : nullptr);
    tops.push_back(each.has_chance ? top_logprobs(each) : nullptr);
    if (!each.is_in_text) continue;
    // A byte that continues a character counts with the byte that began it.
    for (const char c : each.token.bytes) {
      if ((static_cast<std::uint8_t>(c) & 0xC0) != 0x80) ++offset;
    }
  }
  return {{"text_offset", std::move(offsets)},
          {"token_logprobs", std::move(chances)},
          {"tokens", std::move(tokens)},
          {"top_logprobs", std::move(tops)}};
}

// What both streams share: chunks of one choice each, usage and the end.
class OpenAiStream : public AnswerWriter {
 public:
  OpenAiStream(AnswerSettings settings, OrderedJson envelope)
      : settings_(std::move(settings)), envelope_(std::move(envelope)) {}

  void finish(const Usage& usage, std::string& out) override {
    if (settings_.includes_usage) {
      OrderedJson chunk = envelope_;
      chunk["choices"] = OrderedJson::array();
      chunk["usage"] = usage_json(usage);
      append_frame(out, "", chunk);
    }
    out += "data: [DONE]\n\n";
  }

  void fail(const ApiError& error, std::string& out) override {
    append_frame(out, "", error_json(error, ErrorForm::kOpenAi));
    out += "data: [DONE]\n\n";
  }

 protected:
  void chunk(OrderedJson choice, std::string& out) const {
    OrderedJson chunk = envelope_;
    chunk["choices"] = OrderedJson::array({std::move(choice)});
    if (settings_.includes_usage) chunk["usage"] = nullptr;
    append_frame(out, "", chunk);
  }
  const AnswerSettings& settings() const { return settings_; }

 private:
  AnswerSettings settings_;
  OrderedJson envelope_;
};

class ChatStream final : public OpenAiStream {
 public:
  explicit ChatStream(AnswerSettings settings)
      : OpenAiStream(settings, envelope(settings, "chatcmpl-", "chat.completion.chunk")) {}

  void begin(std::string& out) override {
    for (std::size_t i = 0; i < settings().num_choices; ++i) {
      delta(i, {{"role", "assistant"}, {"content", ""}}, nullptr, out);
    }
  }

  void write(const AnswerEvent& event, std::string& out) override {
    if (const auto* content = std::get_if<ContentDelta>(&event.what)) {
      text(event.choice, "content", content->text, content->logprobs, out);
    } else if (const auto* reasoning = std::get_if<ReasoningDelta>(&event.what)) {
      text(event.choice, "reasoning_content", reasoning->text, reasoning->logprobs, out);
    } else if (const auto* begin = std::get_if<ToolCallBegin>(&event.what)) {
      call(event.choice,
           {{"index", begin->call},
            {"id", begin->id},
            {"type", "function"},
            {"function", {{"name", begin->name}, {"arguments", ""}}}},
           out);
    } else if (const auto* more = std::get_if<ToolCallDelta>(&event.what)) {
      if (more->arguments.empty()) return;
      call(event.choice, {{"index", more->call}, {"function", {{"arguments", more->arguments}}}},
           out);
    } else if (const auto* finished = std::get_if<ChoiceFinished>(&event.what)) {
      OrderedJson choice{{"index", event.choice},
                         {"delta", OrderedJson::object()},
                         {"logprobs", nullptr},
                         {"finish_reason", finish_word(finished->end)}};
      chunk(std::move(choice), out);
    }
  }

 private:
  void text(std::size_t choice, const char* field, const std::string& text,
            const std::vector<TokenLogprobs>& logprobs, std::string& out) const {
    if (text.empty() && logprobs.empty()) return;
    delta(choice, {{field, text}},
          logprobs.empty() ? OrderedJson(nullptr) : chat_logprobs(logprobs), out);
  }
  void call(std::size_t choice, OrderedJson call, std::string& out) const {
    delta(choice, {{"tool_calls", OrderedJson::array({std::move(call)})}}, nullptr, out);
  }
  void delta(std::size_t index, OrderedJson delta, OrderedJson logprobs, std::string& out) const {
    chunk({{"index", index},
           {"delta", std::move(delta)},
           {"logprobs", std::move(logprobs)},
           {"finish_reason", nullptr}},
          out);
  }
};

class CompletionsStream final : public OpenAiStream {
 public:
  explicit CompletionsStream(AnswerSettings settings)
      : OpenAiStream(settings, envelope(settings, "cmpl-", "text_completion")),
        offsets_(settings.num_choices, 0) {}

  void begin(std::string&) override {}

  void write(const AnswerEvent& event, std::string& out) override {
    CHECK(event.choice < offsets_.size());
    if (const auto* content = std::get_if<ContentDelta>(&event.what)) {
      if (content->text.empty() && content->logprobs.empty()) return;
      OrderedJson logprobs = nullptr;
      if (!content->logprobs.empty()) {
        logprobs = completion_logprobs(content->logprobs, offsets_[event.choice]);
      }
      text(event.choice, content->text, std::move(logprobs), nullptr, out);
    } else if (const auto* finished = std::get_if<ChoiceFinished>(&event.what)) {
      text(event.choice, "", nullptr, finish_word(finished->end), out);
    }
  }

 private:
  void text(std::size_t index, const std::string& text, OrderedJson logprobs, OrderedJson finish,
            std::string& out) const {
    chunk({{"index", index},
           {"text", text},
           {"logprobs", std::move(logprobs)},
           {"finish_reason", std::move(finish)}},
          out);
  }

  std::vector<std::size_t> offsets_;
};

}  // namespace

OrderedJson chat_body(const AnswerSettings& settings, const std::vector<AnswerPieces>& choices,
                      const Usage& usage) {
  OrderedJson list = OrderedJson::array();
  for (std::size_t i = 0; i < choices.size(); ++i) {
    OrderedJson logprobs = nullptr;
    if (settings.has_logprobs) logprobs = chat_logprobs(choices[i].all_logprobs());
    list.push_back({{"index", i},
                    {"message", chat_message(choices[i])},
                    {"logprobs", std::move(logprobs)},
                    {"finish_reason", finish_json(choices[i].finished())}});
  }
  OrderedJson body = envelope(settings, "chatcmpl-", "chat.completion");
  body["choices"] = std::move(list);
  if (settings.has_prompt_logprobs && !choices.empty()) {
    body["prompt_logprobs"] = prompt_logprobs_json(choices.front().prompt());
  }
  body["usage"] = usage_json(usage);
  return body;
}

OrderedJson completions_body(const AnswerSettings& settings,
                             const std::vector<AnswerPieces>& choices, const Usage& usage) {
  OrderedJson list = OrderedJson::array();
  for (std::size_t i = 0; i < choices.size(); ++i) {
    OrderedJson logprobs = nullptr;
    std::size_t offset = 0;
    if (settings.has_logprobs) logprobs = completion_logprobs(choices[i].all_logprobs(), offset);
    list.push_back({{"index", i},
                    {"text", choices[i].joined(AnswerPiece::Kind::kText)},
                    {"logprobs", std::move(logprobs)},
                    {"finish_reason", finish_json(choices[i].finished())}});
    if (settings.has_prompt_logprobs) {
      list.back()["prompt_logprobs"] = prompt_logprobs_json(choices[i].prompt());
    }
  }
  OrderedJson body = envelope(settings, "cmpl-", "text_completion");
  body["choices"] = std::move(list);
  body["usage"] = usage_json(usage);
  return body;
}

std::unique_ptr<AnswerWriter> make_chat_stream(AnswerSettings settings) {
  return std::make_unique<ChatStream>(std::move(settings));
}

std::unique_ptr<AnswerWriter> make_completions_stream(AnswerSettings settings) {
  return std::make_unique<CompletionsStream>(std::move(settings));
}

}  // namespace millrace
