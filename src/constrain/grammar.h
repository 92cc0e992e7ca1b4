// A grammar as a graph of expressions: what every kind of spec is turned into.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "constrain/automaton.h"
#include "constrain/code_point_set.h"
#include "constrain/compile_budget.h"

namespace millrace {

using ExprId = std::uint32_t;

enum class ExprKind : std::uint8_t {
  kNothing,       // no text at all
  kEmpty,         // the empty text
  kBytes,         // these bytes
  kClass,         // one character of a set
  kSequence,      // parts in their order
  kAlternatives,  // one of the parts
  kRepeat,        // the part, min to max times
  kRule,          // what a rule says
  kAutomaton,     // what a deterministic automaton without steps accepts
};

struct Expr {
  ExprKind kind = ExprKind::kNothing;
  std::vector<ExprId> parts = {};
  std::string bytes = {};
  std::uint32_t index = 0;  // of the class, rule or automaton
  std::uint32_t min = 0;
  std::uint32_t max = 0;
  std::uint32_t size = 1;  // states that it takes when written out, up to kNoMax
};

inline constexpr std::uint32_t kNoMax = std::numeric_limits<std::uint32_t>::max();

// One thread. Expressions are never changed once made. Limits are noticed late: after each larger
// piece of work `status` says whether one was passed; what was made since is of no use then.
class Grammar {
 public:
  explicit Grammar(CompileBudget& budget);

  ExprId nothing() const { return 0; }
  ExprId empty() const { return 1; }
  ExprId bytes(std::string_view text);
  ExprId char_class(CodePointSet set);
  ExprId any_char();
  ExprId sequence(std::vector<ExprId> parts);
  ExprId alternatives(std::vector<ExprId> parts);
  ExprId repeat(ExprId part, std::uint32_t min, std::uint32_t max);
  ExprId optional(ExprId part) { return repeat(part, 0, 1); }
  ExprId rule(RuleId rule);
  ExprId automaton(Automaton automaton);

  RuleId add_rule(std::string name);
  void define(RuleId rule, ExprId body) { rules_[rule].body = body; }

  Status status() const;
  CompileBudget& budget() { return budget_; }

  // References to expressions last until the next one is made.
  const Expr& expr(ExprId id) const { return exprs_[id]; }
  const CodePointSet& set_of(const Expr& expr) const { return sets_[expr.index]; }
  const Automaton& automaton_of(const Expr& expr) const { return automata_[expr.index]; }
  ExprId body_of(RuleId rule) const { return rules_[rule].body; }
  const std::string& name_of(RuleId rule) const { return rules_[rule].name; }
  std::size_t num_rules() const { return rules_.size(); }

  // Which expressions have the empty text. Once all rules are defined.
  Result<std::vector<bool>> nullable_exprs() const;
  std::size_t num_exprs() const { return exprs_.size(); }

  // A deterministic automaton of an expression without rules.
  Result<Automaton> to_automaton(ExprId id, std::size_t states_max);

 private:
  struct Rule {
    std::string name;
    ExprId body = 0;
  };

  ExprId add(Expr expr);

  CompileBudget& budget_;
  std::unique_ptr<Error> error_;  // the first limit that was passed
  std::vector<Expr> exprs_;
  std::vector<CodePointSet> sets_;
  std::vector<Automaton> automata_;
  std::vector<Rule> rules_;
  std::unordered_map<std::string, ExprId> bytes_;
  ExprId any_char_ = 0;
};

}  // namespace millrace
