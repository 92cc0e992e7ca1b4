// Answers of OpenAI's responses, whole and streamed.
#include <utility>

#include "base/check.h"
#include "serve/api/answer_json.h"
#include "serve/api/answer_writers.h"

namespace millrace {
namespace {

using Kind = AnswerPiece::Kind;

OrderedJson usage_object(const Usage& usage) {
  return {{"input_tokens", usage.num_prompt},
          {"input_tokens_details", {{"cached_tokens", usage.num_cached}}},
          {"output_tokens", usage.num_completion},
          {"output_tokens_details", {{"reasoning_tokens", usage.num_reasoning}}},
          {"total_tokens", usage.num_prompt + usage.num_completion}};
}

bool is_cut_short(const std::optional<ChoiceFinished>& finished) {
  return finished &&
         (finished->end == AnswerEnd::kLength || finished->end == AnswerEnd::kDeadline ||
          finished->end == AnswerEnd::kCancelled);
}

OrderedJson response_object(const AnswerSettings& settings, const char* status) {
  OrderedJson response{{"id", "resp_" + settings.identity.id},
                       {"object", "response"},
                       {"created_at", settings.identity.unix_seconds},
                       {"status", status},
                       {"error", nullptr},
                       {"incomplete_details", nullptr},
                       {"model", settings.identity.model},
                       {"output", OrderedJson::array()},
                       {"usage", nullptr}};
  response.update(settings.echoed);
  return response;
}

std::string item_id(const AnswerSettings& settings, std::size_t index, Kind kind) {
  const char* const prefix = kind == Kind::kReasoning ? "rs_"
                             : kind == Kind::kText    ? "msg_"
                                                      : "fc_";
  return prefix + settings.identity.id + "_" + std::to_string(index);
}

OrderedJson part_object(const AnswerPiece& piece, const std::string& text) {
  if (piece.kind == Kind::kReasoning) return {{"type", "reasoning_text"}, {"text", text}};
  return {{"type", "output_text"},
          {"text", text},
          {"annotations", OrderedJson::array()},
          {"logprobs", text.empty() ? OrderedJson::array() : logprobs_json(piece.logprobs)}};
}

enum class ItemState : std::uint8_t { kBegun, kDone };

OrderedJson item_object(const AnswerSettings& settings, std::size_t index, const AnswerPiece& piece,
                        ItemState state) {
  const bool is_done = state == ItemState::kDone;
  const char* const status = is_done ? "completed" : "in_progress";
  OrderedJson parts = OrderedJson::array();
  if (is_done) parts.push_back(part_object(piece, piece.text));
  OrderedJson item{{"id", item_id(settings, index, piece.kind)}};
  switch (piece.kind) {
    case Kind::kReasoning:
      item.update({{"type", "reasoning"},
                   {"status", status},
                   {"summary", OrderedJson::array()},
                   {"content", std::move(parts)}});
      return item;
    case Kind::kText:
      item.update({{"type", "message"},
                   {"status", status},
                   {"role", "assistant"},
                   {"content", std::move(parts)}});
      return item;
    case Kind::kCall:
      item.update({{"type", "function_call"},
                   {"status", status},
                   {"call_id", piece.call_id},
                   {"name", piece.name},
                   {"arguments", is_done ? piece.text : ""}});
      return item;
  }
  CHECK(false);  // Every enumerator is named above.
  return nullptr;
}

OrderedJson finished_response(const AnswerSettings& settings, const AnswerPieces& choice,
                              const Usage& usage) {
  const bool is_short = is_cut_short(choice.finished());
  OrderedJson response = response_object(settings, is_short ? "incomplete" : "completed");
  if (is_short) response["incomplete_details"] = {{"reason", "max_output_tokens"}};
  OrderedJson& output = response["output"];
  const std::vector<AnswerPiece>& pieces = choice.pieces();
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    output.push_back(item_object(settings, i, pieces[i], ItemState::kDone));
  }
  response["usage"] = usage_object(usage);
  return response;
}

class ResponsesStream final : public AnswerWriter, private PieceListener {
 public:
  explicit ResponsesStream(AnswerSettings settings)
      : settings_(std::move(settings)), pieces_(this) {}

  void begin(std::string& out) override {
    out_ = &out;
    event("response.created", {{"response", response_object(settings_, "in_progress")}});
    event("response.in_progress", {{"response", response_object(settings_, "in_progress")}});
  }

  void write(const AnswerEvent& event, std::string& out) override {
    out_ = &out;
    pieces_.add(event);
  }

  void finish(const Usage& usage, std::string& out) override {
    out_ = &out;
    const bool is_short = is_cut_short(pieces_.finished());
    event(is_short ? "response.incomplete" : "response.completed",
          {{"response", finished_response(settings_, pieces_, usage)}});
  }

  void fail(const ApiError& error, std::string& out) override {
    out_ = &out;
    OrderedJson response = response_object(settings_, "failed");
    response["error"] = {{"code", error.code.empty() ? error.type : error.code},
                         {"message", error.message}};
    event("response.failed", {{"response", std::move(response)}});
  }

