// Headers and bodies, one after the other over the text that is pending.
#include "serve/output/channel_parser.h"

#include <algorithm>
#include <utility>

#include "serve/output/call_id.h"
#include "serve/output/mark_search.h"

namespace millrace {
namespace {

constexpr std::string_view kStart = "<|start|>";
constexpr std::string_view kChannel = "<|channel|>";
constexpr std::string_view kMessage = "<|message|>";
// A header that is longer is text.
constexpr std::size_t kHeaderBytesMax = 1024;

// What ends a body; a new message may begin without an end of the last one.
constexpr std::string_view kBodyEnds[] = {"<|end|>", "<|call|>", "<|return|>", kStart, kChannel};

// The word behind a text, up to white space or a mark.
std::string_view word_behind(std::string_view header, std::string_view before) {
  const std::size_t at = header.find(before);
  if (at == std::string_view::npos) return {};
  const std::string_view rest = header.substr(at + before.size());
  return rest.substr(0, rest.find_first_of(" \t\r\n<"));
}

std::string_view without_prefix(std::string_view text, std::string_view prefix) {
  return starts_with(text, prefix) ? text.substr(prefix.size()) : text;
}

}  // namespace

std::vector<std::string_view> channel_marks() {
  return {kStart, kChannel, kMessage, "<|constrain|>", "<|end|>", "<|call|>", "<|return|>"};
}

void ChannelParser::push(std::string_view text, Output& out) {
  pending_ += text;
  while (step(out)) {
  }
}

void ChannelParser::flush(Output& out) {
  // A header that was cut short says nothing to anybody.
  if (state_ != State::kHeader) emit(std::exchange(pending_, {}), out);
  end_body(out);
  pending_.clear();
  state_ = State::kBetween;
}

// True when it has moved and may move on.
bool ChannelParser::step(Output& out) {
  switch (state_) {
    case State::kBetween:
      return step_between();
    case State::kHeader:
      return step_header(out);
    case State::kBody:
      return step_body(out);
  }
  return false;
}

bool ChannelParser::step_between() {
  if (pending_.empty()) return false;
  bool may_begin = false;
  for (const std::string_view mark : {kStart, kChannel, kMessage}) {
    const MarkMatch match = match_front(pending_, mark);
    may_begin = may_begin || match == MarkMatch::kMaybe;
    if (match != MarkMatch::kYes) continue;
    state_ = State::kHeader;
    return true;
  }
  if (may_begin) return false;
  kind_ = Kind::kText;
  state_ = State::kBody;
  return true;
}

bool ChannelParser::step_header(Output& out) {
  const std::size_t end = std::string_view(pending_).substr(0, kHeaderBytesMax).find(kMessage);
  if (end == std::string::npos) {
    if (pending_.size() < kHeaderBytesMax) return false;
    kind_ = Kind::kText;  // The mark that it began with is text, and what follows it.
    state_ = State::kBody;
    const std::size_t num_mark = pending_.find('>') + 1;
    emit(std::string_view(pending_).substr(0, num_mark), out);
    pending_.erase(0, num_mark);
    return true;
  }
  begin_body(pending_.substr(0, end), out);
  pending_.erase(0, end + kMessage.size());
  state_ = State::kBody;
  return true;
}

void ChannelParser::begin_body(std::string_view header, Output& out) {
  const std::string_view name = without_prefix(word_behind(header, "to="), "functions.");
  if (is_known(name)) {
    kind_ = Kind::kCall;
    has_arguments_ = false;
    out.push_back(ToolCallBegin{.call = num_begun_,
                                .id = make_call_id(options_.id_seed, num_begun_),
                                .name = std::string(name)});
    ++num_begun_;
    return;
  }
  kind_ = word_behind(header, kChannel) == "analysis" ? Kind::kThought : Kind::kText;
}

bool ChannelParser::step_body(Output& out) {
  std::size_t end = std::string::npos;
  std::size_t num_held = 0;
  std::string_view mark;
  for (const std::string_view each : kBodyEnds) {
    const std::size_t found = pending_.find(each);
    if (found < end) {
      end = found;
      mark = each;
    }
    num_held = std::max(num_held, held_bytes(pending_, each));
  }
  if (end == std::string::npos) {
    const std::size_t num_free = pending_.size() - num_held;
    emit(std::string_view(pending_).substr(0, num_free), out);
    pending_.erase(0, num_free);
    return false;
  }
  emit(std::string_view(pending_).substr(0, end), out);
  const bool begins_another = mark == kStart || mark == kChannel;
  pending_.erase(0, begins_another ? end : end + mark.size());
  end_body(out);
  state_ = State::kBetween;
  return true;
}

void ChannelParser::end_body(Output& out) {
  if (std::exchange(kind_, Kind::kText) != Kind::kCall) return;
  const std::size_t call = num_begun_ - 1;
  if (!has_arguments_) out.push_back(ToolCallDelta{.call = call, .arguments = "{}"});
  out.push_back(ToolCallEnd{.call = call});
  ++num_ended_;
}

void ChannelParser::emit(std::string_view text, Output& out) {
  if (text.empty()) return;
  switch (kind_) {
    case Kind::kText:
      out.push_back(ContentDelta{.text = std::string(text), .logprobs = {}});
      return;
    case Kind::kThought:
      out.push_back(ReasoningDelta{.text = std::string(text), .logprobs = {}});
      return;
    case Kind::kCall:
      if (!has_arguments_) text.remove_prefix(num_white_front(text));
      if (text.empty()) return;
      has_arguments_ = true;
      out.push_back(ToolCallDelta{.call = num_begun_ - 1, .arguments = std::string(text)});
      return;
  }
}

bool ChannelParser::is_known(std::string_view name) const {
  return std::any_of(options_.tools.begin(), options_.tools.end(),
                     [&](const OrderedJson& tool) { return tool["function"]["name"] == name; });
}

}  // namespace millrace
