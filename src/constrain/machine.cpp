// Linking: what cannot be finished is cut off, what would never end is refused, the rest laid flat.
#include "constrain/machine.h"

#include <algorithm>
#include <functional>
#include <queue>
#include <utility>

#include "base/check.h"
#include "constrain/machine_text.h"

namespace millrace {
namespace {

// States with more ranges than this get a row.
constexpr std::size_t kRangesMax = 4;
constexpr std::size_t kSpecialIdBytes = 4;

}  // namespace

class MachineLinker {
 public:
  MachineLinker(const std::vector<BuiltRule>& rules, const Grammar& grammar,
                const TokenVocabulary& vocabulary, CompileBudget& budget)
      : rules_(rules), grammar_(grammar), vocabulary_(vocabulary), budget_(budget) {}

  Result<Machine> run(RuleId root) {
    copy_states();
    TRY(find_productive());
    if (!is_productive_[offsets_[root]]) {
      return Error{ErrorCode::kInvalidArgument,
                   "no text that the vocabulary can spell fulfils the grammar"};
    }
    TRY(find_nullable());
    TRY(refuse_left_recursion());
    Machine machine;
    TRY(count_rests(machine));
    machine.start_ = offsets_[root];
    machine.start_turns_min_ = rules_[root].turns_min;
    machine.start_turns_max_ = rules_[root].turns_max;
    TRY(emit(machine));
    for (Machine::State& state : machine.states_) {
      state.text = text_kind(machine, state, vocabulary_);
      TRY(budget_.count_work(1));
    }
    return machine;
  }

 private:
  struct Source {
    std::vector<Automaton::Range> ranges;
    std::vector<Automaton::Step> steps;  // targets are global; of kCall, `rule` stays
    RuleId owner = 0;
    bool accepts = false;
  };
  // Of the things that make a state productive: all that one of them needs, and how it is moved
  // along by it.
  struct Need {
    std::uint32_t source = 0;
    std::uint8_t num_missing = 0;
    RestMove move;
  };

  // State 0 is the dead one; the rules' follow in order. Bytes that no token is alone are left out.
  void copy_states() {
    states_.emplace_back();
    for (RuleId rule = 0; rule < rules_.size(); ++rule) {
      const auto offset = static_cast<std::uint32_t>(states_.size());
      offsets_.push_back(offset);
      for (const Automaton::State& state : rules_[rule].automaton.states) {
        Source source{
            .ranges = state.ranges, .steps = state.steps, .owner = rule, .accepts = state.accepts};
        for (Automaton::Range& range : source.ranges) range.target += offset;
        for (Automaton::Step& step : source.steps) step.target += offset;
        states_.push_back(std::move(source));
      }
    }
    const std::vector<bool> is_special = find_special_states();
    for (std::size_t state = 0; state < states_.size(); ++state) {
      if (!is_special[state]) states_[state].ranges = covered(states_[state].ranges);
    }
  }

  // Those inside the encoding of a special token, which is always read whole.
  std::vector<bool> find_special_states() const {
    std::vector<bool> is_special(states_.size(), false);
    std::vector<std::uint32_t> current;
    for (const Source& state : states_) {
      for (const Automaton::Range& range : state.ranges) {
        if (range.last == TokenVocabulary::kSpecialByte) current.push_back(range.target);
      }
    }
    for (std::size_t i = 0; i < kSpecialIdBytes; ++i) {
      std::vector<std::uint32_t> following;
      for (const std::uint32_t state : current) {
        if (is_special[state]) continue;
        is_special[state] = true;
        for (const Automaton::Range& range : states_[state].ranges) {
          following.push_back(range.target);
        }
      }
      current = std::move(following);
    }
    return is_special;
  }

  std::vector<Automaton::Range> covered(const std::vector<Automaton::Range>& ranges) const {
    std::vector<Automaton::Range> kept;
    for (const Automaton::Range& range : ranges) {
      bool is_open = false;
      for (std::uint32_t byte = range.first; byte <= range.last; ++byte) {
        const auto value = static_cast<std::uint8_t>(byte);
        if (value != TokenVocabulary::kSpecialByte && !vocabulary_.has_byte(value)) {
          is_open = false;
        } else if (is_open) {
          kept.back().last = value;
        } else {
          kept.push_back({value, value, range.target});
          is_open = true;
        }
      }
    }
    return kept;
  }

