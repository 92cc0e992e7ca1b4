// The pieces of JSON as expressions: white space, strings, numbers, any value, one given value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "constrain/constraint_spec.h"
#include "constrain/grammar.h"

namespace millrace {

// Where an object stands: what the outermost one looks like is up to the notation.
enum class ObjectPlace : std::uint8_t {
  kValue,      // somewhere in a value
  kArguments,  // it is the arguments of a call
};

// One thread. JSON that every parser of doubles can read: whole parts of up to 18 digits, up to 17
// digits behind the point, exponents of up to two.
class JsonGrammar {
 public:
  static constexpr std::uint32_t kWholeDigitsMax = 18;
  static constexpr std::uint32_t kFractionDigitsMax = 17;

  // `quote` is what stands around texts where the notation has a token for it.
  JsonGrammar(Grammar& grammar, const JsonStyle& style, std::string quote = "\"");

  Grammar& grammar() { return grammar_; }
  const JsonStyle& style() const { return style_; }

  // The signs with the white space around them that the style allows.
  ExprId object_begin(ObjectPlace place = ObjectPlace::kValue);
  ExprId object_end(ObjectPlace place = ObjectPlace::kValue);
  ExprId array_begin();
  ExprId array_end();
  ExprId comma();
  // Between a member's name and its value.
  ExprId colon(ObjectPlace place = ObjectPlace::kValue);

  // The name of a member, and any of those that the automaton accepts. kUnsupported for a name that
  // the notation cannot write.
  Result<ExprId> key(const std::string& name, ObjectPlace place);
  Result<ExprId> key_of(const Automaton& names, ObjectPlace place);

  // A string of min to max characters, escapes where they are allowed.
  Result<ExprId> string(std::uint32_t min = 0, std::uint32_t max = kNoMax);
  // A string whose text the automaton accepts, escapes where they are needed. UTF-8 only.
  Result<ExprId> string_of(const Automaton& text);
  // What an automaton of any text is intersected with for lengths.
  Result<Automaton> text_of_length(std::uint32_t min, std::uint32_t max);
  // The text of this string in quotes, as the compact form has it.
  ExprId string_literal(const std::string& text);
  // null, true or false.
  ExprId word(const OrderedJson& value);

  Result<ExprId> number();
  Result<ExprId> integer();
  ExprId any_value();
  ExprId any_object(ObjectPlace place = ObjectPlace::kValue);
  ExprId any_array();
  // This value, its properties in their order.
  ExprId value(const OrderedJson& value);

  // object_begin, members one after the other with commas, object_end.
  ExprId object_of(ExprId member, std::uint32_t min, std::uint32_t max,
                   ObjectPlace place = ObjectPlace::kValue);
  ExprId array_of(ExprId item, std::uint32_t min, std::uint32_t max);
  ExprId list_of(ExprId item, std::uint32_t min, std::uint32_t max);

  // The first failure of what could not return one.
  Status status() const;

 private:
  ExprId space();
  bool is_gemma() const { return style_.notation == JsonNotation::kGemma; }
  bool has_bare_keys(ObjectPlace place) const;
  ExprId regex(const char* pattern);
  ExprId string_char();
  ExprId single_quoted_char();
  void define_any();

  Grammar& grammar_;
  JsonStyle style_;
  std::string quote_;
  std::optional<Error> error_;
  std::optional<ExprId> space_, string_char_, single_quoted_char_, any_string_, number_, integer_;
  std::optional<RuleId> any_value_, any_object_, any_array_;
};

}  // namespace millrace
