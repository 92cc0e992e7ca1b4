// Thompson's construction (Thompson 1968), with calls for rules and for repetitions too long to be
// written out.
#include "constrain/rule_builder.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "base/check.h"

namespace millrace {
namespace {

// A repetition that needs more states than this is counted while it is read.
constexpr std::uint32_t kWrittenOutMax = 1024;
// A rule of so few states is put where it is called, so that the automaton sees more at once.
constexpr std::uint32_t kInlineSizeMax = 64;

class ExprBuilder {
 public:
  // Without `calls`, rules are errors and repetitions are written out.
  struct Calls {
    std::unordered_map<ExprId, RuleId>& counted_rules;
    std::vector<ExprId>& counted_exprs;
    const std::vector<std::uint32_t>& inline_sizes;
    std::size_t num_grammar_rules;
  };

  ExprBuilder(const Grammar& grammar, Automaton& out, std::size_t states_max, Calls* calls)
      : grammar_(grammar), out_(out), states_max_(states_max), calls_(calls) {}

  Status build(ExprId id, std::uint32_t from, std::uint32_t to) {
    const Expr& expr = grammar_.expr(id);
    if (out_.states.size() > states_max_) {
      return Error{ErrorCode::kTooLarge,
                   "automaton needs more than " + std::to_string(states_max_) + " states"};
    }
    switch (expr.kind) {
      case ExprKind::kNothing:
        return Ok{};
      case ExprKind::kEmpty:
        go(from, to);
        return Ok{};
      case ExprKind::kBytes:
        build_bytes(expr.bytes, from, to);
        return Ok{};
      case ExprKind::kClass:
        build_class(grammar_.set_of(expr), from, to);
        return Ok{};
      case ExprKind::kSequence:
        return build_sequence(expr, from, to);
      case ExprKind::kAlternatives:
        for (const ExprId part : expr.parts) TRY(build_apart(part, from, to));
        return Ok{};
      case ExprKind::kRepeat:
        return build_repeat(id, expr, from, to);
      case ExprKind::kRule:
        return build_call(expr, from, to);
      case ExprKind::kAutomaton:
        build_automaton(grammar_.automaton_of(expr), from, to);
        return Ok{};
    }
    return Ok{};
  }

 private:
  void go(std::uint32_t from, std::uint32_t to) {
    out_.states[from].steps.push_back({StepKind::kGoto, 0, to});
  }

  // Between states of its own, so that its loops do not leak into what surrounds it.
  Status build_apart(ExprId id, std::uint32_t from, std::uint32_t to) {
    const std::uint32_t first = out_.add_state();
    const std::uint32_t last = out_.add_state();
    go(from, first);
    go(last, to);
    return build(id, first, last);
  }

  void build_bytes(const std::string& bytes, std::uint32_t from, std::uint32_t to) {
    std::uint32_t at = from;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      const std::uint32_t next = i + 1 == bytes.size() ? to : out_.add_state();
      const auto byte = static_cast<std::uint8_t>(bytes[i]);
      out_.states[at].ranges.push_back({byte, byte, next});
      at = next;
    }
  }

  void build_class(const CodePointSet& set, std::uint32_t from, std::uint32_t to) {
    for (const CodePointRange& range : set.ranges()) {
      for (const Utf8Range& utf8 : utf8_ranges(range)) {
        std::uint32_t at = from;
        for (std::size_t i = 0; i < utf8.num_bytes; ++i) {
          const std::uint32_t next = i + 1 == utf8.num_bytes ? to : out_.add_state();
          out_.states[at].ranges.push_back({utf8.bytes[i].first, utf8.bytes[i].last, next});
          at = next;
        }
      }
    }
  }

  Status build_sequence(const Expr& expr, std::uint32_t from, std::uint32_t to) {
    std::uint32_t at = from;
    for (std::size_t i = 0; i < expr.parts.size(); ++i) {
      const std::uint32_t next = i + 1 == expr.parts.size() ? to : out_.add_state();
      TRY(build(expr.parts[i], at, next));
      at = next;
    }
    return Ok{};
  }

