// Comparing decimal numbers digit by digit.
#include "constrain/number_grammar.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

namespace millrace {
namespace {

// A bound without its sign: digits before the point, no leading zeros but for "0", and behind it,
// no trailing ones.
struct Decimal {
  bool is_negative = false;
  std::string whole;
  std::string fraction;
};

enum class Edge { kIncluded, kExcluded };

// From the shortest form that a parser reads as the same number.
Result<Decimal> decimal_of(const SchemaNode& value) {
  std::string text = value.dump();
  Decimal decimal;
  if (text.starts_with('-')) {
    decimal.is_negative = true;
    text.erase(0, 1);
  }
  const std::size_t e = std::min(text.find_first_of("eE"), text.size());
  const long exponent = e < text.size() ? std::strtol(text.c_str() + e + 1, nullptr, 10) : 0;
  text.resize(e);
  const std::size_t point = std::min(text.find('.'), text.size());
  std::string digits = text.substr(0, point);
  if (point < text.size()) digits += text.substr(point + 1);
  long num_whole = static_cast<long>(point) + exponent;
  if (num_whole <= 0) {
    digits.insert(0, static_cast<std::size_t>(1 - std::max(num_whole, -40L)), '0');
    num_whole = num_whole < -40 ? 0 : 1;
  }
  if (num_whole > static_cast<long>(digits.size())) {
    digits.append(static_cast<std::size_t>(std::min(num_whole, 400L)) - digits.size(), '0');
  }
  decimal.whole = digits.substr(0, static_cast<std::size_t>(num_whole));
  decimal.fraction = digits.substr(decimal.whole.size());
  decimal.whole.erase(0, std::min(decimal.whole.find_first_not_of('0'), decimal.whole.size()));
  if (decimal.whole.empty()) decimal.whole = "0";
  decimal.fraction.erase(decimal.fraction.find_last_not_of('0') + 1);
  if (decimal.fraction.size() > JsonGrammar::kFractionDigitsMax) {
    return Error{ErrorCode::kUnsupported, "a bound of more than 17 digits behind the point"};
  }
  if (decimal.whole == "0" && decimal.fraction.empty()) decimal.is_negative = false;
  return decimal;
}

class NumberBuilder {
 public:
  explicit NumberBuilder(Grammar& grammar) : grammar_(grammar) {}

  // Numbers without exponent, of at most the digits that all have.
  ExprId any() {
    return grammar_.sequence(
        {grammar_.optional(grammar_.bytes("-")), any_whole(), grammar_.optional(any_fraction())});
  }
  ExprId any_integer() {
    return grammar_.sequence({grammar_.optional(grammar_.bytes("-")), any_whole()});
  }

  ExprId at_least(const Decimal& bound, Edge edge) {
    const ExprId minus = grammar_.bytes("-");
    if (bound.is_negative) {
      return grammar_.alternatives(
          {sized(any_whole()), grammar_.sequence({minus, size_at_most(bound, edge)})});
    }
    return size_at_least(bound, edge);
  }

  ExprId at_most(const Decimal& bound, Edge edge) {
    const ExprId minus = grammar_.bytes("-");
    if (bound.is_negative) return grammar_.sequence({minus, size_at_least(bound, edge)});
    const bool is_zero = bound.whole == "0" && bound.fraction.empty();
    const ExprId below = is_zero && edge == Edge::kExcluded
                             ? grammar_.sequence({minus, size_at_least(bound, edge)})
                             : grammar_.sequence({minus, sized(any_whole())});
    return grammar_.alternatives({below, size_at_most(bound, edge)});
  }

 private:
  ExprId digit(char first, char last) {
    return grammar_.char_class(
        CodePointSet({{static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(last)}}));
  }
  ExprId any_digits(std::size_t min, std::size_t max) {
    return grammar_.repeat(digit('0', '9'), static_cast<std::uint32_t>(min),
                           static_cast<std::uint32_t>(max));
  }
  ExprId any_whole() {
    return grammar_.alternatives(
        {grammar_.bytes("0"), grammar_.sequence({digit('1', '9'), any_digits(0, kWholeMax - 1)})});
  }
  ExprId any_fraction() {
    return grammar_.sequence({grammar_.bytes("."), any_digits(1, kFractionMax)});
  }
  ExprId sized(ExprId whole) {
    return grammar_.sequence({whole, grammar_.optional(any_fraction())});
  }

