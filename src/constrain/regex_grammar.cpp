// The parser of patterns.
#include "constrain/regex_grammar.h"

#include <utility>
#include <vector>

#include "constrain/text_cursor.h"

namespace millrace {
namespace {

// The ends of the text are written as bytes that UTF-8 does not have; they are cut off afterwards.
constexpr std::uint8_t kBeginByte = 0xFE;
constexpr std::uint8_t kEndByte = 0xFD;

CodePointSet digits() {
  return CodePointSet({{'0', '9'}});
}

CodePointSet word_characters() {
  return CodePointSet({{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}});
}

// ECMA-262, WhiteSpace and LineTerminator.
CodePointSet white_space() {
  return CodePointSet({{0x09, 0x0D},
                       {0x20, 0x20},
                       {0xA0, 0xA0},
                       {0x1680, 0x1680},
                       {0x2000, 0x200A},
                       {0x2028, 0x2029},
                       {0x202F, 0x202F},
                       {0x205F, 0x205F},
                       {0x3000, 0x3000},
                       {0xFEFF, 0xFEFF}});
}

CodePointSet line_ends() {
  return CodePointSet({{0x0A, 0x0A}, {0x0D, 0x0D}, {0x2028, 0x2029}});
}

class RegexParser {
 public:
  RegexParser(Grammar& grammar, std::string_view pattern, const std::string& name)
      : grammar_(grammar), cursor_(pattern, name) {}

  Result<ExprId> parse() {
    const ExprId expr = TRY(parse_alternatives(0));
    if (!cursor_.at_end()) return cursor_.error("')' without '('");
    return expr;
  }

 private:
  Result<ExprId> parse_alternatives(std::size_t depth) {
    if (depth > grammar_.budget().limits().depth_max) {
      return cursor_.error(ErrorCode::kTooLarge, "groups are nested too deeply");
    }
    std::vector<ExprId> choices;
    do {
      choices.push_back(TRY(parse_sequence(depth)));
    } while (cursor_.try_read('|'));
    return grammar_.alternatives(std::move(choices));
  }

  Result<ExprId> parse_sequence(std::size_t depth) {
    std::vector<ExprId> parts;
    while (!cursor_.at_end() && cursor_.peek() != '|' && cursor_.peek() != ')') {
      const ExprId atom = TRY(parse_atom(depth));
      parts.push_back(TRY(parse_quantifier(atom)));
      TRY(grammar_.status());
    }
    return grammar_.sequence(std::move(parts));
  }

  Result<ExprId> parse_atom(std::size_t depth) {
    if (cursor_.try_read('(')) return parse_group(depth);
    if (cursor_.try_read('[')) return parse_class();
    if (cursor_.try_read('.')) return grammar_.char_class(line_ends().complement());
    if (cursor_.try_read('^')) return grammar_.bytes(std::string(1, static_cast<char>(kBeginByte)));
    if (cursor_.try_read('$')) return grammar_.bytes(std::string(1, static_cast<char>(kEndByte)));
    const char next = cursor_.peek();
    if (next == '*' || next == '+' || next == '?') return cursor_.error("nothing to repeat");
    if (cursor_.try_read('\\')) {
      if (cursor_.peek() == 'b' || cursor_.peek() == 'B') return unsupported("\\b");
      return grammar_.char_class(TRY(parse_escape()));
    }
    const std::uint32_t code_point = cursor_.read_code_point();
    return grammar_.char_class(CodePointSet({{code_point, code_point}}));
  }

  Result<ExprId> parse_group(std::size_t depth) {
    if (cursor_.try_read('?')) {
      if (cursor_.starts_with("=") || cursor_.starts_with("!") || cursor_.starts_with("<=") ||
          cursor_.starts_with("<!")) {
        return unsupported("look-around");
      }
      if (cursor_.try_read('<')) {
        while (!cursor_.at_end() && cursor_.peek() != '>') cursor_.skip(1);
        if (!cursor_.try_read('>')) return cursor_.error("name of a group does not end");
      } else if (!cursor_.try_read(':')) {
        return unsupported("a group with '?'");
      }
    }
    const ExprId inside = TRY(parse_alternatives(depth + 1));
    if (!cursor_.try_read(')')) return cursor_.error("expected ')'");
    return inside;
  }

