// Formats, calls and thoughts as one spec.
#include "serve/output/constraint_choice.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/check.h"
#include "constrain/tool_call_spec.h"

namespace millrace {
namespace {

using Spec = ConstraintSpec;

std::string dumped(const OrderedJson& value) {
  return value.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

std::optional<Spec> format_spec(const ResponseFormat& format) {
  switch (format.kind) {
    case ResponseFormat::Kind::kText:
      return std::nullopt;
    case ResponseFormat::Kind::kJsonObject:
      return Spec::json_object(format.style);
    case ResponseFormat::Kind::kJsonSchema:
      return Spec::json_schema(dumped(format.schema), format.style);
    case ResponseFormat::Kind::kRegex:
      return Spec::regex(format.pattern);
    case ResponseFormat::Kind::kGrammar:
      return Spec::grammar(format.pattern);
    case ResponseFormat::Kind::kChoice:
      return Spec::choice(format.choices);
  }
  CHECK(false);  // Every enumerator is named above.
  return std::nullopt;
}

// The spec of the same name; nothing where calls can only be read.
std::optional<ToolCallFormat> forced_format(ToolFormat format) {
  switch (format) {
    case ToolFormat::kHermes:
      return ToolCallFormat::kHermes;
    case ToolFormat::kLlama3:
      return ToolCallFormat::kLlama3;
    case ToolFormat::kMistral:
      return ToolCallFormat::kMistral;
    case ToolFormat::kQwen3Coder:
      return ToolCallFormat::kQwen3Coder;
    case ToolFormat::kSeed:
      return ToolCallFormat::kSeed;
    case ToolFormat::kGlm:
      return ToolCallFormat::kGlm;
    case ToolFormat::kFunctionTag:
      return ToolCallFormat::kFunctionTag;
    case ToolFormat::kDeepSeek:
      return ToolCallFormat::kDeepSeek;
    case ToolFormat::kKimi:
      return ToolCallFormat::kKimi;
    case ToolFormat::kToolCalls:
      return ToolCallFormat::kToolCalls;
    case ToolFormat::kNemotron:
      return ToolCallFormat::kNemotron;
    case ToolFormat::kPhi4:
      return ToolCallFormat::kPhi4;
    case ToolFormat::kFunctools:
      return ToolCallFormat::kFunctools;
    case ToolFormat::kMiniMax:
      return ToolCallFormat::kMiniMax;
    case ToolFormat::kAtem:
      return ToolCallFormat::kAtem;
    case ToolFormat::kDsml:
      return ToolCallFormat::kDsml;
    case ToolFormat::kHunyuan:
      return ToolCallFormat::kHunyuan;
    case ToolFormat::kMiniCpm:
      return ToolCallFormat::kMiniCpm;
    case ToolFormat::kSolar:
      return ToolCallFormat::kSolar;
    case ToolFormat::kCommand:
      return ToolCallFormat::kCommand;
    case ToolFormat::kApertus:
      return ToolCallFormat::kApertus;
    case ToolFormat::kGigaChat:
      return ToolCallFormat::kGigaChat;
    case ToolFormat::kLfm:
      return ToolCallFormat::kLfm;
    case ToolFormat::kPythonic:
      return ToolCallFormat::kPythonic;
    case ToolFormat::kGemma:
      return ToolCallFormat::kGemma;
    default:
      return std::nullopt;
  }
}

std::vector<ToolFunction> callable_tools(const OrderedJson& tools, const ToolChoice& choice) {
  std::vector<ToolFunction> functions;
  for (const OrderedJson& tool : tools) {
    const OrderedJson& function = tool["function"];
    const auto& name = function["name"].get_ref<const std::string&>();
    const auto& names = choice.names;
    if (!names.empty() && std::find(names.begin(), names.end(), name) == names.end()) continue;
    const auto parameters = function.find("parameters");
    const bool has_schema = parameters != function.end() && !parameters->is_null();
    functions.push_back({name, has_schema ? dumped(*parameters) : std::string()});
  }
  return functions;
}

bool has_strict_tool(const OrderedJson& tools) {
  return std::any_of(tools.begin(), tools.end(), [](const OrderedJson& tool) {
    const auto strict = tool["function"].find("strict");
    return strict != tool["function"].end() && *strict == true;
  });
}

// What may stand between a thought's end and what was asked for.
Spec after_thought(const ReasoningTags& tags, Spec spec) {
  if (tags.skipped_token.empty()) {
    return Spec::sequence({Spec::regex("\\n{0,2}"), std::move(spec)});
  }
  const Spec header = Spec::sequence(
      {Spec::token(std::string(tags.skipped_token)), Spec::literal(std::string(tags.skipped))});
  return Spec::sequence({Spec::repeat(header, 0, 1), std::move(spec)});
}

Spec thought_begin(const ReasoningTags& tags) {
  if (tags.open_token.empty()) return Spec::token(std::string(tags.open));
  return Spec::sequence({Spec::token(std::string(tags.open_token)),
                         Spec::literal(std::string(tags.open.substr(tags.open_token.size())))});
}

Spec with_thoughts(Spec spec, const std::optional<ReasoningTags>& tags, ReasoningStart start) {
  if (!tags || start == ReasoningStart::kOver) return spec;
  Spec thought = Spec::free_text({{.text = std::string(tags->close),
                                   .is_token = true,
                                   .parts = {after_thought(*tags, spec)}}});
  if (start == ReasoningStart::kInside) return thought;
  return Spec::alternatives(
      {Spec::sequence({thought_begin(*tags), std::move(thought)}), std::move(spec)});
}

// Thoughts in a message of their own, or none, and then a message with this header.
Spec in_channel(const std::string& header, Spec body) {
  const auto message = [](const std::string& head, Spec inner) {
    return Spec::sequence({Spec::token("<|channel|>"), Spec::literal(head),
                           Spec::token("<|message|>"), std::move(inner)});
  };
  Spec answer = message(header, std::move(body));
  Spec next = Spec::sequence({Spec::token("<|start|>"), Spec::literal("assistant"), answer});
  Spec thought =
      Spec::free_text({{.text = "<|end|>", .is_token = true, .parts = {std::move(next)}}});
  return Spec::alternatives({message("analysis", std::move(thought)), std::move(answer)});
}

// One call: the header of its message names the tool.
Spec call_in_channel(const std::vector<ToolFunction>& tools) {
  std::vector<Spec> calls;
  for (const ToolFunction& tool : tools) {
    Spec arguments =
        tool.parameters.empty() ? Spec::json_object() : Spec::json_schema(tool.parameters);
    calls.push_back(
        in_channel("commentary to=functions." + tool.name + " json", std::move(arguments)));
  }
  return Spec::alternatives(std::move(calls));
}

// What a model that writes messages in channels is held to; nothing where it is free.
std::optional<Spec> channel_choice(const GenerationRequest& request, const OrderedJson& tools,
                                   std::optional<Spec> text) {
  if (request.tool_choice.mode == ToolChoice::Mode::kRequired) {
    return call_in_channel(callable_tools(tools, request.tool_choice));
  }
  if (text) return in_channel("final", *std::move(text));
  return std::nullopt;
}

struct Calls {
  const GenerationRequest& request;
  const OrderedJson& tools;
  ToolFormat format;

  Result<Spec> spec(ToolCallNeed need) const {
    const std::optional<ToolCallFormat> forced = forced_format(format);
    if (!forced) {
      return Error{ErrorCode::kUnsupported,
                   "tool_choice that forces a call is not supported for "
                   "this model's format of calls, which is " +
                       std::string(tool_format_name(format))};
    }
    return tool_call_spec(callable_tools(tools, request.tool_choice),
                          {.format = *forced,
                           .need = need,
                           .num_calls_max = request.calls_in_parallel ? ConstraintSpec::kNoMax : 1,
                           .style = request.format.style});
  }
};

Result<std::optional<Spec>> choose(const GenerationRequest& request, const AnswerFormat& format,
                                   ReasoningStart start) {
  using Mode = ToolChoice::Mode;
  std::optional<Spec> text = format_spec(request.format);
  const auto* chat = std::get_if<ChatPrompt>(&request.prompt);
  if (chat == nullptr) return text;
  if (format.has_channels) return channel_choice(request, chat->tools, std::move(text));
  const Calls calls{request, chat->tools, format.tools};
  if (request.tool_choice.mode == Mode::kRequired) {
    Spec must = TRY(calls.spec(ToolCallNeed::kMustCall));
    return std::optional<Spec>(with_thoughts(std::move(must), format.reasoning, start));
  }
  if (request.tool_choice.mode == Mode::kAuto && forced_format(format.tools)) {
    if (text) {
      Spec must = TRY(calls.spec(ToolCallNeed::kMustCall));
      text = Spec::alternatives({std::move(must), *std::move(text)});
    } else if (has_strict_tool(chat->tools) || !request.tool_choice.names.empty()) {
      // Free text has no marks that thoughts could be mistaken for.
      Spec may = TRY(calls.spec(ToolCallNeed::kMayCall));
      return std::optional<Spec>(std::move(may));
    }
  }
  if (!text) return text;
  return std::optional<Spec>(with_thoughts(*std::move(text), format.reasoning, start));
}

}  // namespace

Result<std::optional<ConstraintSpec>> constraint_choice(const GenerationRequest& request,
                                                        const AnswerFormat& format,
                                                        ReasoningStart start) {
  std::optional<Spec> spec = TRY(choose(request, format, start));
  if (spec) spec->at_limit = request.format.at_token_limit;
  return spec;
}

}  // namespace millrace