  std::uint32_t done_target(RuleId rule) const {
    for (const Automaton::Step& step : states_[offsets_[rule]].steps) {
      if (step.kind == StepKind::kDone) return step.target;
    }
    return Machine::kDead;
  }

  void need(std::uint32_t source, std::initializer_list<std::uint32_t> states, RestMove move) {
    const auto id = static_cast<std::uint32_t>(needs_.size());
    needs_.push_back({source, static_cast<std::uint8_t>(states.size()), move});
    for (const std::uint32_t state : states) watchers_[state].push_back(id);
  }

  // Where a turn of the rule's loop begins; kDead where there is none.
  std::uint32_t turn_of(RuleId rule) const {
    for (const Automaton::Step& step : states_[offsets_[rule]].steps) {
      if (step.kind == StepKind::kMore) return step.target;
    }
    return Machine::kDead;
  }

  void add_step_needs(std::uint32_t id) {
    const Source& state = states_[id];
    const auto step_to = [](std::uint32_t target) {
      return RestMove{.kind = RestMove::Kind::kStep, .target = target};
    };
    for (const Automaton::Step& step : state.steps) {
      if (step.kind == StepKind::kGoto) need(id, {step.target}, step_to(step.target));
      if (step.kind == StepKind::kCall) {
        need(id, {step.target, offsets_[step.rule]},
             {.kind = RestMove::Kind::kCall,
              .target = step.target,
              .callee = offsets_[step.rule],
              .num_turns = rules_[step.rule].turns_min,
              .turn = turn_of(step.rule)});
      }
      // The loop can be gone through again, so its turns can be made as many as it takes.
      if (step.kind == StepKind::kCount) {
        const std::uint32_t done = done_target(state.owner);
        need(id, {done}, step_to(done));
      }
      if (step.kind != StepKind::kDone) continue;
      if (rules_[state.owner].turns_min == 0) {
        need(id, {step.target}, step_to(step.target));
        continue;
      }
      for (const Automaton::Step& more : state.steps) {
        if (more.kind != StepKind::kMore) continue;
        need(id, {step.target, more.target}, step_to(step.target));
      }
    }
  }

  void add_byte_needs(std::uint32_t id) {
    std::uint32_t last_target = Machine::kDead;
    for (const Automaton::Range& range : states_[id].ranges) {
      if (range.target == last_target) continue;
      last_target = range.target;
      need(id, {range.target},
           {.kind = RestMove::Kind::kByte, .byte = range.first, .target = range.target});
    }
  }

  // Bytes of the text that a move begins, when those of all that it needs are known.
  std::uint32_t bytes_by(const RestMove& move) const {
    const std::uint32_t behind = num_bytes_[move.target];
    if (move.kind == RestMove::Kind::kByte) return saturated_sum(1, behind);
    if (move.kind != RestMove::Kind::kCall) return behind;
    const std::uint64_t turns =
        move.num_turns == 0 ? 0 : std::uint64_t{move.num_turns} * num_bytes_[move.turn];
    return saturated_sum(saturated_sum(num_bytes_[move.callee], turns), behind);
  }

  // The shortest texts of all states, the shortest first (Knuth 1977, "A generalization of
  // Dijkstra's algorithm"): what has none is not productive.
  Status find_productive() {
    watchers_.resize(states_.size());
    is_productive_.assign(states_.size(), false);
    moves_.resize(states_.size());
    num_bytes_.assign(states_.size(), kNoMax);
    using Found = std::pair<std::uint32_t, std::uint32_t>;  // bytes, state
    std::priority_queue<Found, std::vector<Found>, std::greater<>> queue;
    for (std::uint32_t id = 1; id < states_.size(); ++id) {
      add_byte_needs(id);
      add_step_needs(id);
      TRY(budget_.count_work(1 + states_[id].ranges.size()));
      if (!states_[id].accepts) continue;
      moves_[id].kind = RestMove::Kind::kEnd;
      num_bytes_[id] = 0;
      queue.emplace(0, id);
    }
    while (!queue.empty()) {
      const std::uint32_t id = queue.top().second;
      queue.pop();
      if (is_productive_[id]) continue;
      is_productive_[id] = true;
      order_.push_back(id);
      TRY(budget_.count_work(1 + watchers_[id].size()));
      for (const std::uint32_t watcher : watchers_[id]) {
        Need& met = needs_[watcher];
        if (--met.num_missing != 0 || is_productive_[met.source]) continue;
        const std::uint32_t bytes = bytes_by(met.move);
        if (moves_[met.source].kind != RestMove::Kind::kNone && bytes >= num_bytes_[met.source]) {
          continue;
        }
        moves_[met.source] = met.move;
        num_bytes_[met.source] = bytes;
        queue.emplace(bytes, met.source);
      }
    }
    return Ok{};
  }