  // Whole numbers above or below one, by their number of digits and then digit by digit.
  ExprId whole_above(const std::string& bound) {
    std::vector<ExprId> choices;
    if (bound.size() < kWholeMax) {
      choices.push_back(
          grammar_.sequence({digit('1', '9'), any_digits(bound.size(), kWholeMax - 1)}));
    }
    for (std::size_t i = 0; i < bound.size(); ++i) {
      if (bound[i] == '9') continue;
      const auto next = static_cast<char>(bound[i] + 1);
      choices.push_back(
          grammar_.sequence({grammar_.bytes(bound.substr(0, i)), digit(next, '9'),
                             any_digits(bound.size() - i - 1, bound.size() - i - 1)}));
    }
    return grammar_.alternatives(std::move(choices));
  }
  ExprId whole_below(const std::string& bound) {
    std::vector<ExprId> choices;
    if (bound != "0") choices.push_back(grammar_.bytes("0"));
    if (bound.size() > 1) {
      choices.push_back(grammar_.sequence({digit('1', '9'), any_digits(0, bound.size() - 2)}));
    }
    for (std::size_t i = 0; i < bound.size(); ++i) {
      const char first = i == 0 ? '1' : '0';
      if (bound[i] <= first) continue;
      const auto last = static_cast<char>(bound[i] - 1);
      choices.push_back(
          grammar_.sequence({grammar_.bytes(bound.substr(0, i)), digit(first, last),
                             any_digits(bound.size() - i - 1, bound.size() - i - 1)}));
    }
    return grammar_.alternatives(std::move(choices));
  }

  // What may stand behind the bound's whole part: nothing, or a point and digits.
  ExprId fraction_at_least(const std::string& bound, Edge edge) {
    const ExprId point = grammar_.bytes(".");
    std::vector<ExprId> choices;
    for (std::size_t i = 0; i < bound.size(); ++i) {
      if (bound[i] == '9') continue;
      const auto next = static_cast<char>(bound[i] + 1);
      choices.push_back(grammar_.sequence({point, grammar_.bytes(bound.substr(0, i)),
                                           digit(next, '9'), any_digits(0, kFractionMax - i - 1)}));
    }
    const std::size_t num_left = kFractionMax - bound.size();
    const ExprId equal =
        bound.empty() ? grammar_.empty() : grammar_.sequence({point, grammar_.bytes(bound)});
    if (edge == Edge::kIncluded) {
      choices.push_back(equal);
      if (bound.empty()) {
        choices.push_back(any_fraction());
      } else {
        choices.push_back(grammar_.sequence({equal, any_digits(0, num_left)}));
      }
    } else if (num_left > 0) {
      const ExprId start = bound.empty() ? point : equal;
      choices.push_back(grammar_.sequence(
          {start, grammar_.repeat(grammar_.bytes("0"), 0, static_cast<std::uint32_t>(num_left - 1)),
           digit('1', '9'), any_digits(0, num_left - 1)}));
    }
    return grammar_.alternatives(std::move(choices));
  }
  ExprId fraction_at_most(const std::string& bound, Edge edge) {
    const ExprId point = grammar_.bytes(".");
    const ExprId zeros = grammar_.repeat(grammar_.bytes("0"), 1, kFractionMax);
    std::vector<ExprId> choices;
    for (std::size_t i = 0; i < bound.size(); ++i) {
      // Cut short, it is less: no digit of the bound behind the last is 0.
      choices.push_back(i == 0 ? grammar_.empty()
                               : grammar_.sequence({point, grammar_.bytes(bound.substr(0, i))}));
      if (bound[i] == '0') continue;
      const auto last = static_cast<char>(bound[i] - 1);
      choices.push_back(grammar_.sequence({point, grammar_.bytes(bound.substr(0, i)),
                                           digit('0', last), any_digits(0, kFractionMax - i - 1)}));
    }
    if (edge == Edge::kIncluded) {
      if (bound.empty()) {
        choices.push_back(grammar_.optional(grammar_.sequence({point, zeros})));
      } else {
        choices.push_back(grammar_.sequence(
            {point, grammar_.bytes(bound), grammar_.repeat(grammar_.bytes("0"), 0, kFractionMax)}));
      }
    }
    return grammar_.alternatives(std::move(choices));
  }

  ExprId size_at_least(const Decimal& bound, Edge edge) {
    if (bound.whole.size() > kWholeMax) return grammar_.nothing();
    return grammar_.alternatives({sized(whole_above(bound.whole)),
                                  grammar_.sequence({grammar_.bytes(bound.whole),
                                                     fraction_at_least(bound.fraction, edge)})});
  }
  ExprId size_at_most(const Decimal& bound, Edge edge) {
    if (bound.whole.size() > kWholeMax) return sized(any_whole());
    return grammar_.alternatives(
        {sized(whole_below(bound.whole)),
         grammar_.sequence({grammar_.bytes(bound.whole), fraction_at_most(bound.fraction, edge)})});
  }

