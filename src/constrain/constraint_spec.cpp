// Makers of specs, and the key under which a compiled one is kept.
#include "constrain/constraint_spec.h"

#include <utility>

namespace millrace {
namespace {

void append_number(std::string& key, std::uint64_t number) {
  key += std::to_string(number);
  key += ';';
}

// The length goes first, so no text can pass for what surrounds it.
void append_text(std::string& key, const std::string& text) {
  append_number(key, text.size());
  key += text;
}

void append_spec(std::string& key, const ConstraintSpec& spec) {
  append_number(key, static_cast<std::uint64_t>(spec.kind));
  append_text(key, spec.text);
  append_number(key, static_cast<std::uint64_t>(spec.style.notation));
  append_number(key, static_cast<std::uint64_t>(spec.style.whitespace));
  append_number(key, static_cast<std::uint64_t>(spec.style.unnamed_properties));
  append_number(key, spec.repeats_min);
  append_number(key, spec.repeats_max);
  append_number(key, static_cast<std::uint64_t>(spec.after_trigger));
  append_number(key, static_cast<std::uint64_t>(spec.at_limit));
  append_number(key, spec.parts.size());
  for (const ConstraintSpec& part : spec.parts) append_spec(key, part);
  append_number(key, spec.triggers.size());
  for (const ConstraintSpec::Trigger& trigger : spec.triggers) {
    append_text(key, trigger.text);
    append_number(key, trigger.is_token ? 1 : 0);
    append_number(key, trigger.parts.size());
    for (const ConstraintSpec& part : trigger.parts) append_spec(key, part);
  }
}

ConstraintSpec with_text(ConstraintKind kind, std::string text) {
  ConstraintSpec spec;
  spec.kind = kind;
  spec.text = std::move(text);
  return spec;
}

ConstraintSpec with_parts(ConstraintKind kind, std::vector<ConstraintSpec> parts) {
  ConstraintSpec spec;
  spec.kind = kind;
  spec.parts = std::move(parts);
  return spec;
}

}  // namespace

std::string cache_key(const ConstraintSpec& spec) {
  std::string key;
  append_spec(key, spec);
  return key;
}

ConstraintSpec ConstraintSpec::json_object(JsonStyle style) {
  ConstraintSpec spec;
  spec.style = style;
  return spec;
}

ConstraintSpec ConstraintSpec::json_schema(std::string schema, JsonStyle style) {
  ConstraintSpec spec = with_text(ConstraintKind::kJsonSchema, std::move(schema));
  spec.style = style;
  return spec;
}

ConstraintSpec ConstraintSpec::schema_text(std::string schema, std::string without) {
  ConstraintSpec spec = with_text(ConstraintKind::kSchemaText, std::move(schema));
  spec.parts.push_back(literal(std::move(without)));
  return spec;
}

ConstraintSpec ConstraintSpec::regex(std::string pattern) {
  return with_text(ConstraintKind::kRegex, std::move(pattern));
}

ConstraintSpec ConstraintSpec::grammar(std::string text) {
  return with_text(ConstraintKind::kGrammar, std::move(text));
}

ConstraintSpec ConstraintSpec::literal(std::string text) {
  return with_text(ConstraintKind::kLiteral, std::move(text));
}

ConstraintSpec ConstraintSpec::token(std::string content) {
  return with_text(ConstraintKind::kToken, std::move(content));
}

ConstraintSpec ConstraintSpec::choice(const std::vector<std::string>& texts) {
  std::vector<ConstraintSpec> parts;
  parts.reserve(texts.size());
  for (const std::string& text : texts) parts.push_back(literal(text));
  return alternatives(std::move(parts));
}

ConstraintSpec ConstraintSpec::sequence(std::vector<ConstraintSpec> parts) {
  return with_parts(ConstraintKind::kSequence, std::move(parts));
}

ConstraintSpec ConstraintSpec::alternatives(std::vector<ConstraintSpec> parts) {
  return with_parts(ConstraintKind::kAlternatives, std::move(parts));
}

ConstraintSpec ConstraintSpec::repeat(ConstraintSpec part, std::uint32_t min, std::uint32_t max) {
  ConstraintSpec spec = with_parts(ConstraintKind::kRepeat, {});
  spec.parts.push_back(std::move(part));
  spec.repeats_min = min;
  spec.repeats_max = max;
  return spec;
}

ConstraintSpec ConstraintSpec::free_text(std::vector<Trigger> triggers, AfterTrigger after) {
  ConstraintSpec spec = with_parts(ConstraintKind::kFreeText, {});
  spec.triggers = std::move(triggers);
  spec.after_trigger = after;
  return spec;
}

}  // namespace millrace