  Result<ExprId> parse_quantifier(ExprId atom) {
    std::uint32_t min = 0;
    std::uint32_t max = kNoMax;
    if (cursor_.try_read('*')) {
    } else if (cursor_.try_read('+')) {
      min = 1;
    } else if (cursor_.try_read('?')) {
      max = 1;
    } else if (cursor_.peek() == '{' && TRY(parse_bounds(min, max))) {
    } else {
      return atom;
    }
    cursor_.try_read('?');  // The shortest match or the longest: the same texts.
    if (cursor_.peek() == '*' || cursor_.peek() == '+') return cursor_.error("nothing to repeat");
    return grammar_.repeat(atom, min, max);
  }

  // {3}, {3,} or {3,5}; anything else in braces stands for itself.
  Result<bool> parse_bounds(std::uint32_t& min, std::uint32_t& max) {
    const std::size_t begin = cursor_.pos();
    cursor_.skip(1);
    const bool has_digit = cursor_.peek() >= '0' && cursor_.peek() <= '9';
    const std::optional<std::uint32_t> least = cursor_.try_read_number();
    if (has_digit && !least) return cursor_.error(ErrorCode::kTooLarge, "count is too large");
    bool is_bounds = least.has_value();
    if (is_bounds) {
      min = max = *least;
      if (cursor_.try_read(',')) {
        max = kNoMax;
        if (cursor_.peek() != '}') {
          const std::optional<std::uint32_t> most = cursor_.try_read_number();
          is_bounds = most.has_value();
          max = most.value_or(kNoMax);
        }
      }
      is_bounds = is_bounds && cursor_.try_read('}');
    }
    if (!is_bounds) {
      cursor_.set_pos(begin);
      return false;
    }
    if (min > max) return cursor_.error("least count exceeds the most");
    return true;
  }

  Result<ExprId> parse_class() {
    const bool is_negated = cursor_.try_read('^');
    std::vector<CodePointRange> ranges;
    while (!cursor_.try_read(']')) {
      if (cursor_.at_end()) return cursor_.error("expected ']'");
      const CodePointSet first = TRY(parse_class_member());
      const bool is_range = cursor_.peek() == '-' && cursor_.peek(1) != ']' && is_single(first);
      if (!is_range || cursor_.peek(1) == '\0') {
        ranges.insert(ranges.end(), first.ranges().begin(), first.ranges().end());
        continue;
      }
      cursor_.skip(1);
      const CodePointSet last = TRY(parse_class_member());
      if (!is_single(last)) return cursor_.error("a range ends in a class");
      if (last.ranges()[0].first < first.ranges()[0].first) {
        return cursor_.error("range of characters is out of order");
      }
      ranges.push_back({first.ranges()[0].first, last.ranges()[0].first});
    }
    const CodePointSet set(std::move(ranges));
    return grammar_.char_class(is_negated ? set.complement() : set);
  }

  static bool is_single(const CodePointSet& set) {
    return set.ranges().size() == 1 && set.ranges()[0].first == set.ranges()[0].last;
  }

  Result<CodePointSet> parse_class_member() {
    if (cursor_.try_read('\\')) {
      if (cursor_.try_read('b')) return CodePointSet({{'\b', '\b'}});
      if (cursor_.try_read('-')) return CodePointSet({{'-', '-'}});
      return parse_escape();
    }
    const std::uint32_t code_point = cursor_.read_code_point();
    return CodePointSet({{code_point, code_point}});
  }

  // Behind the backslash.
  Result<CodePointSet> parse_escape() {
    if (cursor_.at_end()) return cursor_.error("pattern ends in '\\'");
    const auto single = [](std::uint32_t c) { return CodePointSet({{c, c}}); };
    const std::uint32_t c = cursor_.read_code_point();
    switch (c) {
      case 'd':
        return digits();
      case 'D':
        return digits().complement();
      case 'w':
        return word_characters();
      case 'W':
        return word_characters().complement();
      case 's':
        return white_space();
      case 'S':
        return white_space().complement();
      case 'n':
        return single('\n');
      case 'r':
        return single('\r');
      case 't':
        return single('\t');
      case 'v':
        return single('\v');
      case 'f':
        return single('\f');
      default:
        return parse_numeric_escape(c);
    }
  }

