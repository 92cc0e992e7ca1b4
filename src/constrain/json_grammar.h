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

// One thread. JSON that every parser of doubles can read: whole parts of up to 18 digits, up to 17
// digits behind the point, exponents of up to two.
class JsonGrammar {
 public:
  static constexpr std::uint32_t kWholeDigitsMax = 18;
  static constexpr std::uint32_t kFractionDigitsMax = 17;

  JsonGrammar(Grammar& grammar, const JsonStyle& style);

  Grammar& grammar() { return grammar_; }
  const JsonStyle& style() const { return style_; }

  // The signs with the white space around them that the style allows.
  ExprId object_begin();
  ExprId object_end();
  ExprId array_begin();
  ExprId array_end();
  ExprId comma();
  ExprId colon();

  // A string of min to max characters, escapes where they are allowed.
  Result<ExprId> string(std::uint32_t min = 0, std::uint32_t max = kNoMax);
  // A string whose text the automaton accepts, escapes where they are needed. UTF-8 only.
  ExprId string_of(const Automaton& text);
  // What an automaton of any text is intersected with for lengths.
  Result<Automaton> text_of_length(std::uint32_t min, std::uint32_t max);
  // The text of this string in quotes, as the compact form has it.
  ExprId string_literal(const std::string& text);

  Result<ExprId> number();
  Result<ExprId> integer();
  ExprId any_value();
  ExprId any_object();
  ExprId any_array();
  // This value, its properties in their order.
  ExprId value(const OrderedJson& value);

  // object_begin, members one after the other with commas, object_end.
  ExprId object_of(ExprId member, std::uint32_t min, std::uint32_t max);
  ExprId array_of(ExprId item, std::uint32_t min, std::uint32_t max);
  ExprId list_of(ExprId item, std::uint32_t min, std::uint32_t max);

  // The first failure of what could not return one.
  Status status() const;

 private:
  ExprId space();
  ExprId regex(const char* pattern);
  ExprId string_char();
  void define_any();

  Grammar& grammar_;
  JsonStyle style_;
  std::optional<Error> error_;
  std::optional<ExprId> space_, string_char_, any_string_, number_, integer_;
  std::optional<RuleId> any_value_, any_object_, any_array_;
};

}  // namespace millrace