  Status count_rests(Machine& machine) {
    machine.rest_tokens_ = TRY(rest_tokens(moves_, order_, vocabulary_.trie(), budget_));
    machine.turn_tokens_.assign(states_.size(), 0);
    for (std::uint32_t id = 1; id < states_.size(); ++id) {
      machine.turn_tokens_[id] = machine.rest_tokens_[turn_of(states_[id].owner)];
    }
    return Ok{};
  }

  // What can be reached from the start of a rule without reading. Gives whether its end can.
  template <class OnCall>
  bool walk_start(RuleId rule, OnCall on_call) {
    ++stamp_;
    std::vector<std::uint32_t> reached = {offsets_[rule]};
    stamps_[reached[0]] = stamp_;
    bool reaches_end = false;
    for (std::size_t i = 0; i < reached.size(); ++i) {
      const Source& state = states_[reached[i]];
      reaches_end = reaches_end || state.accepts;
      for (const Automaton::Step& step : state.steps) {
        if (!is_productive_[step.target]) continue;
        if (step.kind == StepKind::kCall) {
          if (!is_productive_[offsets_[step.rule]]) continue;
          on_call(step.rule);
          if (!nullable_[step.rule]) continue;
        }
        const bool is_blocked = step.kind == StepKind::kDone && rules_[state.owner].turns_min > 0;
        if (is_blocked || stamps_[step.target] == stamp_) continue;
        stamps_[step.target] = stamp_;
        reached.push_back(step.target);
      }
    }
    work_ += reached.size();
    return reaches_end;
  }

  Status spend_work() { return budget_.count_work(std::exchange(work_, 0)); }

  Status find_nullable() {
    nullable_.assign(rules_.size(), false);
    stamps_.assign(states_.size(), 0);
    for (bool has_changed = true; has_changed;) {
      has_changed = false;
      for (RuleId rule = 0; rule < rules_.size(); ++rule) {
        if (nullable_[rule] || !walk_start(rule, [](RuleId) {})) continue;
        nullable_[rule] = true;
        has_changed = true;
        TRY(spend_work());
      }
      TRY(spend_work());
    }
    return Ok{};
  }

  // A rule that begins with itself would be entered for ever without reading.
  Status refuse_left_recursion() {
    std::vector<std::vector<RuleId>> begins_with(rules_.size());
    for (RuleId rule = 0; rule < rules_.size(); ++rule) {
      walk_start(rule, [&](RuleId callee) { begins_with[rule].push_back(callee); });
      TRY(spend_work());
    }
    enum class Mark : std::uint8_t { kNew, kOpen, kDone };
    std::vector<Mark> marks(rules_.size(), Mark::kNew);
    std::vector<std::pair<RuleId, std::size_t>> path;
    for (RuleId root = 0; root < rules_.size(); ++root) {
      if (marks[root] != Mark::kNew) continue;
      path.emplace_back(root, 0);
      marks[root] = Mark::kOpen;
      while (!path.empty()) {
        auto& [rule, next] = path.back();
        if (next == begins_with[rule].size()) {
          marks[rule] = Mark::kDone;
          path.pop_back();
          continue;
        }
        const RuleId callee = begins_with[rule][next++];
        if (marks[callee] == Mark::kOpen) return left_recursion(callee);
        if (marks[callee] == Mark::kDone) continue;
        marks[callee] = Mark::kOpen;
        path.emplace_back(callee, 0);
      }
    }
    return Ok{};
  }

  Error left_recursion(RuleId rule) const {
    const std::string name =
        rule < grammar_.num_rules() ? "rule '" + grammar_.name_of(rule) + "'" : "a repetition";
    return Error{ErrorCode::kUnsupported,
                 name + " begins with itself (left recursion), which cannot be enforced"};
  }

  Status emit(Machine& machine) {
    for (std::uint32_t id = 0; id < states_.size(); ++id) {
      emit_ranges(machine, id);
      emit_steps(machine, id);
      if (machine.memory_bytes() > budget_.limits().machine_bytes_max) {
        return Error{ErrorCode::kTooLarge, "grammar's tables need more than " +
                                               std::to_string(budget_.limits().machine_bytes_max) +
                                               " bytes"};
      }
      TRY(budget_.count_work(1));
    }
    return Ok{};
  }

