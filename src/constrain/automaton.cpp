// The subset construction, products and complements.
#include "constrain/automaton.h"

#include <algorithm>
#include <map>
#include <unordered_map>
#include <utility>

#include "base/check.h"
#include "base/random.h"

namespace millrace {
namespace {

using StateSet = std::vector<std::uint32_t>;  // sorted

struct StateSetHash {
  std::size_t operator()(const StateSet& set) const {
    std::uint64_t hash = set.size();
    for (const std::uint32_t state : set) hash = mix64(hash ^ (state + 0x9E3779B97F4A7C15u));
    return hash;
  }
};

class SubsetConstruction {
 public:
  SubsetConstruction(const Automaton& source, std::size_t states_max, CompileBudget& budget)
      : source_(source), states_max_(states_max), budget_(budget), seen_(source.states.size(), 0) {}

  Result<Automaton> run() {
    StateSet start = {0};
    TRY(id_of(std::move(start)));
    for (std::size_t i = 0; i < sets_.size(); ++i) {
      const StateSet set = *sets_[i];
      TRY(add_ranges(i, set));
      TRY(add_steps(i, set));
      if (sets_.size() > states_max_) {
        return Error{ErrorCode::kTooLarge,
                     "automaton needs more than " + std::to_string(states_max_) + " states"};
      }
    }
    return std::move(result_);
  }

 private:
  // `states` with what is reached without reading, as a state of the result.
  Result<std::uint32_t> id_of(StateSet states) {
    ++stamp_;
    for (const std::uint32_t state : states) seen_[state] = stamp_;
    for (std::size_t i = 0; i < states.size(); ++i) {
      for (const Automaton::Step& step : source_.states[states[i]].steps) {
        if (step.kind != StepKind::kGoto || seen_[step.target] == stamp_) continue;
        seen_[step.target] = stamp_;
        states.push_back(step.target);
      }
    }
    TRY(budget_.count_work(states.size()));
    std::sort(states.begin(), states.end());
    states.erase(std::unique(states.begin(), states.end()), states.end());
    const auto [at, is_new] =
        ids_.try_emplace(std::move(states), static_cast<std::uint32_t>(sets_.size()));
    if (is_new) {
      sets_.push_back(&at->first);
      result_.add_state();
      for (const std::uint32_t state : at->first) {
        if (source_.states[state].accepts) result_.states.back().accepts = true;
      }
    }
    return at->second;
  }

  // Between two neighbouring ends of ranges every byte has the same targets.
  Status add_ranges(std::size_t id, const StateSet& set) {
    std::vector<Automaton::Range> ranges;
    std::vector<std::uint32_t> cuts;
    for (const std::uint32_t state : set) {
      for (const Automaton::Range& range : source_.states[state].ranges) {
        ranges.push_back(range);
        cuts.push_back(range.first);
        cuts.push_back(range.last + 1u);
      }
    }
    std::sort(cuts.begin(), cuts.end());
    cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
    TRY(budget_.count_work(ranges.size() * (cuts.size() / 8 + 1)));
    for (std::size_t i = 0; i + 1 < cuts.size(); ++i) {
      StateSet targets;
      for (const Automaton::Range& range : ranges) {
        if (range.first <= cuts[i] && cuts[i] <= range.last) targets.push_back(range.target);
      }
      if (targets.empty()) continue;
      const std::uint32_t target = TRY(id_of(std::move(targets)));
      std::vector<Automaton::Range>& out = result_.states[id].ranges;
      const auto first = static_cast<std::uint8_t>(cuts[i]);
      const auto last = static_cast<std::uint8_t>(cuts[i + 1] - 1);
      if (!out.empty() && out.back().target == target && out.back().last + 1 == first) {
        out.back().last = last;
      } else {
        out.push_back({first, last, target});
      }
    }
    return Ok{};
  }

  Status add_steps(std::size_t id, const StateSet& set) {
    std::map<std::pair<StepKind, RuleId>, StateSet> targets;
    for (const std::uint32_t state : set) {
      for (const Automaton::Step& step : source_.states[state].steps) {
        if (step.kind != StepKind::kGoto) targets[{step.kind, step.rule}].push_back(step.target);
      }
    }
    for (auto& [key, states] : targets) {
      const std::uint32_t target = TRY(id_of(std::move(states)));
      result_.states[id].steps.push_back({key.first, key.second, target});
    }
    return Ok{};
  }