 private:
  void event(const char* name, OrderedJson fields) {
    OrderedJson data{{"type", name}, {"sequence_number", sequence_number_++}};
    data.update(fields);
    append_frame(*out_, name, data);
  }

  // An event about one item, and about the only part of it where there are parts.
  void item_event(const char* name, std::size_t index, const AnswerPiece& piece,
                  OrderedJson fields) {
    OrderedJson data{{"item_id", item_id(settings_, index, piece.kind)}, {"output_index", index}};
    if (piece.kind != Kind::kCall) data["content_index"] = 0;
    data.update(fields);
    event(name, std::move(data));
  }

  void on_open(std::size_t index, const AnswerPiece& piece) override {
    event("response.output_item.added",
          {{"output_index", index},
           {"item", item_object(settings_, index, piece, ItemState::kBegun)}});
    if (piece.kind == Kind::kCall) return;
    item_event("response.content_part.added", index, piece, {{"part", part_object(piece, "")}});
  }

  void on_text(std::size_t index, const AnswerPiece& piece, const std::string& text) override {
    switch (piece.kind) {
      case Kind::kReasoning:
        return item_event("response.reasoning_text.delta", index, piece, {{"delta", text}});
      case Kind::kText: {
        const std::vector<TokenLogprobs> fresh(
            piece.logprobs.begin() + static_cast<std::ptrdiff_t>(num_logprobs_sent_),
            piece.logprobs.end());
        num_logprobs_sent_ = piece.logprobs.size();
        return item_event("response.output_text.delta", index, piece,
                          {{"delta", text}, {"logprobs", logprobs_json(fresh)}});
      }
      case Kind::kCall:
        return item_event("response.function_call_arguments.delta", index, piece,
                          {{"delta", text}});
    }
  }

  void on_close(std::size_t index, const AnswerPiece& piece) override {
    num_logprobs_sent_ = 0;
    if (piece.kind == Kind::kCall) {
      item_event("response.function_call_arguments.done", index, piece,
                 {{"name", piece.name}, {"arguments", piece.text}});
    } else {
      const bool is_text = piece.kind == Kind::kText;
      OrderedJson fields{{"text", piece.text}};
      if (is_text) fields["logprobs"] = logprobs_json(piece.logprobs);
      item_event(is_text ? "response.output_text.done" : "response.reasoning_text.done", index,
                 piece, std::move(fields));
      item_event("response.content_part.done", index, piece,
                 {{"part", part_object(piece, piece.text)}});
    }
    event("response.output_item.done",
          {{"output_index", index},
           {"item", item_object(settings_, index, piece, ItemState::kDone)}});
  }

  AnswerSettings settings_;
  AnswerPieces pieces_;
  std::size_t sequence_number_ = 0;
  std::size_t num_logprobs_sent_ = 0;  // of the open piece
  std::string* out_ = nullptr;         // where the call that is running writes to
};

OrderedJson tool_choice_json(const ToolChoice& choice) {
  if (choice.mode == ToolChoice::Mode::kNone) return "none";
  if (choice.mode == ToolChoice::Mode::kAuto) return "auto";
  if (choice.names.size() != 1) return "required";
  return {{"type", "function"}, {"name", choice.names[0]}};
}

OrderedJson format_json(const ResponseFormat& format) {
  switch (format.kind) {
    case ResponseFormat::Kind::kJsonObject:
      return {{"type", "json_object"}};
    case ResponseFormat::Kind::kJsonSchema:
      return {{"type", "json_schema"}, {"schema", format.schema}};
    default:
      return {{"type", "text"}};
  }
}

}  // namespace

OrderedJson responses_echo(const GenerationRequest& request) {
  OrderedJson tools = OrderedJson::array();
  if (const auto* prompt = std::get_if<ChatPrompt>(&request.prompt)) {
    for (const OrderedJson& tool : prompt->tools) {
      OrderedJson flat{{"type", "function"}};
      flat.update(tool["function"]);
      tools.push_back(std::move(flat));
    }
  }
  OrderedJson echo{
      {"parallel_tool_calls", request.calls_in_parallel},
      {"tool_choice", tool_choice_json(request.tool_choice)},
      {"tools", std::move(tools)},
      {"temperature", request.sampling.temperature},
      {"top_p", request.sampling.top_p},
      {"text", {{"format", format_json(request.format)}}},
      {"previous_response_id", nullptr},
      {"store", false},
      {"background", false},
      {"truncation", request.truncates_prompt ? "auto" : "disabled"},
      {"max_output_tokens", nullptr},
      {"metadata", request.metadata.is_null() ? OrderedJson::object() : request.metadata}};
  if (request.max_tokens) echo["max_output_tokens"] = *request.max_tokens;
  return echo;
}

OrderedJson responses_body(const AnswerSettings& settings, const std::vector<AnswerPieces>& choices,
                           const Usage& usage) {
  return finished_response(settings, choices[0], usage);
}

std::unique_ptr<AnswerWriter> make_responses_stream(AnswerSettings settings) {
  return std::make_unique<ResponsesStream>(std::move(settings));
}

}  // namespace millrace
