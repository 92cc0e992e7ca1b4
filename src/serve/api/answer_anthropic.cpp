// Answers of Anthropic's messages, whole and streamed.
#include <utility>

#include "base/check.h"
#include "serve/api/answer_json.h"
#include "serve/api/answer_writers.h"

namespace millrace {
namespace {

const char* stop_reason(AnswerEnd end) {
  switch (end) {
    case AnswerEnd::kStop:
      return "end_turn";
    case AnswerEnd::kStopString:
      return "stop_sequence";
    case AnswerEnd::kToolCalls:
      return "tool_use";
    case AnswerEnd::kLength:
    case AnswerEnd::kDeadline:  // There is no word for it; the answer is cut short all the same.
    case AnswerEnd::kCancelled:
      return "max_tokens";
  }
  CHECK(false);  // Every enumerator is named above.
  return "";
}

// Anthropic counts what came from the cache apart.
OrderedJson usage_object(const Usage& usage) {
  return {{"input_tokens", usage.num_prompt - usage.num_cached},
          {"cache_creation_input_tokens", 0},
          {"cache_read_input_tokens", usage.num_cached},
          {"output_tokens", usage.num_completion}};
}

// The arguments as an object. A call that was cut short has none yet: its text stays readable.
OrderedJson input_of(const std::string& arguments) {
  const Result<OrderedJson> parsed = parse_ordered_json(arguments, "arguments");
  if (parsed.ok() && parsed.value().is_object()) return parsed.value();
  if (arguments.empty()) return OrderedJson::object();
  return {{"arguments", arguments}};
}

// A piece as it begins.
OrderedJson empty_block(const AnswerPiece& piece) {
  switch (piece.kind) {
    case AnswerPiece::Kind::kReasoning:
      return {{"type", "thinking"}, {"thinking", ""}, {"signature", ""}};
    case AnswerPiece::Kind::kText:
      return {{"type", "text"}, {"text", ""}};
    case AnswerPiece::Kind::kCall:
      return {{"type", "tool_use"},
              {"id", piece.call_id},
              {"name", piece.name},
              {"input", OrderedJson::object()}};
  }
  CHECK(false);  // Every enumerator is named above.
  return nullptr;
}

OrderedJson whole_block(const AnswerPiece& piece) {
  OrderedJson block = empty_block(piece);
  if (piece.kind == AnswerPiece::Kind::kReasoning) block["thinking"] = piece.text;
  if (piece.kind == AnswerPiece::Kind::kText) block["text"] = piece.text;
  if (piece.kind == AnswerPiece::Kind::kCall) block["input"] = input_of(piece.text);
  return block;
}

OrderedJson message_object(const AnswerSettings& settings, OrderedJson content,
                           const std::optional<ChoiceFinished>& finished, const Usage& usage) {
  OrderedJson message{{"id", "msg_" + settings.identity.id},
                      {"type", "message"},
                      {"role", "assistant"},
                      {"model", settings.identity.model},
                      {"content", std::move(content)},
                      {"stop_reason", nullptr},
                      {"stop_sequence", nullptr},
                      {"usage", usage_object(usage)}};
  if (finished) message["stop_reason"] = stop_reason(finished->end);
  if (finished && finished->stop_string) message["stop_sequence"] = *finished->stop_string;
  return message;
}

class AnthropicStream final : public AnswerWriter, private PieceListener {
 public:
  explicit AnthropicStream(AnswerSettings settings)
      : settings_(std::move(settings)), pieces_(this) {}

  void begin(std::string& out) override {
    const Usage usage{.num_prompt = settings_.identity.num_prompt};
    frame({{"type", "message_start"},
           {"message", message_object(settings_, OrderedJson::array(), std::nullopt, usage)}},
          out);
  }

  void write(const AnswerEvent& event, std::string& out) override {
    out_ = &out;
    pieces_.add(event);
    out_ = nullptr;
  }

  void finish(const Usage& usage, std::string& out) override {
    const OrderedJson message =
        message_object(settings_, OrderedJson::array(), pieces_.finished(), usage);
    frame({{"type", "message_delta"},
           {"delta",
            {{"stop_reason", message["stop_reason"]}, {"stop_sequence", message["stop_sequence"]}}},
           {"usage", message["usage"]}},
          out);
    frame({{"type", "message_stop"}}, out);
  }

  void fail(const ApiError& error, std::string& out) override {
    append_frame(out, "error", error_json(error, ErrorForm::kAnthropic));
  }

 private:
  static void frame(const OrderedJson& data, std::string& out) {
    append_frame(out, data["type"].get_ref<const std::string&>(), data);
  }

  void delta(std::size_t index, OrderedJson delta) {
    frame({{"type", "content_block_delta"}, {"index", index}, {"delta", std::move(delta)}}, *out_);
  }

  void on_open(std::size_t index, const AnswerPiece& piece) override {
    frame(
        {{"type", "content_block_start"}, {"index", index}, {"content_block", empty_block(piece)}},
        *out_);
  }

  void on_text(std::size_t index, const AnswerPiece& piece, const std::string& text) override {
    switch (piece.kind) {
      case AnswerPiece::Kind::kReasoning:
        return delta(index, {{"type", "thinking_delta"}, {"thinking", text}});
      case AnswerPiece::Kind::kText:
        return delta(index, {{"type", "text_delta"}, {"text", text}});
      case AnswerPiece::Kind::kCall:
        return delta(index, {{"type", "input_json_delta"}, {"partial_json", text}});
    }
  }

  void on_close(std::size_t index, const AnswerPiece& piece) override {
    if (piece.kind == AnswerPiece::Kind::kReasoning) {
      delta(index, {{"type", "signature_delta"}, {"signature", ""}});
    }
    frame({{"type", "content_block_stop"}, {"index", index}}, *out_);
  }

  AnswerSettings settings_;
  AnswerPieces pieces_;
  std::string* out_ = nullptr;  // where write() is writing to
};

}  // namespace

OrderedJson anthropic_body(const AnswerSettings& settings, const std::vector<AnswerPieces>& choices,
                           const Usage& usage) {
  OrderedJson content = OrderedJson::array();
  for (const AnswerPiece& piece : choices[0].pieces()) content.push_back(whole_block(piece));
  return message_object(settings, std::move(content), choices[0].finished(), usage);
}

std::unique_ptr<AnswerWriter> make_anthropic_stream(AnswerSettings settings) {
  return std::make_unique<AnthropicStream>(std::move(settings));
}

}  // namespace millrace
