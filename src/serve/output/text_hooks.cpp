// Trimming, tidying and redacting of streams.
#include "serve/output/text_hooks.h"

#include <algorithm>
#include <utility>

#include "base/json.h"
#include "serve/output/mark_search.h"
#include "text/utf8.h"

namespace millrace {
namespace {

// How much of what was sent a pattern may look back on.
constexpr std::size_t kContextBytes = 64;

// The last character boundary at or before `at`.
std::size_t character_at(std::string_view text, std::size_t at) {
  while (at > 0 && at < text.size() && (static_cast<std::uint8_t>(text[at]) & 0xC0) == 0x80) --at;
  return at;
}

enum class TextEnd : std::uint8_t { kOpen, kClosed };

// Moves what is decided out of `held`. Fails closed: a search that is stopped by its limits leaves
// the replacement instead of the text.
std::string redact(const TextHook& hook, std::string& held, std::size_t& num_context, TextEnd end) {
  RegexScratch scratch;
  std::string out;
  std::size_t at = num_context;
  const std::size_t num_held = end == TextEnd::kClosed ? 0 : kRedactBytesMax;
  const std::size_t decided =
      character_at(held, held.size() - std::min(held.size() - at, num_held));
  while (at < decided) {
    const Result<std::optional<MatchRange>> found = hook.pattern->find(held, at, scratch);
    if (!found.ok()) {
      out += hook.replacement;
      at = held.size();
      break;
    }
    const std::optional<MatchRange> match = found.value();
    if (!match || match->begin >= decided) break;
    if (match->end == match->begin) {  // Nothing was matched; the next character is as it is.
      const std::size_t next =
          match->begin + decode_utf8(std::string_view(held).substr(at)).num_bytes;
      out += held.substr(at, next - at);
      at = next;
      continue;
    }
    out += held.substr(at, match->begin - at) + hook.replacement;
    at = match->end;
  }
  if (at < decided) out += held.substr(at, decided - at);
  at = std::max(at, decided);
  const std::size_t keep_from = character_at(held, at - std::min(at, kContextBytes));
  num_context = at - keep_from;
  held.erase(0, keep_from);
  return out;
}

std::string tidied(const std::string& text) {
  const Result<OrderedJson> parsed = parse_ordered_json(text, "answer");
  if (!parsed.ok()) return text;
  return parsed.value().dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

}  // namespace

Result<TextHook> redact_hook(std::string_view pattern, std::string replacement) {
  Regex regex = TRY(Regex::compile(pattern));
  return TextHook{.kind = TextHook::Kind::kRedact,
                  .pattern = std::move(regex),
                  .replacement = std::move(replacement)};
}

TextHooks::TextHooks(std::vector<TextHook> hooks) {
  for (TextHook& hook : hooks) stages_.push_back({.hook = std::move(hook)});
}

std::string TextHooks::push(std::string text) {
  for (Stage& stage : stages_) text = push_stage(stage, text);
  return text;
}

std::string TextHooks::flush() {
  std::string text;
  for (Stage& stage : stages_) {
    text = push_stage(stage, text);
    text += flush_stage(stage);
  }
  return text;
}

std::string TextHooks::push_stage(Stage& stage, const std::string& text) {
  stage.held += text;
  switch (stage.hook.kind) {
    case TextHook::Kind::kTrim: {
      if (!stage.has_begun) stage.held.erase(0, num_white_front(stage.held));
      if (stage.held.empty()) return {};
      stage.has_begun = true;
      const std::size_t num_free = stage.held.size() - num_white_back(stage.held);
      std::string out = stage.held.substr(0, num_free);
      stage.held.erase(0, num_free);
      return out;
    }
    case TextHook::Kind::kTidyJson:
      return {};
    case TextHook::Kind::kRedact:
      return redact(stage.hook, stage.held, stage.num_context, TextEnd::kOpen);
  }
  return {};
}

std::string TextHooks::flush_stage(Stage& stage) {
  std::string out;
  if (stage.hook.kind == TextHook::Kind::kTidyJson) out = tidied(stage.held);
  if (stage.hook.kind == TextHook::Kind::kRedact) {
    out = redact(stage.hook, stage.held, stage.num_context, TextEnd::kClosed);
  }
  stage.held.clear();
  stage.num_context = 0;
  stage.has_begun = false;
  return out;
}

}  // namespace millrace
