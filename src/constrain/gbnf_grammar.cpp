// The parser of GBNF; the dialect is that of llama.cpp's grammars/README.md.
#include "constrain/gbnf_grammar.h"

#include <map>
#include <utility>
#include <vector>

#include "constrain/text_cursor.h"

namespace millrace {
namespace {

constexpr const char* kRootName = "root";

bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

class GbnfParser {
 public:
  GbnfParser(Grammar& grammar, const TokenVocabulary& vocabulary, std::string_view text)
      : grammar_(grammar), vocabulary_(vocabulary), cursor_(text, "grammar") {}

  Result<ExprId> parse() {
    skip_space(Lines::kCross);
    while (!cursor_.at_end()) {
      TRY(parse_rule());
      TRY(grammar_.status());
    }
    for (const auto& [name, rule] : rules_) {
      if (rule.is_defined) continue;
      return Error{ErrorCode::kInvalidArgument, "grammar: rule '" + name + "' is not defined"};
    }
    const auto root = rules_.find(kRootName);
    if (root == rules_.end()) {
      return Error{ErrorCode::kInvalidArgument, "grammar: there is no rule 'root'"};
    }
    return grammar_.rule(root->second.id);
  }

 private:
  // A rule ends with its line, except inside a group and where something has to follow.
  enum class Lines { kStay, kCross };

  struct Rule {
    RuleId id = 0;
    bool is_defined = false;
  };

  void skip_space(Lines lines) {
    for (;;) {
      const char c = cursor_.peek();
      if (c == '#') {
        while (!cursor_.at_end() && cursor_.peek() != '\n' && cursor_.peek() != '\r') {
          cursor_.skip(1);
        }
      } else if (c == ' ' || c == '\t' || (lines == Lines::kCross && (c == '\n' || c == '\r'))) {
        cursor_.skip(1);
      } else {
        return;
      }
    }
  }

  Result<std::string> parse_name() {
    const std::size_t begin = cursor_.pos();
    while (is_name_char(cursor_.peek())) cursor_.skip(1);
    if (cursor_.pos() == begin) return cursor_.error("expected the name of a rule");
    return std::string(cursor_.text_from(begin));
  }

  Rule& rule_of(const std::string& name) {
    const auto [at, is_new] = rules_.try_emplace(name);
    if (is_new) at->second.id = grammar_.add_rule(name);
    return at->second;
  }

  Status parse_rule() {
    const std::string name = TRY(parse_name());
    skip_space(Lines::kStay);
    if (!cursor_.try_read("::=")) return cursor_.error("expected '::='");
    skip_space(Lines::kCross);
    const ExprId body = TRY(parse_alternatives(0, Lines::kStay));
    Rule& rule = rule_of(name);
    if (rule.is_defined) return cursor_.error("rule '" + name + "' is defined twice");
    rule.is_defined = true;
    grammar_.define(rule.id, body);
    if (!cursor_.at_end() && cursor_.peek() != '\n' && cursor_.peek() != '\r') {
      return cursor_.error("expected the end of the line");
    }
    skip_space(Lines::kCross);
    return Ok{};
  }

  Result<ExprId> parse_alternatives(std::size_t depth, Lines lines) {
    if (depth > grammar_.budget().limits().depth_max) {
      return cursor_.error(ErrorCode::kTooLarge, "groups are nested too deeply");
    }
    std::vector<ExprId> choices = {TRY(parse_sequence(depth, lines))};
    while (cursor_.try_read('|')) {
      skip_space(Lines::kCross);
      choices.push_back(TRY(parse_sequence(depth, lines)));
    }
    return grammar_.alternatives(std::move(choices));
  }

  Result<ExprId> parse_sequence(std::size_t depth, Lines lines) {
    std::vector<ExprId> parts;
    while (!cursor_.at_end()) {
      const char c = cursor_.peek();
      if (c == '|' || c == ')' || c == '\n' || c == '\r') break;
      const ExprId item = TRY(parse_item(depth));
      skip_space(lines);
      parts.push_back(TRY(parse_repetition(item)));
      skip_space(lines);
      TRY(grammar_.status());
    }
    return grammar_.sequence(std::move(parts));
  }

  Result<ExprId> parse_item(std::size_t depth) {
    if (cursor_.try_read('"')) return parse_literal();
    if (cursor_.try_read('[')) return parse_class();
    if (cursor_.try_read('.')) return grammar_.any_char();
    if (cursor_.try_read('(')) {
      skip_space(Lines::kCross);
      const ExprId inside = TRY(parse_alternatives(depth + 1, Lines::kCross));
      if (!cursor_.try_read(')')) return cursor_.error("expected ')'");
      return inside;
    }
    if (!is_name_char(cursor_.peek())) return cursor_.error("expected a rule, a text or a class");
    const std::string name = TRY(parse_name());
    return grammar_.rule(rule_of(name).id);
  }

