// What an answer has to look like, as plain data: a JSON schema, a pattern, a grammar, or a mix.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace millrace {

enum class ConstraintKind : std::uint8_t {
  kJsonObject,    // any JSON object
  kJsonSchema,    // `text` is a JSON Schema
  kSchemaText,    // `text` is one that a string fulfils: the string itself, neither quoted nor
                  // escaped; parts[0], a literal, is nowhere in it
  kRegex,         // `text` is a pattern of ECMAScript that the whole answer matches
  kGrammar,       // `text` is a grammar in llama.cpp's dialect; its rule `root` is the answer
  kLiteral,       // `text`, byte for byte
  kToken,         // the special token whose content is `text`; that text where there is none
  kSequence,      // `parts`, one after the other
  kAlternatives,  // one of `parts`
  kRepeat,        // parts[0], `repeats_min` to `repeats_max` times
  kFreeText,      // any text, until one of `triggers` is written
};

// Where white space may stand between the tokens of JSON.
enum class JsonWhitespace : std::uint8_t {
  kNone,      // nowhere: {"a":1,"b":2}
  kSpaced,    // exactly one space after each comma and colon: {"a": 1, "b": 2}
  kFlexible,  // a space, or a line break and up to 20 spaces or tabs, or nothing, everywhere
};

// What an object may hold whose schema says nothing of additionalProperties.
enum class UnnamedProperties : std::uint8_t {
  kAllowed,    // anything more, as the standard has it
  kForbidden,  // what `properties` and `patternProperties` name, where there are such
};

// How values are written. What JSON calls an object is one in all of them.
enum class JsonNotation : std::uint8_t {
  kJson,
  // Python's literals: {"k": [True, None]}. The outermost object is the arguments of a call, with
  // its brackets: (x=1, note="a").
  kPython,
  // Gemma's: {k:[true,null],note:<|"|>a<|"|>}, texts without escapes between tokens of that name.
  kGemma,
};

struct JsonStyle {
  JsonNotation notation = JsonNotation::kJson;
  JsonWhitespace whitespace = JsonWhitespace::kFlexible;
  UnnamedProperties unnamed_properties = UnnamedProperties::kAllowed;
  bool operator==(const JsonStyle&) const = default;
};

// What becomes of an answer for which the tokens run out.
enum class AtTokenLimit : std::uint8_t {
  kFinish,  // it is led to its end in time: as the limit nears, only what can still be finished
  kCut,     // it is cut off
};

struct ConstraintSpec {
  // A text that ends the free text, and what comes from there on: parts[0] begins with what
  // follows the trigger.
  struct Trigger {
    std::string text;
    // `text` names a special token; where the vocabulary has none of that name, it is plain text.
    bool is_token = false;
    std::vector<ConstraintSpec> parts;  // one
    bool operator==(const Trigger&) const = default;
  };

  // Whether free text goes on behind what a trigger began.
  enum class AfterTrigger : std::uint8_t { kEnd, kFreeText };

  static constexpr std::uint32_t kNoMax = std::numeric_limits<std::uint32_t>::max();

  ConstraintKind kind = ConstraintKind::kJsonObject;
  std::string text;
  JsonStyle style = {};  // of kJsonObject and kJsonSchema
  std::vector<ConstraintSpec> parts;
  std::uint32_t repeats_min = 0;
  std::uint32_t repeats_max = kNoMax;
  std::vector<Trigger> triggers;
  AfterTrigger after_trigger = AfterTrigger::kEnd;
  AtTokenLimit at_limit = AtTokenLimit::kFinish;  // of the outermost one

  static ConstraintSpec json_object(JsonStyle style = {});
  static ConstraintSpec json_schema(std::string schema, JsonStyle style = {});
  static ConstraintSpec schema_text(std::string schema, std::string without);
  static ConstraintSpec regex(std::string pattern);
  static ConstraintSpec grammar(std::string text);
  static ConstraintSpec literal(std::string text);
  static ConstraintSpec token(std::string content);
  // One of these strings.
  static ConstraintSpec choice(const std::vector<std::string>& texts);
  static ConstraintSpec sequence(std::vector<ConstraintSpec> parts);
  static ConstraintSpec alternatives(std::vector<ConstraintSpec> parts);
  static ConstraintSpec repeat(ConstraintSpec part, std::uint32_t min, std::uint32_t max = kNoMax);
  static ConstraintSpec free_text(std::vector<Trigger> triggers,
                                  AfterTrigger after = AfterTrigger::kEnd);

  bool operator==(const ConstraintSpec&) const = default;
};

// Everything that the spec says in one string: equal specs have equal keys, others others.
std::string cache_key(const ConstraintSpec& spec);

}  // namespace millrace