  const Automaton& source_;
  std::size_t states_max_;
  CompileBudget& budget_;
  std::vector<std::uint32_t> seen_;
  std::uint32_t stamp_ = 0;
  std::unordered_map<StateSet, std::uint32_t, StateSetHash> ids_;
  std::vector<const StateSet*> sets_;
  Automaton result_;
};

std::vector<bool> productive_states(const Automaton& automaton) {
  std::vector<std::vector<std::uint32_t>> sources(automaton.states.size());
  std::vector<std::uint32_t> queue;
  std::vector<bool> is_productive(automaton.states.size(), false);
  for (std::uint32_t state = 0; state < automaton.states.size(); ++state) {
    for (const Automaton::Range& range : automaton.states[state].ranges) {
      sources[range.target].push_back(state);
    }
    if (!automaton.states[state].accepts) continue;
    is_productive[state] = true;
    queue.push_back(state);
  }
  while (!queue.empty()) {
    const std::uint32_t state = queue.back();
    queue.pop_back();
    for (const std::uint32_t source : sources[state]) {
      if (is_productive[source]) continue;
      is_productive[source] = true;
      queue.push_back(source);
    }
  }
  return is_productive;
}

}  // namespace

Result<Automaton> determinize(const Automaton& automaton, std::size_t states_max,
                              CompileBudget& budget) {
  return SubsetConstruction(automaton, states_max, budget).run();
}

Result<Automaton> intersect(const Automaton& a, const Automaton& b, std::size_t states_max,
                            CompileBudget& budget) {
  Automaton product;
  std::unordered_map<std::uint64_t, std::uint32_t> ids;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> pairs;
  const auto id_of = [&](std::uint32_t left, std::uint32_t right) {
    const auto [at, is_new] = ids.try_emplace((std::uint64_t{left} << 32) | right,
                                              static_cast<std::uint32_t>(pairs.size()));
    if (is_new) {
      pairs.emplace_back(left, right);
      product.add_state();
      product.states.back().accepts = a.states[left].accepts && b.states[right].accepts;
    }
    return at->second;
  };
  id_of(0, 0);
  for (std::uint32_t i = 0; i < pairs.size(); ++i) {
    const auto [left, right] = pairs[i];
    const std::vector<Automaton::Range>& xs = a.states[left].ranges;
    const std::vector<Automaton::Range>& ys = b.states[right].ranges;
    TRY(budget.count_work(xs.size() + ys.size() + 1));
    for (std::size_t x = 0, y = 0; x < xs.size() && y < ys.size();) {
      const std::uint8_t first = std::max(xs[x].first, ys[y].first);
      const std::uint8_t last = std::min(xs[x].last, ys[y].last);
      if (first <= last) {
        const std::uint32_t target = id_of(xs[x].target, ys[y].target);
        product.states[i].ranges.push_back({first, last, target});
      }
      (xs[x].last < ys[y].last ? x : y) += 1;
    }
    if (pairs.size() > states_max) {
      return Error{ErrorCode::kTooLarge,
                   "automaton needs more than " + std::to_string(states_max) + " states"};
    }
  }
  return without_dead_ends(product);
}

Automaton complement(const Automaton& automaton) {
  Automaton result = automaton;
  const std::uint32_t sink = result.add_state();
  for (Automaton::State& state : result.states) {
    state.accepts = !state.accepts;
    std::vector<Automaton::Range> full;
    std::uint32_t next = 0;
    constexpr std::uint32_t kEnd = 256;
    for (const Automaton::Range& range : state.ranges) {
      if (range.first > next) {
        full.push_back(
            {static_cast<std::uint8_t>(next), static_cast<std::uint8_t>(range.first - 1), sink});
      }
      full.push_back(range);
      next = range.last + 1u;
    }
    if (next < kEnd) full.push_back({static_cast<std::uint8_t>(next), 0xFF, sink});
    state.ranges = std::move(full);
  }
  return result;
}

Automaton without_dead_ends(const Automaton& automaton) {
  const std::vector<bool> is_productive = productive_states(automaton);
  std::vector<std::uint32_t> names(automaton.states.size(), 0);
  Automaton result;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i == 0 || is_productive[i]) names[i] = result.add_state();
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i != 0 && !is_productive[i]) continue;
    Automaton::State& state = result.states[names[i]];
    state.accepts = automaton.states[i].accepts;
    for (Automaton::Range range : automaton.states[i].ranges) {
      if (!is_productive[range.target]) continue;
      range.target = names[range.target];
      state.ranges.push_back(range);
    }
  }
  return result;
}

bool accepts(const Automaton& automaton, std::string_view bytes) {
  std::uint32_t state = 0;
  for (const char c : bytes) {
    const auto byte = static_cast<std::uint8_t>(c);
    const std::vector<Automaton::Range>& ranges = automaton.states[state].ranges;
    const auto found = std::find_if(ranges.begin(), ranges.end(), [byte](const auto& range) {
      return range.first <= byte && byte <= range.last;
    });
    if (found == ranges.end()) return false;
    state = found->target;
  }
  return automaton.states[state].accepts;
}

bool is_empty(const Automaton& automaton) {
  return automaton.states.empty() || !productive_states(automaton)[0];
}

}  // namespace millrace