  static constexpr std::size_t kWholeMax = JsonGrammar::kWholeDigitsMax;
  static constexpr std::uint32_t kFractionMax = JsonGrammar::kFractionDigitsMax;
  Grammar& grammar_;
};

// Decimals whose digits, up to as many behind the point as the divisor has, are a multiple of it:
// the state is what is left of the digits read, and where the point was.
Result<Automaton> multiples_of(const Decimal& divisor, std::size_t states_max) {
  const std::string digits = divisor.whole + divisor.fraction;
  constexpr std::size_t kDigitsMax = 9;
  const std::uint64_t modulus =
      digits.size() > kDigitsMax + 9 ? states_max + 1 : std::strtoull(digits.c_str(), nullptr, 10);
  const std::uint64_t num_places = divisor.fraction.size();
  if (modulus == 0 || modulus > states_max || modulus * (num_places + 2) > states_max) {
    return Error{ErrorCode::kUnsupported,
                 "multipleOf: needs more than " + std::to_string(states_max) + " states"};
  }
  Automaton automaton;
  const auto m = static_cast<std::uint32_t>(modulus);
  // 0 the start, 1 behind a minus; then [place][rest]: place 0 before the point, others behind.
  constexpr std::uint32_t kFirst = 2;
  const auto state_of = [&](std::uint64_t place, std::uint64_t rest) {
    return static_cast<std::uint32_t>(kFirst + place * m + rest % m);
  };
  const auto num_states = static_cast<std::uint32_t>(kFirst + (num_places + 2) * modulus);
  automaton.states.resize(num_states);
  const std::uint32_t point_place = static_cast<std::uint32_t>(num_places + 1);
  const auto digit_edges = [&](std::uint32_t from, std::uint64_t rest, std::uint64_t place) {
    for (std::uint8_t d = 0; d < 10; ++d) {
      const auto byte = static_cast<std::uint8_t>('0' + d);
      automaton.states[from].ranges.push_back({byte, byte, state_of(place, rest * 10 + d)});
    }
  };
  automaton.states[0].ranges.push_back({'-', '-', 1});
  digit_edges(0, 0, 0);
  digit_edges(1, 0, 0);
  for (std::uint64_t rest = 0; rest < modulus; ++rest) {
    std::uint64_t scale = 1;
    for (std::uint64_t place = num_places + 1; place-- > 0;) {
      const std::uint32_t state = state_of(place, rest);
      automaton.states[state].accepts = rest * scale % modulus == 0;
      scale = scale * 10 % modulus;
      if (place == 0) {
        if (num_places > 0) {
          automaton.states[state].ranges.push_back({'.', '.', state_of(point_place, rest)});
        }
        digit_edges(state, rest, 0);
      } else if (place < num_places) {
        digit_edges(state, rest, place + 1);
      } else {
        automaton.states[state].ranges.push_back({'0', '0', state});
      }
    }
    if (num_places > 0) digit_edges(state_of(point_place, rest), rest, 1);
  }
  return automaton;
}

}  // namespace

Result<Automaton> number_automaton(JsonGrammar& json, const SchemaFacts& facts) {
  Grammar& grammar = json.grammar();
  const std::size_t states_max = grammar.budget().limits().pattern_states_max;
  NumberBuilder builder(grammar);
  const bool has_fractions = (facts.types & kTypeFraction) != 0;
  Automaton result =
      TRY(grammar.to_automaton(has_fractions ? builder.any() : builder.any_integer(), states_max));
  const auto narrow = [&](ExprId expr) -> Status {
    const Automaton bound = TRY(grammar.to_automaton(expr, states_max));
    result = TRY(intersect(result, bound, states_max, grammar.budget()));
    return Ok{};
  };
  for (const NumberBound& bound : facts.at_least) {
    const Decimal decimal = TRY(decimal_of(bound.value));
    TRY(narrow(builder.at_least(decimal, bound.is_exclusive ? Edge::kExcluded : Edge::kIncluded)));
  }
  for (const NumberBound& bound : facts.at_most) {
    const Decimal decimal = TRY(decimal_of(bound.value));
    TRY(narrow(builder.at_most(decimal, bound.is_exclusive ? Edge::kExcluded : Edge::kIncluded)));
  }
  for (const SchemaNode& divisor : facts.multiples_of) {
    const Decimal decimal = TRY(decimal_of(divisor));
    const Automaton multiples = TRY(multiples_of(decimal, states_max));
    result = TRY(intersect(result, multiples, states_max, grammar.budget()));
  }
  return result;
}

Result<ExprId> number_grammar(JsonGrammar& json, const SchemaFacts& facts) {
  const bool is_bounded =
      !facts.at_least.empty() || !facts.at_most.empty() || !facts.multiples_of.empty();
  if (!is_bounded) return (facts.types & kTypeFraction) != 0 ? json.number() : json.integer();
  return json.grammar().automaton(TRY(number_automaton(json, facts)));
}

}  // namespace millrace