  Result<ExprId> parse_literal() {
    std::vector<ExprId> parts;
    std::string text;
    while (!cursor_.try_read('"')) {
      if (cursor_.at_end()) return cursor_.error("text does not end");
      const std::uint32_t code_point = TRY(parse_char());
      for (const Utf8Range& utf8 : utf8_ranges({code_point, code_point})) {
        for (std::size_t i = 0; i < utf8.num_bytes; ++i) {
          text += static_cast<char>(utf8.bytes[i].first);
        }
      }
    }
    const ExprId plain = grammar_.bytes(text);
    const std::string special = vocabulary_.special_bytes(text);
    if (special.empty()) return plain;
    return grammar_.alternatives({plain, grammar_.bytes(special)});
  }

  Result<ExprId> parse_class() {
    const bool is_negated = cursor_.try_read('^');
    std::vector<CodePointRange> ranges;
    while (!cursor_.try_read(']')) {
      if (cursor_.at_end()) return cursor_.error("expected ']'");
      const std::uint32_t first = TRY(parse_char());
      std::uint32_t last = first;
      if (cursor_.peek() == '-' && cursor_.peek(1) != ']') {
        cursor_.skip(1);
        if (cursor_.at_end()) return cursor_.error("expected ']'");
        last = TRY(parse_char());
      }
      if (last < first) return cursor_.error("range of characters is out of order");
      ranges.push_back({first, last});
    }
    const CodePointSet set(std::move(ranges));
    return grammar_.char_class(is_negated ? set.complement() : set);
  }

  Result<std::uint32_t> parse_char() {
    if (!cursor_.try_read('\\')) return cursor_.read_code_point();
    if (cursor_.at_end()) return cursor_.error("grammar ends in '\\'");
    const char c = cursor_.peek();
    cursor_.skip(1);
    const auto hex = [&](std::size_t num_digits) -> Result<std::uint32_t> {
      const std::optional<std::uint32_t> value = cursor_.try_read_hex(num_digits);
      if (!value) return cursor_.error("expected hexadecimal digits");
      if (CodePointSet({{*value, *value}}).is_empty()) {
        return cursor_.error("character is no Unicode scalar value");
      }
      return *value;
    };
    switch (c) {
      case 'x':
        return hex(2);
      case 'u':
        return hex(4);
      case 'U':
        return hex(8);
      case 'n':
        return std::uint32_t{'\n'};
      case 'r':
        return std::uint32_t{'\r'};
      case 't':
        return std::uint32_t{'\t'};
      case '\\':
      case '"':
      case '[':
      case ']':
      case '-':
      case '^':
        return static_cast<std::uint32_t>(c);
      default:
        return cursor_.error("unknown escape");
    }
  }

  Result<ExprId> parse_repetition(ExprId item) {
    for (std::size_t i = 0;; ++i) {
      if (i > grammar_.budget().limits().depth_max) {
        return cursor_.error(ErrorCode::kTooLarge, "too many repetitions of one item");
      }
      if (cursor_.try_read('*')) {
        item = grammar_.repeat(item, 0, kNoMax);
      } else if (cursor_.try_read('+')) {
        item = grammar_.repeat(item, 1, kNoMax);
      } else if (cursor_.try_read('?')) {
        item = grammar_.optional(item);
      } else if (cursor_.try_read('{')) {
        item = TRY(parse_bounds(item));
      } else {
        return item;
      }
    }
  }

  Result<ExprId> parse_bounds(ExprId item) {
    skip_space(Lines::kStay);
    const std::optional<std::uint32_t> min = cursor_.try_read_number();
    if (!min) return cursor_.error("expected a count");
    std::uint32_t max = *min;
    skip_space(Lines::kStay);
    if (cursor_.try_read(',')) {
      skip_space(Lines::kStay);
      max = kNoMax;
      if (cursor_.peek() != '}') {
        const std::optional<std::uint32_t> most = cursor_.try_read_number();
        if (!most) return cursor_.error("expected a count");
        max = *most;
      }
    }
    skip_space(Lines::kStay);
    if (!cursor_.try_read('}')) return cursor_.error("expected '}'");
    if (*min > max) return cursor_.error("least count exceeds the most");
    return grammar_.repeat(item, *min, max);
  }

  Grammar& grammar_;
  const TokenVocabulary& vocabulary_;
  TextCursor cursor_;
  std::map<std::string, Rule> rules_;
};

}  // namespace

Result<ExprId> parse_gbnf(Grammar& grammar, const TokenVocabulary& vocabulary,
                          std::string_view text) {
  return GbnfParser(grammar, vocabulary, text).parse();
}

}  // namespace millrace