  Result<CodePointSet> parse_numeric_escape(std::uint32_t c) {
    constexpr std::uint32_t kControlMask = 0x1F;
    std::optional<std::uint32_t> code_point;
    if (c == 'x') {
      code_point = cursor_.try_read_hex(2);
    } else if (c == 'u') {
      code_point = TRY(parse_unicode_escape());
    } else if (c == 'c') {
      if (cursor_.at_end()) return cursor_.error("\\c needs a letter");
      code_point = cursor_.read_code_point() & kControlMask;
    } else if (c == '0') {
      code_point = 0;
    } else if (c >= '1' && c <= '9') {
      return unsupported("a back reference");
    } else if (c == 'p' || c == 'P' || c == 'k') {
      return unsupported(std::string("\\") + static_cast<char>(c));
    } else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
      return unsupported(std::string("the escape \\") + static_cast<char>(c));
    } else {
      code_point = c;
    }
    if (!code_point) return cursor_.error("expected hexadecimal digits");
    const CodePointSet set({{*code_point, *code_point}});
    if (set.is_empty()) return cursor_.error("character is no Unicode scalar value");
    return set;
  }

  // \uXXXX, two of them for a surrogate pair, or \u{X…}.
  Result<std::optional<std::uint32_t>> parse_unicode_escape() {
    if (cursor_.try_read('{')) {
      for (std::size_t num_digits = 6; num_digits > 0; --num_digits) {
        const std::size_t begin = cursor_.pos();
        const std::optional<std::uint32_t> value = cursor_.try_read_hex(num_digits);
        if (value && cursor_.try_read('}')) return value;
        cursor_.set_pos(begin);
      }
      return std::optional<std::uint32_t>();
    }
    const std::optional<std::uint32_t> high = cursor_.try_read_hex(4);
    if (!high || *high < 0xD800 || *high > 0xDBFF) return high;
    const std::size_t begin = cursor_.pos();
    if (cursor_.try_read("\\u")) {
      const std::optional<std::uint32_t> low = cursor_.try_read_hex(4);
      if (low && *low >= 0xDC00 && *low <= 0xDFFF) {
        return std::optional(0x10000 + ((*high - 0xD800) << 10) + (*low - 0xDC00));
      }
    }
    cursor_.set_pos(begin);
    return high;
  }

  Error unsupported(const std::string& what) const {
    return cursor_.error(ErrorCode::kUnsupported, what + " is not supported");
  }

  Grammar& grammar_;
  TextCursor cursor_;
};

// From the language of begin + text + end to that of the texts.
Automaton without_ends(Automaton automaton) {
  const auto target_of = [&](std::uint32_t state, std::uint8_t byte) -> const Automaton::State* {
    for (const Automaton::Range& range : automaton.states[state].ranges) {
      if (range.first <= byte && byte <= range.last) return &automaton.states[range.target];
    }
    return nullptr;
  };
  std::vector<bool> ends(automaton.states.size(), false);
  for (std::uint32_t state = 0; state < ends.size(); ++state) {
    const Automaton::State* const target = target_of(state, kEndByte);
    ends[state] = target != nullptr && target->accepts;
  }
  const Automaton::State* const start = target_of(0, kBeginByte);
  if (start == nullptr) return Automaton{.states = {Automaton::State{}}};
  const std::size_t start_index = static_cast<std::size_t>(start - automaton.states.data());
  // Nothing leads to state 0 from where a text goes on, so its place is free for the new start.
  automaton.states[0] = automaton.states[start_index];
  ends[0] = ends[start_index];
  for (std::size_t state = 0; state < automaton.states.size(); ++state) {
    automaton.states[state].accepts = ends[state];
    std::erase_if(automaton.states[state].ranges, [](const Automaton::Range& range) {
      return range.first == kBeginByte || range.first == kEndByte;
    });
  }
  return without_dead_ends(automaton);
}

}  // namespace

Result<Automaton> regex_automaton(Grammar& grammar, std::string_view pattern, RegexMatch match,
                                  const std::string& name) {
  const ExprId inside = TRY(RegexParser(grammar, pattern, name).parse());
  const ExprId begin = grammar.bytes(std::string(1, static_cast<char>(kBeginByte)));
  const ExprId end = grammar.bytes(std::string(1, static_cast<char>(kEndByte)));
  const ExprId any = match == RegexMatch::kSearch ? grammar.repeat(grammar.any_char(), 0, kNoMax)
                                                  : grammar.empty();
  const ExprId whole = grammar.sequence({grammar.optional(grammar.sequence({begin, any})), inside,
                                         grammar.optional(grammar.sequence({any, end}))});
  Result<Automaton> automaton =
      grammar.to_automaton(whole, grammar.budget().limits().pattern_states_max);
  if (!automaton.ok()) return with_context(automaton.error(), name);
  return without_ends(std::move(automaton).value());
}

}  // namespace millrace