  Status build_repeat(ExprId id, const Expr& expr, std::uint32_t from, std::uint32_t to) {
    const bool is_plain_star = expr.min <= 1 && expr.max == kNoMax;
    if (calls_ != nullptr && !is_plain_star && expr.max != 1 && expr.size > kWrittenOutMax) {
      const auto [at, is_new] = calls_->counted_rules.try_emplace(
          id, static_cast<RuleId>(calls_->num_grammar_rules + calls_->counted_exprs.size()));
      if (is_new) calls_->counted_exprs.push_back(id);
      out_.states[from].steps.push_back({StepKind::kCall, at->second, to});
      return Ok{};
    }
    const ExprId part = expr.parts[0];
    const std::uint32_t max = expr.max;
    std::uint32_t at = from;
    for (std::uint32_t i = 0; i < expr.min; ++i) {
      const std::uint32_t next = out_.add_state();
      TRY(build_apart(part, at, next));
      at = next;
    }
    if (max == kNoMax) {
      const std::uint32_t head = out_.add_state();
      go(at, head);
      go(head, to);
      return build_apart(part, head, head);
    }
    for (std::uint32_t i = expr.min; i < max; ++i) {
      const std::uint32_t next = out_.add_state();
      go(at, to);
      TRY(build_apart(part, at, next));
      at = next;
    }
    go(at, to);
    return Ok{};
  }

  Status build_call(const Expr& expr, std::uint32_t from, std::uint32_t to) {
    if (calls_ == nullptr) {
      return Error{ErrorCode::kUnsupported, "a rule cannot be used inside a pattern"};
    }
    if (calls_->inline_sizes[expr.index] <= kInlineSizeMax) {
      return build_apart(grammar_.body_of(expr.index), from, to);
    }
    out_.states[from].steps.push_back({StepKind::kCall, expr.index, to});
    return Ok{};
  }

  void build_automaton(const Automaton& automaton, std::uint32_t from, std::uint32_t to) {
    const auto offset = static_cast<std::uint32_t>(out_.states.size());
    for (const Automaton::State& state : automaton.states) {
      out_.add_state();
      for (Automaton::Range range : state.ranges) {
        range.target += offset;
        out_.states.back().ranges.push_back(range);
      }
      if (state.accepts) out_.states.back().steps.push_back({StepKind::kGoto, 0, to});
    }
    go(from, offset);
  }

  const Grammar& grammar_;
  Automaton& out_;
  std::size_t states_max_;
  Calls* calls_;
};

// Makes expressions without the empty text, for loops whose turns are counted.
class EmptyTextRemover {
 public:
  EmptyTextRemover(Grammar& grammar, std::vector<bool> nullable)
      : grammar_(grammar), nullable_(std::move(nullable)) {}

  ExprId without_empty(ExprId id) {
    // What is not in the list was made here and does not have it.
    if (id >= nullable_.size() || !nullable_[id]) return id;
    const Expr expr = grammar_.expr(id);
    switch (expr.kind) {
      case ExprKind::kAlternatives: {
        std::vector<ExprId> parts;
        for (const ExprId part : expr.parts) parts.push_back(without_empty(part));
        return grammar_.alternatives(std::move(parts));
      }
      case ExprKind::kSequence: {
        // The first part that is not empty, and all behind it.
        std::vector<ExprId> choices;
        for (std::size_t i = 0; i < expr.parts.size(); ++i) {
          std::vector<ExprId> rest(expr.parts.begin() + static_cast<std::ptrdiff_t>(i),
                                   expr.parts.end());
          rest[0] = without_empty(rest[0]);
          choices.push_back(grammar_.sequence(std::move(rest)));
        }
        return grammar_.alternatives(std::move(choices));
      }
      case ExprKind::kRepeat:
        return grammar_.repeat(without_empty(expr.parts[0]), 1, expr.max);
      case ExprKind::kRule:
        return grammar_.rule(rule_without_empty(expr.index));
      case ExprKind::kAutomaton:
        return grammar_.automaton(automaton_without_empty(grammar_.automaton_of(expr)));
      default:
        return grammar_.nothing();
    }
  }

