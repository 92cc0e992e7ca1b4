// The states of the parser, one step at a time over the text that is pending.
#include "serve/output/tool_call_parser.h"

#include <algorithm>
#include <utility>

#include "serve/output/call_id.h"
#include "serve/output/invoke_syntax.h"
#include "serve/output/mark_search.h"
#include "serve/output/nested_syntax.h"

namespace millrace {
namespace {

// A call that is held back as a whole is text once it is longer.
constexpr std::size_t kHeldBytesMax = std::size_t{1} << 20;

// The marks of sections of calls, as DeepSeek, Kimi and Solar write them.
struct SectionMarks {
  std::string_view section;
  std::string_view call;
  std::string_view separator;
};

SectionMarks section_marks(ToolFormat format) {
  switch (format) {
    case ToolFormat::kKimi:
      return {"<|tool_calls_section_begin|>", "<|tool_call_begin|>",
              "<|tool_call_argument_begin|>"};
    case ToolFormat::kSolar:
      return {"<|tool_calls|>", "<|tool_call:begin|>", "<|tool_call:args|>"};
    default:
      return {"<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>"};
  }
}

std::string_view trimmed(std::string_view text) {
  text.remove_prefix(num_white_front(text));
  text.remove_suffix(num_white_back(text));
  return text;
}

// What may stand between a name and its arguments: nothing, [ARGS] or [CALL_ID]…[ARGS].
bool is_mistral_gap(std::string_view gap) {
  constexpr std::string_view kArgs = "[ARGS]";
  if (gap.empty() || gap == kArgs) return true;
  return starts_with(gap, "[CALL_ID]") && gap.size() > kArgs.size() &&
         gap.substr(gap.size() - kArgs.size()) == kArgs;
}

// "functions.get_weather:0" → "get_weather".
std::string_view kimi_name(std::string_view head) {
  constexpr std::string_view kPrefix = "functions.";
  if (starts_with(head, kPrefix)) head.remove_prefix(kPrefix.size());
  return head.substr(0, head.rfind(':'));
}

// "id<|tool_call:name|>get_weather" → "get_weather".
std::string_view solar_name(std::string_view head) {
  constexpr std::string_view kName = "<|tool_call:name|>";
  const std::size_t at = head.find(kName);
  return at == std::string_view::npos ? std::string_view() : head.substr(at + kName.size());
}

// What a call without a mark begins with; only calls of known tools do without.
char bare_bracket(ToolFormat format) {
  if (format == ToolFormat::kLlama3) return '{';
  return format == ToolFormat::kPythonic ? '[' : '\0';
}

}  // namespace

ToolCallParser::ToolCallParser(ToolCallParserOptions options)
    : options_(std::move(options)),
      open_marks_(call_marks(options_.format).opens),
      close_marks_(call_marks(options_.format).closes) {}

void ToolCallParser::push(std::string_view text, Output& out) {
  if (options_.format == ToolFormat::kNone) return emit_text(text, out);
  pending_ += text;
  while (step(out)) {
  }
}

void ToolCallParser::flush(Output& out) {
  if (state_ != State::kArguments && state_ != State::kObjectRest) emit_text(raw_ + pending_, out);
  if (state_ == State::kArguments) {
    ++num_ended_;
    out.push_back(ToolCallEnd{.call = num_begun_ - 1});
  }
  raw_.clear();
  pending_.clear();
}

// True when it has moved and may move on.
bool ToolCallParser::step(Output& out) {
  switch (state_) {
    case State::kText:
      return step_text(out);
    case State::kOpened:
      return step_opened(out);
    case State::kWhole:
      return step_whole(out);
    case State::kArguments:
      return step_arguments(out);
    case State::kObjectRest:
      return step_object_rest();
    case State::kClosing:
      return step_closing();
  }
  return false;
}

bool ToolCallParser::step_text(Output& out) {
  if (at_boundary_ && num_ended_ > 0) pending_.erase(0, num_white_front(pending_));
  if (pending_.empty()) return false;
  const std::size_t num_white = num_white_front(pending_);
  const bool is_bare = at_boundary_ && num_white < pending_.size() &&
                       pending_[num_white] == bare_bracket(options_.format);
  std::size_t at = is_bare ? num_white : std::string::npos;
  std::string_view mark;
  for (const std::string_view each : open_marks_) {
    const std::size_t found = pending_.find(each);
    if (found >= at) continue;
    at = found;
    mark = each;
  }
  std::size_t num_held = 0;
  if (at == std::string::npos) {
    for (const std::string_view each : open_marks_) {
      num_held = std::max(num_held, held_bytes(pending_, each));
    }
  }
  const std::string_view text = std::string_view(pending_).substr(
      0, at == std::string::npos ? pending_.size() - num_held : at);
  const std::size_t num_free = text.size() - num_white_back(text);
  emit_text(text.substr(0, num_free), out);
  if (at == std::string::npos) {
    pending_.erase(0, num_free);
    return false;
  }
  raw_ = pending_.substr(num_free, at + mark.size() - num_free);
  pending_.erase(0, at + mark.size());
  is_bare_ = mark.empty();
  num_searched_ = 0;
  state_ = State::kOpened;
  return true;
}

bool ToolCallParser::step_opened(Output& out) {
  if (num_white_front(pending_) == pending_.size()) return false;
  switch (options_.format) {
    case ToolFormat::kNone:
      return false;
    case ToolFormat::kMistral:
      return open_mistral(out);
    case ToolFormat::kDeepSeek:
    case ToolFormat::kKimi:
    case ToolFormat::kSolar:
      return open_section(out);
    case ToolFormat::kFunctionTag:
      return open_function_tag(out);
    case ToolFormat::kLlama3:
      return open_object(out);
    case ToolFormat::kHermes:
    case ToolFormat::kQwen3Coder:
    case ToolFormat::kSeed:
    case ToolFormat::kGlm:
      return open_tags(out);
    case ToolFormat::kToolCalls:
    case ToolFormat::kNemotron:
    case ToolFormat::kPhi4:
    case ToolFormat::kCommand:
    case ToolFormat::kGigaChat:
    case ToolFormat::kFunctools:
    case ToolFormat::kApertus:
      return open_list(out);
    case ToolFormat::kLfm:
    case ToolFormat::kPythonic:
      return open_python(out);
    case ToolFormat::kDsml:
    case ToolFormat::kAtem:
    case ToolFormat::kMiniMax:
    case ToolFormat::kMiniCpm:
    case ToolFormat::kMiniMaxM3:
      return open_invoke(out);
    case ToolFormat::kHunyuan:
      return open_hunyuan(out);
    case ToolFormat::kGemma:
      return open_until_close(out, [](std::string_view text) { return parse_gemma_call(text); });
  }
  return false;
}

// An object in formats that may have one where others have tags.
bool ToolCallParser::open_tags(Output& out) {
  if (pending_[num_white_front(pending_)] == '{') return open_object(out);
  if (options_.format != ToolFormat::kGlm) return open_function_tags(out);
  return open_until_close(
      out, [&](std::string_view text) { return parse_argument_tags(text, options_.tools); });
}

// [{…}, {…}], or objects one after the other
bool ToolCallParser::open_list(Output& out) {
  const std::size_t num_white = num_white_front(pending_);
  const bool is_behind_bracket = raw_.size() > 1 && raw_.back() == '[';
  if (is_behind_bracket && !in_array_) in_array_ = true;  // The mark has it: functools[
  if (pending_[num_white] == '[' && !in_array_) {
    raw_ += pending_.substr(0, num_white + 1);
    pending_.erase(0, num_white + 1);
    in_array_ = true;
    return true;
  }
  return open_object(out);
}

// [name(key=value), …]
bool ToolCallParser::open_python(Output& out) {
  const std::size_t num_white = num_white_front(pending_);
  if (pending_[num_white] == '[' && !in_array_) {
    raw_ += pending_.substr(0, num_white + 1);
    pending_.erase(0, num_white + 1);
    in_array_ = true;
    return true;
  }
  const std::string_view text = std::string_view(pending_).substr(0, kHeldBytesMax);
  if (num_searched_ == 0) {
    const std::size_t begin = text.substr(0, kHeaderBytesMax).find('(');
    const std::string_view name = trimmed(text.substr(0, begin));
    if (!name.empty() && !is_call_name(name)) return fail(out);
    if (begin == std::string_view::npos) return text.size() >= kHeaderBytesMax && fail(out);
    if (name.empty()) return fail(out);
    if (is_bare_ && !is_known(name)) return fail(out);
    num_searched_ = begin;
    python_ = PythonScanner();
  }
  num_searched_ += python_.feed(text.substr(num_searched_));
  if (!python_.is_done()) return text.size() == kHeldBytesMax && fail(out);
  const std::optional<ParsedCall> call = parse_python_call(text.substr(0, num_searched_));
  if (!call) return fail(out);
  pending_.erase(0, num_searched_);
  return whole_call(*call, out);
}

// <invoke name="name"><parameter name="key">value</parameter></invoke>, or elements for parameters
bool ToolCallParser::open_invoke(Output& out) {
  if (options_.format == ToolFormat::kMiniMaxM3) {
    const std::string mark(kNestedMark);
    return open_invoked(
        mark + "<invoke name=\"", mark + "</invoke>",
        [&](std::string_view text, std::size_t& num_bytes) {
          return parse_nested_call(text, options_.tools, num_bytes);
        },
        out);
  }
  const InvokeTags tags = invoke_tags(options_.format);
  const std::string call(tags.call);
  return open_invoked(
      "<" + call + " name=\"", "</" + call + ">",
      [&](std::string_view text, std::size_t& num_bytes) {
        return parse_invoke(text, tags, options_.tools, num_bytes);
      },
      out);
}

bool ToolCallParser::open_invoked(
    const std::string& opening, const std::string& closing,
    FunctionRef<std::optional<ParsedCall>(std::string_view, std::size_t&)> parse, Output& out) {
  if (!raw_.ends_with(opening)) {  // Behind the block's mark.
    const std::size_t num_white = num_white_front(pending_);
    const MarkMatch match = match_front(std::string_view(pending_).substr(num_white), opening);
    if (match == MarkMatch::kNo) return fail(out);
    if (match == MarkMatch::kMaybe) return false;
    raw_ += pending_.substr(0, num_white + opening.size());
    pending_.erase(0, num_white + opening.size());
    return true;
  }
  const std::string_view text = std::string_view(pending_).substr(0, kHeldBytesMax);
  // Values may hold the tag too, so each one that comes is tried.
  for (std::size_t end = text.find(closing, num_searched_); end != std::string_view::npos;
       end = text.find(closing, num_searched_)) {
    num_searched_ = end + closing.size();
    std::size_t num_bytes = 0;
    const std::optional<ParsedCall> call = parse(text.substr(0, num_searched_), num_bytes);
    if (!call) continue;
    pending_.erase(0, num_bytes);
    return whole_call(*call, out);
  }
  num_searched_ = std::max(num_searched_, text.size() - std::min(text.size(), closing.size() - 1));
  return text.size() == kHeldBytesMax && fail(out);
}

// Behind the mark of a block or of a call.
bool ToolCallParser::open_hunyuan(Output& out) {
  const std::string_view call_mark = open_marks_.back();
  if (!raw_.ends_with(call_mark)) {
    const std::size_t num_white = num_white_front(pending_);
    const MarkMatch match = match_front(std::string_view(pending_).substr(num_white), call_mark);
    if (match == MarkMatch::kNo) return fail(out);
    if (match == MarkMatch::kMaybe) return false;
    raw_ += pending_.substr(0, num_white + call_mark.size());
    pending_.erase(0, num_white + call_mark.size());
    return true;
  }
  return open_until_close(out, [&](std::string_view text) {
    return parse_argument_tags(text, options_.tools, ":opensource");
  });
}

// {"name": …, "arguments": {…}}
bool ToolCallParser::open_object(Output& out) {
  CallHeader header = options_.format == ToolFormat::kApertus ? read_named_header(pending_)
                                                              : read_call_header(pending_);
  switch (header.start) {
    case CallStart::kNeedMore:
      return false;
    case CallStart::kNone:
      return fail(out);
    case CallStart::kWholeOnly:
      scanner_ = JsonScanner();
      num_searched_ = 0;
      state_ = State::kWhole;
      return true;
    case CallStart::kName:
      if (is_bare_ && !is_known(header.name)) return fail(out);
      return begin_call(std::move(header.name), header.arguments_at, State::kObjectRest, out);
  }
  return false;
}

bool ToolCallParser::step_whole(Output& out) {
  const std::string_view text = std::string_view(pending_).substr(0, kHeldBytesMax);
  num_searched_ += scanner_.feed(text.substr(num_searched_));
  if (!scanner_.is_done()) return num_searched_ == kHeldBytesMax && fail(out);
  const std::optional<ParsedCall> call = parse_call_object(text.substr(0, num_searched_));
  if (!call || (is_bare_ && !is_known(call->name))) return fail(out);
  pending_.erase(0, num_searched_);
  return whole_call(*call, out);
}

// <function=name><parameter=key>value</parameter></function>
bool ToolCallParser::open_function_tags(Output& out) {
  const std::string_view text = std::string_view(pending_).substr(0, kHeldBytesMax);
  if (match_front(text.substr(num_white_front(text)), "<function=") == MarkMatch::kNo) {
    return fail(out);
  }
  constexpr std::string_view kEnd = "</function>";
  // Values may hold the mark too, so each one that comes is tried.
  for (std::size_t end = text.find(kEnd, num_searched_); end != std::string_view::npos;
       end = text.find(kEnd, num_searched_)) {
    num_searched_ = end + kEnd.size();
    std::size_t num_bytes = 0;
    const std::optional<ParsedCall> call =
        parse_function_tags(text.substr(0, num_searched_), options_.tools, num_bytes);
    if (!call) continue;
    pending_.erase(0, num_bytes);
    return whole_call(*call, out);
  }
  num_searched_ = std::max(num_searched_, text.size() - std::min(text.size(), kEnd.size() - 1));
  return text.size() == kHeldBytesMax && fail(out);
}

// A call that ends where its closing mark is.
bool ToolCallParser::open_until_close(
    Output& out, FunctionRef<std::optional<ParsedCall>(std::string_view)> parse) {
  const std::string_view text = std::string_view(pending_).substr(0, kHeldBytesMax);
  const std::string_view end_mark = close_marks_.front();
  const std::size_t end = text.find(end_mark, num_searched_);
  if (end == std::string_view::npos) {
    num_searched_ = text.size() - std::min(text.size(), end_mark.size() - 1);
    return text.size() == kHeldBytesMax && fail(out);
  }
  const std::optional<ParsedCall> call = parse(text.substr(0, end));
  if (!call) return fail(out);
  pending_.erase(0, end);
  return whole_call(*call, out);
}

// Behind "<function=": name>{…}
bool ToolCallParser::open_function_tag(Output& out) {
  const std::string_view header = std::string_view(pending_).substr(0, kHeaderBytesMax);
  const std::size_t end = header.find('>');
  if (end == std::string_view::npos) return header.size() == kHeaderBytesMax && fail(out);
  const std::string_view name = std::string_view(pending_).substr(0, end);
  if (!is_call_name(name)) return fail(out);
  const std::size_t at = end + 1 + num_white_front(std::string_view(pending_).substr(end + 1));
  if (at == pending_.size()) return false;
  if (pending_[at] != '{') return fail(out);
  return begin_call(std::string(name), at, State::kClosing, out);
}

// A list of objects, one object, or name[CALL_ID]id[ARGS]{…}
bool ToolCallParser::open_mistral(Output& out) {
  const char first = pending_[num_white_front(pending_)];
  if (first == '{' || (first == '[' && !in_array_)) return open_list(out);
  if (in_array_) return fail(out);
  const std::string_view header = std::string_view(pending_).substr(0, kHeaderBytesMax);
  const std::size_t brace = header.find('{');
  if (brace == std::string_view::npos) return header.size() == kHeaderBytesMax && fail(out);
  const std::string_view head = header.substr(0, brace);
  const std::size_t name_end = std::min(head.find('['), head.size());
  const std::string_view name = trimmed(head.substr(0, name_end));
  if (!is_call_name(name) || !is_mistral_gap(trimmed(head.substr(name_end)))) return fail(out);
  return begin_call(std::string(name), brace, State::kClosing, out);
}

// Behind the mark of a section or of a call: [function<sep>]name, then JSON, perhaps in a fence.
bool ToolCallParser::open_section(Output& out) {
  const SectionMarks marks = section_marks(options_.format);
  if (raw_.size() >= marks.section.size() &&
      raw_.compare(raw_.size() - marks.section.size(), std::string::npos, marks.section) == 0) {
    const std::size_t num_white = num_white_front(pending_);
    const MarkMatch match = match_front(std::string_view(pending_).substr(num_white), marks.call);
    if (match == MarkMatch::kNo) return fail(out);
    if (match == MarkMatch::kMaybe) return false;
    raw_ += pending_.substr(0, num_white + marks.call.size());
    pending_.erase(0, num_white + marks.call.size());
    return true;
  }
  const std::string_view header = std::string_view(pending_).substr(0, kHeaderBytesMax);
  const std::size_t brace = header.find('{');
  if (brace == std::string_view::npos) return header.size() == kHeaderBytesMax && fail(out);
  const std::string_view head = header.substr(0, brace);
  const std::size_t separator = head.find(marks.separator);
  if (separator == std::string_view::npos) return fail(out);
  std::string_view name = trimmed(head.substr(0, separator));
  std::string_view rest = head.substr(separator + marks.separator.size());
  if (options_.format == ToolFormat::kDeepSeek && name == "function") {
    name = trimmed(rest.substr(0, rest.find("```")));
  }
  if (options_.format == ToolFormat::kKimi) name = kimi_name(name);
  if (options_.format == ToolFormat::kSolar) name = solar_name(name);
  if (!is_call_name(name)) return fail(out);
  return begin_call(std::string(name), brace, State::kClosing, out);
}

bool ToolCallParser::step_arguments(Output& out) {
  const std::size_t num_bytes = scanner_.feed(pending_);
  if (num_bytes > 0) {
    out.push_back(
        ToolCallDelta{.call = num_begun_ - 1, .arguments = pending_.substr(0, num_bytes)});
    pending_.erase(0, num_bytes);
  }
  if (!scanner_.is_done()) return false;
  ++num_ended_;
  out.push_back(ToolCallEnd{.call = num_begun_ - 1});
  scanner_ = JsonScanner(1);
  state_ = after_arguments_;
  return true;
}

// Further members of a call's object say nothing to the client.
bool ToolCallParser::step_object_rest() {
  pending_.erase(0, scanner_.feed(pending_));
  if (!scanner_.is_done()) return false;
  state_ = State::kClosing;
  return true;
}

bool ToolCallParser::step_closing() {
  pending_.erase(0, num_white_front(pending_));
  if (pending_.empty()) return false;
  if (in_array_ && pending_[0] == ',') {
    pending_.erase(0, 1);
    raw_.clear();
    num_searched_ = 0;
    state_ = State::kOpened;
    return true;
  }
  if (in_array_ && pending_[0] == ']') {
    pending_.erase(0, 1);
    in_array_ = false;
    return true;
  }
  if (!in_array_ && pending_[0] == '{' && options_.format == ToolFormat::kToolCalls) {
    raw_.clear();
    num_searched_ = 0;
    state_ = State::kOpened;
    return true;
  }
  for (const std::string_view mark : close_marks_) {
    const MarkMatch match = match_front(pending_, mark);
    if (match == MarkMatch::kMaybe) return false;
    if (match == MarkMatch::kNo) continue;
    pending_.erase(0, mark.size());
    return true;
  }
  in_array_ = false;
  at_boundary_ = true;
  state_ = State::kText;
  return true;
}

void ToolCallParser::emit_text(std::string_view text, Output& out) {
  if (text.empty()) return;
  if (num_white_front(text) < text.size()) at_boundary_ = false;
  if (!out.empty()) {
    if (auto* last = std::get_if<ContentDelta>(&out.back())) {
      last->text += text;
      return;
    }
  }
  out.push_back(ContentDelta{.text = std::string(text)});
}

// It was no call: the mark is text, and what follows it is looked at again.
bool ToolCallParser::fail(Output& out) {
  at_boundary_ = false;
  in_array_ = false;
  emit_text(std::exchange(raw_, {}), out);
  state_ = State::kText;
  return true;
}

bool ToolCallParser::begin_call(std::string name, std::size_t arguments_at, State after,
                                Output& out) {
  out.push_back(ToolCallBegin{.call = num_begun_, .id = next_id(), .name = std::move(name)});
  ++num_begun_;
  pending_.erase(0, arguments_at);
  raw_.clear();
  scanner_ = JsonScanner();
  after_arguments_ = after;
  state_ = State::kArguments;
  return true;
}

bool ToolCallParser::whole_call(const ParsedCall& call, Output& out) {
  out.push_back(ToolCallBegin{.call = num_begun_, .id = next_id(), .name = call.name});
  out.push_back(ToolCallDelta{.call = num_begun_, .arguments = call.arguments});
  out.push_back(ToolCallEnd{.call = num_begun_});
  ++num_begun_;
  ++num_ended_;
  raw_.clear();
  state_ = State::kClosing;
  return true;
}

bool ToolCallParser::is_known(std::string_view name) const {
  return std::any_of(options_.tools.begin(), options_.tools.end(),
                     [&](const OrderedJson& tool) { return tool["function"]["name"] == name; });
}

// Templates of Mistral insist on ids of nine letters and digits.
std::string ToolCallParser::next_id() const {
  constexpr std::size_t kMistralDigits = 9;
  return options_.format == ToolFormat::kMistral
             ? call_digits(options_.id_seed, num_begun_, kMistralDigits)
             : make_call_id(options_.id_seed, num_begun_);
}

}  // namespace millrace