  void emit_ranges(Machine& machine, std::uint32_t id) const {
    Machine::State state{.accepts = states_[id].accepts};
    std::vector<Machine::Range> ranges;
    for (const Automaton::Range& range : states_[id].ranges) {
      if (is_productive_[range.target]) ranges.push_back({range.first, range.last, range.target});
    }
    const bool is_in_order =
        std::adjacent_find(ranges.begin(), ranges.end(), [](const auto& a, const auto& b) {
          return a.last >= b.first;
        }) == ranges.end();
    state.is_deterministic = is_in_order;
    if (ranges.size() > kRangesMax && is_in_order) {
      state.num_ranges = Machine::kHasRow;
      state.row = static_cast<std::uint32_t>(machine.rows_.size());
      Machine::Row& row = machine.rows_.emplace_back();
      row.fill(Machine::kDead);
      for (const Machine::Range& range : ranges) {
        std::fill(row.begin() + range.first, row.begin() + range.last + 1, range.target);
      }
    } else {
      const std::size_t num_ranges = std::min<std::size_t>(ranges.size(), Machine::kHasRow - 1);
      state.num_ranges = static_cast<std::uint16_t>(num_ranges);
      state.row = static_cast<std::uint32_t>(machine.ranges_.size());
      machine.ranges_.insert(machine.ranges_.end(), ranges.begin(),
                             ranges.begin() + static_cast<std::ptrdiff_t>(num_ranges));
    }
    machine.states_.push_back(state);
  }

  // Whether a rule that returns here has nothing left to read in the rule that called it.
  bool only_accepts(std::uint32_t id) const {
    const Source& state = states_[id];
    const auto leads_on = [this](const auto& edge) { return bool{is_productive_[edge.target]}; };
    return state.accepts && std::none_of(state.ranges.begin(), state.ranges.end(), leads_on) &&
           std::none_of(state.steps.begin(), state.steps.end(), leads_on);
  }

  void emit_steps(Machine& machine, std::uint32_t id) const {
    Machine::State& state = machine.states_[id];
    state.steps_begin = static_cast<std::uint32_t>(machine.steps_.size());
    for (const Automaton::Step& step : states_[id].steps) {
      if (!is_productive_[step.target]) continue;
      Machine::Step linked{.kind = step.kind, .target = step.target};
      if (step.kind == StepKind::kCall) {
        linked.callee = offsets_[step.rule];
        if (!is_productive_[linked.callee]) continue;
        linked.is_tail = only_accepts(step.target);
        linked.turns_min = rules_[step.rule].turns_min;
        linked.turns_max = rules_[step.rule].turns_max;
      }
      machine.steps_.push_back(linked);
    }
    const std::size_t num_steps = machine.steps_.size() - state.steps_begin;
    state.num_steps = static_cast<std::uint16_t>(std::min<std::size_t>(num_steps, 0xFFFF));
    state.is_plain = state.num_ranges != 0 && state.num_steps == 0 && !state.accepts;
  }

  const std::vector<BuiltRule>& rules_;
  const Grammar& grammar_;
  const TokenVocabulary& vocabulary_;
  CompileBudget& budget_;
  std::vector<std::uint32_t> offsets_;  // of each rule's first state
  std::vector<Source> states_;
  std::vector<Need> needs_;
  std::vector<std::vector<std::uint32_t>> watchers_;  // by state: needs_
  std::vector<bool> is_productive_;
  std::vector<RestMove> moves_;           // by state: how its shortest text begins
  std::vector<std::uint32_t> num_bytes_;  // by state: of its shortest text
  std::vector<std::uint32_t> order_;      // productive states, shorter texts first
  std::vector<bool> nullable_;
  std::vector<std::uint32_t> stamps_;
  std::uint32_t stamp_ = 0;
  std::size_t work_ = 0;
};

Result<Machine> Machine::link(const std::vector<BuiltRule>& rules, RuleId root,
                              const Grammar& grammar, const TokenVocabulary& vocabulary,
                              CompileBudget& budget) {
  return MachineLinker(rules, grammar, vocabulary, budget).run(root);
}

std::uint64_t Machine::memory_bytes() const {
  return states_.size() * sizeof(State) + ranges_.size() * sizeof(Range) +
         rows_.size() * sizeof(Row) + steps_.size() * sizeof(Step) +
         (rest_tokens_.size() + turn_tokens_.size()) * sizeof(std::uint32_t);
}

}  // namespace millrace
