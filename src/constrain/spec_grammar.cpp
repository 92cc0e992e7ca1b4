// One function for each kind of spec.
#include "constrain/spec_grammar.h"

#include <utility>
#include <vector>

#include "constrain/free_text.h"
#include "constrain/gbnf_grammar.h"
#include "constrain/json_grammar.h"
#include "constrain/regex_grammar.h"
#include "constrain/schema_grammar.h"
#include "text/utf8.h"

namespace millrace {
namespace {

Error wrong(const std::string& what) {
  return Error{ErrorCode::kInvalidArgument, "constraint: " + what};
}

class SpecBuilder {
 public:
  SpecBuilder(Grammar& grammar, const TokenVocabulary& vocabulary)
      : grammar_(grammar), vocabulary_(vocabulary) {}

  Result<ExprId> build(const ConstraintSpec& spec, std::size_t depth) {
    if (depth > grammar_.budget().limits().depth_max) {
      return Error{ErrorCode::kTooLarge, "constraint: parts are nested too deeply"};
    }
    if (find_invalid_utf8(spec.text)) return wrong("text is not UTF-8");
    TRY(grammar_.status());
    switch (spec.kind) {
      case ConstraintKind::kJsonObject:
        return build_object(spec);
      case ConstraintKind::kJsonSchema:
        return build_schema_grammar(grammar_, spec.text, spec.style, quote_of(spec.style));
      case ConstraintKind::kSchemaText:
        if (spec.parts.size() != 1 || spec.parts[0].text.empty()) {
          return wrong("the text of a schema needs what ends it");
        }
        return build_schema_text(grammar_, spec.text, spec.parts[0].text);
      case ConstraintKind::kRegex: {
        Automaton automaton =
            TRY(regex_automaton(grammar_, spec.text, RegexMatch::kWhole, "pattern"));
        return grammar_.automaton(std::move(automaton));
      }
      case ConstraintKind::kGrammar:
        return parse_gbnf(grammar_, vocabulary_, spec.text);
      case ConstraintKind::kLiteral:
        return grammar_.bytes(spec.text);
      case ConstraintKind::kToken:
        return grammar_.bytes(token_bytes(spec.text));
      case ConstraintKind::kSequence:
        return grammar_.sequence(TRY(build_parts(spec, depth)));
      case ConstraintKind::kAlternatives:
        if (spec.parts.empty()) return wrong("there is nothing to choose from");
        return grammar_.alternatives(TRY(build_parts(spec, depth)));
      case ConstraintKind::kRepeat:
        return build_repeat(spec, depth);
      case ConstraintKind::kFreeText:
        return build_free_text(spec, depth);
    }
    return wrong("unknown kind");
  }

 private:
  // A special token where the vocabulary has it, else the text.
  std::string token_bytes(const std::string& content) const {
    const std::string special = vocabulary_.special_bytes(content);
    return special.empty() ? content : special;
  }

  std::string quote_of(const JsonStyle& style) const {
    return style.notation == JsonNotation::kGemma ? token_bytes("<|\"|>") : "\"";
  }

  Result<ExprId> build_object(const ConstraintSpec& spec) {
    JsonGrammar json(grammar_, spec.style, quote_of(spec.style));
    const ExprId object =
        json.any_object(spec.style.notation == JsonNotation::kPython ? ObjectPlace::kArguments
                                                                     : ObjectPlace::kValue);
    TRY(json.status());
    return object;
  }

  Result<std::vector<ExprId>> build_parts(const ConstraintSpec& spec, std::size_t depth) {
    std::vector<ExprId> parts;
    for (const ConstraintSpec& part : spec.parts) parts.push_back(TRY(build(part, depth + 1)));
    return parts;
  }

  Result<ExprId> build_repeat(const ConstraintSpec& spec, std::size_t depth) {
    if (spec.parts.size() != 1) return wrong("a repetition needs exactly one part");
    if (spec.repeats_min > spec.repeats_max) return wrong("least count exceeds the most");
    const ExprId part = TRY(build(spec.parts[0], depth + 1));
    return grammar_.repeat(part, spec.repeats_min, spec.repeats_max);
  }

  Result<ExprId> build_free_text(const ConstraintSpec& spec, std::size_t depth) {
    std::vector<FreeTextTrigger> triggers;
    for (const ConstraintSpec::Trigger& trigger : spec.triggers) {
      if (trigger.text.empty()) return wrong("a trigger is empty");
      if (find_invalid_utf8(trigger.text)) return wrong("a trigger is not UTF-8");
      if (trigger.parts.size() != 1) return wrong("a trigger needs exactly one part");
      triggers.push_back({.bytes = trigger.is_token ? token_bytes(trigger.text) : trigger.text,
                          .behind = TRY(build(trigger.parts[0], depth + 1))});
    }
    const bool goes_on = spec.after_trigger == ConstraintSpec::AfterTrigger::kFreeText;
    return free_text(grammar_, triggers,
                     goes_on ? FreeTextEnd::kGoesOn : FreeTextEnd::kWithTrigger);
  }

  Grammar& grammar_;
  const TokenVocabulary& vocabulary_;
};

}  // namespace

Result<RuleId> build_grammar(Grammar& grammar, const TokenVocabulary& vocabulary,
                             const ConstraintSpec& spec) {
  const RuleId root = grammar.add_rule("answer");
  const ExprId body = TRY(SpecBuilder(grammar, vocabulary).build(spec, 0));
  TRY(grammar.status());
  grammar.define(root, body);
  return root;
}

}  // namespace millrace