 private:
  RuleId rule_without_empty(RuleId rule) {
    const auto [at, is_new] = rules_.try_emplace(rule, 0);
    if (!is_new) return at->second;
    const RuleId made = grammar_.add_rule(grammar_.name_of(rule));
    at->second = made;
    grammar_.define(made, without_empty(grammar_.body_of(rule)));
    return made;
  }

  static Automaton automaton_without_empty(const Automaton& automaton) {
    Automaton result = automaton;
    const std::uint32_t copy = result.add_state();
    result.states[copy] = result.states[0];
    for (Automaton::State& state : result.states) {
      for (Automaton::Range& range : state.ranges) {
        if (range.target == 0) range.target = copy;
      }
    }
    result.states[0].accepts = false;
    return result;
  }

  Grammar& grammar_;
  std::vector<bool> nullable_;
  std::unordered_map<RuleId, RuleId> rules_;
};

// The states of each rule with all that it calls written out; kNoMax for what calls itself.
class InlineSizes {
 public:
  explicit InlineSizes(const Grammar& grammar)
      : grammar_(grammar), sizes_(grammar.num_rules(), kUnknown) {}

  std::vector<std::uint32_t> run() {
    for (RuleId rule = 0; rule < sizes_.size(); ++rule) size_of_rule(rule, 0);
    return std::move(sizes_);
  }

 private:
  static constexpr std::uint32_t kUnknown = kNoMax - 1;
  static constexpr std::uint32_t kDepthMax = 16;

  std::uint32_t size_of_rule(RuleId rule, std::uint32_t depth) {
    if (sizes_[rule] != kUnknown) return sizes_[rule];
    if (depth > kDepthMax) return kNoMax;
    sizes_[rule] = kNoMax;  // what is asked for while it is found out calls itself
    const std::uint32_t size = size_of(grammar_.body_of(rule), depth);
    sizes_[rule] = size;
    return size;
  }

  std::uint32_t size_of(ExprId id, std::uint32_t depth) {
    const Expr& expr = grammar_.expr(id);
    if (expr.size > kInlineSizeMax) return kNoMax;
    if (expr.kind == ExprKind::kRule) return size_of_rule(expr.index, depth + 1);
    std::uint64_t size = expr.size;
    for (const ExprId part : expr.parts) {
      const std::uint32_t num_copies = expr.kind != ExprKind::kRepeat ? 1
                                       : expr.max == kNoMax           ? expr.min + 1
                                                                      : expr.max;
      size += std::uint64_t{size_of(part, depth)} * num_copies;
      if (size > kInlineSizeMax) return kNoMax;
    }
    return static_cast<std::uint32_t>(size);
  }

  const Grammar& grammar_;
  std::vector<std::uint32_t> sizes_;
};

class RulesBuilder {
 public:
  explicit RulesBuilder(Grammar& grammar) : grammar_(grammar) {}

  Result<std::vector<BuiltRule>> run() {
    TRY(remove_empty_turns());
    inline_sizes_ = InlineSizes(grammar_).run();
    ExprBuilder::Calls calls{counted_rules_, counted_exprs_, inline_sizes_, grammar_.num_rules()};
    std::vector<BuiltRule> rules;
    for (RuleId rule = 0; rule < grammar_.num_rules(); ++rule) {
      Automaton automaton;
      const std::uint32_t first = automaton.add_state();
      const std::uint32_t last = automaton.add_state();
      automaton.states[last].accepts = true;
      TRY(build(automaton, grammar_.body_of(rule), first, last, calls));
      rules.push_back({.automaton = TRY(made_deterministic(std::move(automaton)))});
    }
    for (std::size_t i = 0; i < counted_exprs_.size(); ++i) {
      rules.push_back(TRY(counted_rule(counted_exprs_[i], calls)));
    }
    return rules;
  }

