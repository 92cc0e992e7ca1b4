// Making expressions, simplified as they are made.
#include "constrain/grammar.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/check.h"
#include "constrain/rule_builder.h"

namespace millrace {
namespace {

std::uint32_t saturated(std::uint64_t size) {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(size, kNoMax));
}

}  // namespace

Grammar::Grammar(CompileBudget& budget) : budget_(budget) {
  exprs_.push_back({.kind = ExprKind::kNothing});
  exprs_.push_back({.kind = ExprKind::kEmpty});
}

Status Grammar::status() const {
  if (error_ != nullptr) return Error(*error_);
  return Ok{};
}

ExprId Grammar::add(Expr expr) {
  if (error_ != nullptr) return nothing();
  const Status spent = budget_.spend_expressions(1 + expr.bytes.size() / 64);
  if (!spent.ok()) {
    error_ = std::make_unique<Error>(spent.error());
    return nothing();
  }
  exprs_.push_back(std::move(expr));
  return static_cast<ExprId>(exprs_.size() - 1);
}

ExprId Grammar::bytes(std::string_view text) {
  if (text.empty()) return empty();
  const auto [at, is_new] = bytes_.try_emplace(std::string(text), 0);
  if (is_new) {
    at->second =
        add({.kind = ExprKind::kBytes, .bytes = std::string(text), .size = saturated(text.size())});
  }
  return at->second;
}

ExprId Grammar::char_class(CodePointSet set) {
  if (set.is_empty()) return nothing();
  sets_.push_back(std::move(set));
  const auto num_ranges = static_cast<std::uint64_t>(sets_.back().ranges().size());
  return add({.kind = ExprKind::kClass,
              .index = static_cast<std::uint32_t>(sets_.size() - 1),
              .size = saturated(2 * num_ranges)});
}

ExprId Grammar::any_char() {
  if (any_char_ == 0) any_char_ = char_class(CodePointSet::all());
  return any_char_;
}

ExprId Grammar::sequence(std::vector<ExprId> parts) {
  std::vector<ExprId> kept;
  std::uint64_t size = 1;
  for (const ExprId part : parts) {
    if (exprs_[part].kind == ExprKind::kNothing) return nothing();
    if (exprs_[part].kind == ExprKind::kEmpty) continue;
    kept.push_back(part);
    size += exprs_[part].size;
  }
  if (kept.empty()) return empty();
  if (kept.size() == 1) return kept.front();
  return add({.kind = ExprKind::kSequence, .parts = std::move(kept), .size = saturated(size)});
}

ExprId Grammar::alternatives(std::vector<ExprId> parts) {
  std::erase_if(parts, [this](ExprId part) { return exprs_[part].kind == ExprKind::kNothing; });
  std::sort(parts.begin(), parts.end());
  parts.erase(std::unique(parts.begin(), parts.end()), parts.end());
  if (parts.empty()) return nothing();
  if (parts.size() == 1) return parts.front();
  std::uint64_t size = 2;
  for (const ExprId part : parts) size += exprs_[part].size;
  return add({.kind = ExprKind::kAlternatives, .parts = std::move(parts), .size = saturated(size)});
}

ExprId Grammar::repeat(ExprId part, std::uint32_t min, std::uint32_t max) {
  CHECK(min <= max);
  if (max == 0) return empty();
  if (min == 1 && max == 1) return part;
  const ExprKind kind = exprs_[part].kind;
  if (kind == ExprKind::kEmpty) return empty();
  if (kind == ExprKind::kNothing) return min == 0 ? empty() : nothing();
  const std::uint64_t num_copies = max == kNoMax ? std::uint64_t{min} + 1 : max;
  return add({.kind = ExprKind::kRepeat,
              .parts = {part},
              .min = min,
              .max = max,
              .size = saturated((exprs_[part].size + 1) * num_copies + 2)});
}

ExprId Grammar::rule(RuleId rule) {
  return add({.kind = ExprKind::kRule, .index = rule});
}

ExprId Grammar::automaton(Automaton automaton) {
  if (is_empty(automaton)) return nothing();
  automata_.push_back(std::move(automaton));
  return add({.kind = ExprKind::kAutomaton,
              .index = static_cast<std::uint32_t>(automata_.size() - 1),
              .size = saturated(automata_.back().states.size())});
}

RuleId Grammar::add_rule(std::string name) {
  rules_.push_back({.name = std::move(name)});
  return static_cast<RuleId>(rules_.size() - 1);
}

// Parts are older than what they are part of, so one pass in the order of ids settles everything
// but rules.
Result<std::vector<bool>> Grammar::nullable_exprs() const {
  std::vector<bool> nullable(exprs_.size(), false);
  const auto evaluate = [&](const Expr& expr) -> bool {
    const auto is_nullable = [&](ExprId part) -> bool { return nullable[part]; };
    switch (expr.kind) {
      case ExprKind::kNothing:
      case ExprKind::kBytes:
      case ExprKind::kClass:
        return false;
      case ExprKind::kEmpty:
        return true;
      case ExprKind::kSequence:
        return std::all_of(expr.parts.begin(), expr.parts.end(), is_nullable);
      case ExprKind::kAlternatives:
        return std::any_of(expr.parts.begin(), expr.parts.end(), is_nullable);
      case ExprKind::kRepeat:
        return expr.min == 0 || nullable[expr.parts[0]];
      case ExprKind::kRule:
        return nullable[rules_[expr.index].body];
      case ExprKind::kAutomaton:
        return automata_[expr.index].states[0].accepts;
    }
    return false;
  };
  for (bool has_changed = true; has_changed;) {
    has_changed = false;
    TRY(budget_.count_work(exprs_.size()));
    for (std::size_t id = 0; id < exprs_.size(); ++id) {
      if (nullable[id] || !evaluate(exprs_[id])) continue;
      nullable[id] = true;
      has_changed = true;
    }
  }
  return nullable;
}

Result<Automaton> Grammar::to_automaton(ExprId id, std::size_t states_max) {
  TRY(status());
  const Automaton automaton = TRY(build_plain_automaton(*this, id, states_max));
  const Automaton deterministic = TRY(determinize(automaton, states_max, budget_));
  return without_dead_ends(deterministic);
}

}  // namespace millrace