 private:
  // A turn that reads nothing could be taken for ever: (x){2,9} with an empty x is the same as
  // (x without it){0,9}.
  Status remove_empty_turns() {
    std::vector<bool> nullable = TRY(grammar_.nullable_exprs());
    const std::size_t num_exprs = grammar_.num_exprs();
    EmptyTextRemover remover(grammar_, nullable);
    for (ExprId id = 0; id < num_exprs; ++id) {
      const Expr& expr = grammar_.expr(id);
      if (expr.kind != ExprKind::kRepeat || expr.size <= kWrittenOutMax) continue;
      const ExprId part = expr.parts[0];
      if (nullable[part]) stripped_[id] = remover.without_empty(part);
    }
    return grammar_.status();
  }

  Status build(Automaton& automaton, ExprId id, std::uint32_t first, std::uint32_t last,
               ExprBuilder::Calls& calls) {
    const std::size_t states_max = grammar_.budget().limits().num_states_max;
    TRY(ExprBuilder(grammar_, automaton, states_max, &calls).build(id, first, last));
    return grammar_.budget().count_work(automaton.states.size());
  }

  Result<BuiltRule> counted_rule(ExprId id, ExprBuilder::Calls& calls) {
    const Expr expr = grammar_.expr(id);
    const auto stripped = stripped_.find(id);
    const bool is_stripped = stripped != stripped_.end();
    Automaton automaton;
    const std::uint32_t head = automaton.add_state();
    const std::uint32_t done = automaton.add_state();
    const std::uint32_t first = automaton.add_state();
    const std::uint32_t last = automaton.add_state();
    automaton.states[done].accepts = true;
    automaton.states[head].steps = {{StepKind::kMore, 0, first}, {StepKind::kDone, 0, done}};
    automaton.states[last].steps = {{StepKind::kCount, 0, head}};
    TRY(build(automaton, is_stripped ? stripped->second : expr.parts[0], first, last, calls));
    Automaton deterministic = TRY(made_deterministic(std::move(automaton)));
    return BuiltRule{.automaton = std::move(deterministic),
                     .turns_min = is_stripped ? 0 : expr.min,
                     .turns_max = expr.max};
  }

  // Objects of many optional properties would have a trie of keys for each of them: what grows
  // too much stays as it is.
  Result<Automaton> made_deterministic(Automaton automaton) {
    constexpr std::size_t kGrowth = 2;
    constexpr std::size_t kSmall = 256;
    const std::size_t states_max = kGrowth * automaton.states.size() + kSmall;
    Result<Automaton> result = determinize(automaton, states_max, grammar_.budget());
    if (!result.ok() && result.error().code == ErrorCode::kTooLarge) result = std::move(automaton);
    if (result.ok()) TRY(grammar_.budget().spend_states(result.value().states.size()));
    return result;
  }

  Grammar& grammar_;
  std::vector<std::uint32_t> inline_sizes_;
  std::unordered_map<ExprId, RuleId> counted_rules_;
  std::vector<ExprId> counted_exprs_;
  std::unordered_map<ExprId, ExprId> stripped_;
};

}  // namespace

Result<std::vector<BuiltRule>> build_rules(Grammar& grammar) {
  TRY(grammar.status());
  return RulesBuilder(grammar).run();
}

Result<Automaton> build_plain_automaton(const Grammar& grammar, ExprId id, std::size_t states_max) {
  constexpr std::size_t kSpare = 4;  // states of an automaton before it is made deterministic
  Automaton automaton;
  const std::uint32_t first = automaton.add_state();
  const std::uint32_t last = automaton.add_state();
  automaton.states[last].accepts = true;
  TRY(ExprBuilder(grammar, automaton, kSpare * states_max, nullptr).build(id, first, last));
  return automaton;
}

}  // namespace millrace
