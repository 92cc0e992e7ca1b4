// Statements: text, printed values, and one function for each kind of block.
#include "text/jinja/parser.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <string>

#include "text/jinja/expression_parser.h"
#include "text/jinja/token_reader.h"

namespace millrace::jinja {
namespace {

using EndNames = std::initializer_list<std::string_view>;

class StatementParser {
 public:
  StatementParser(const std::vector<Token>& tokens, std::size_t nesting_max)
      : reader_(tokens, nesting_max), expressions_(reader_) {}

  // Statements up to one of the end names, which is then current; up to the end without any.
  Result<Block> statements(EndNames end_names, int line) {
    TRY(reader_.enter());
    Block block;
    while (!reader_.at(TokenKind::kEnd)) {
      if (reader_.at(TokenKind::kData)) {
        const Token& token = reader_.take();
        block.push_back(Statement{token.line, OutputText{token.text}});
      } else if (reader_.at(TokenKind::kVariableBegin)) {
        TRY(printed_value(block));
      } else {
        TRY(reader_.expect(TokenKind::kBlockBegin, "text or a tag"));
        if (at_any(end_names)) {
          reader_.leave();
          return block;
        }
        TRY(statement(block));
        TRY(reader_.expect(TokenKind::kBlockEnd, "end of statement block"));
      }
    }
    reader_.leave();
    if (end_names.size() == 0) return block;
    return syntax_error(line, "unexpected end of template, expected " + listed(end_names));
  }

 private:
  bool at_any(EndNames names) const {
    return std::any_of(names.begin(), names.end(),
                       [this](std::string_view name) { return reader_.at_name(name); });
  }

  static std::string listed(EndNames names) {
    std::string list;
    for (const std::string_view name : names) {
      list += (list.empty() ? "'" : " or '") + std::string(name) + "'";
    }
    return list;
  }

  // The rest of the tag, then the statements inside.
  Result<Block> body(EndNames end_names) {
    const int line = reader_.line();
    reader_.skip_operator(":");
    TRY(reader_.expect(TokenKind::kBlockEnd, "end of statement block"));
    return statements(end_names, line);
  }
  Result<Block> body_until(std::string_view end_name) {
    Block block = TRY(body({end_name}));
    reader_.take();
    return block;
  }
  // The body of a function of its own: what loops surround it do not count there.
  Result<Block> function_body(std::string_view end_name) {
    const std::size_t outer_loops = std::exchange(num_loops_, 0);
    Result<Block> block = body_until(end_name);
    num_loops_ = outer_loops;
    return block;
  }

  Status printed_value(Block& block) {
    const int line = reader_.take().line;
    ExpressionPtr value = TRY(expressions_.tuple(Conditionals::kAllowed));
    TRY(reader_.expect(TokenKind::kVariableEnd, "end of print statement"));
    block.push_back(Statement{line, OutputValue{std::move(value)}});
    return Ok{};
  }

  template <class Node>
  static Status add(Block& block, int line, Result<Node> node) {
    if (!node.ok()) return std::move(node).error();
    block.push_back(Statement{line, std::move(node).value()});
    return Ok{};
  }

  Status statement(Block& block) {
    if (!reader_.at(TokenKind::kName)) return reader_.unexpected("the name of a tag");
    const int line = reader_.line();
    const std::string tag = reader_.take().text;
    if (tag == "if") return add(block, line, if_statement());
    if (tag == "for") return add(block, line, for_statement());
    if (tag == "set") return set_statement(block, line);
    if (tag == "macro") return add(block, line, macro_statement(line));
    if (tag == "call") return add(block, line, call_block(line));
    if (tag == "generation") return add(block, line, generation_block(line));
    if (tag == "filter") return add(block, line, filter_block());
    if (tag == "with") return add(block, line, with_statement());
    if (tag == "print") return print_statement(block, line);
    if (tag == "break") return add(block, line, loop_control(LoopControl::Kind::kBreak, line));
    if (tag == "continue") {
      return add(block, line, loop_control(LoopControl::Kind::kContinue, line));
    }
    return refuse(tag, line);
  }

  static Error refuse(const std::string& tag, int line) {
    constexpr std::array<std::string_view, 6> kRefused = {"include", "import", "from",
                                                          "extends", "block",  "autoescape"};
    if (std::find(kRefused.begin(), kRefused.end(), tag) != kRefused.end()) {
      return Error{ErrorCode::kUnsupported, "chat template line " + std::to_string(line) + ": {% " +
                                                tag + " %} is not for chat templates"};
    }
    return syntax_error(line, "unknown tag '" + tag + "'");
  }

  Result<IfStatement> if_statement() {
    IfStatement statement;
    while (true) {
      IfStatement::Branch branch;
      branch.condition = TRY(expressions_.tuple(Conditionals::kLeftToCaller));
      branch.body = TRY(body({"elif", "else", "endif"}));
      statement.branches.push_back(std::move(branch));
      const std::string end = reader_.take().text;
      if (end == "elif") continue;
      if (end == "else") statement.otherwise = TRY(body_until("endif"));
      return statement;
    }
  }

  Result<ForStatement> for_statement() {
    ForStatement loop;
    loop.target = TRY(expressions_.target(NamespaceTargets::kRefused));
    TRY(reader_.expect_name("in"));
    loop.iterable = TRY(expressions_.tuple(Conditionals::kLeftToCaller));
    if (reader_.skip_name("if")) {
      loop.condition = TRY(expressions_.expression());
      loop.condition_target = loop.target;
    }
    loop.is_recursive = reader_.skip_name("recursive");
    ++num_loops_;
    Result<Block> inside = body({"endfor", "else"});
    --num_loops_;
    loop.body = TRY(std::move(inside));
    if (reader_.take().text == "else") loop.otherwise = TRY(body_until("endfor"));
    return loop;
  }

  Status set_statement(Block& block, int line) {
    Target target = TRY(expressions_.target(NamespaceTargets::kAllowed));
    if (reader_.skip_operator("=")) {
      ExpressionPtr value = TRY(expressions_.tuple(Conditionals::kAllowed));
      block.push_back(Statement{line, SetStatement{std::move(target), std::move(value)}});
      return Ok{};
    }
    SetBlock set;
    set.target = std::move(target);
    set.filter = TRY(expressions_.filters(nullptr, ExpressionParser::FilterStart::kBar));
    set.body = TRY(body_until("endset"));
    block.push_back(Statement{line, std::move(set)});
    return Ok{};
  }

  Status signature(MacroDefinition& macro) {
    TRY(reader_.expect_operator("("));
    while (!reader_.at_operator(")")) {
      if (!macro.parameters.empty()) TRY(reader_.expect_operator(","));
      std::string name = TRY(reader_.expect_any_name());
      const auto end = macro.parameters.end();
      if (std::find(macro.parameters.begin(), end, name) != end) {
        return syntax_error(reader_.line(), "parameter '" + name + "' is named twice");
      }
      macro.parameters.push_back(std::move(name));
      if (reader_.skip_operator("=")) {
        macro.defaults.push_back(TRY(expressions_.expression()));
      } else if (!macro.defaults.empty()) {
        return syntax_error(reader_.line(), "parameter without a default after one with a default");
      }
    }
    return reader_.expect_operator(")");
  }

  Result<MacroStatement> macro_statement(int line) {
    MacroStatement statement;
    statement.macro = std::make_unique<MacroDefinition>();
    statement.macro->line = line;
    statement.macro->name = TRY(reader_.expect_any_name());
    statement.target.name = *statement.macro->name;
    statement.target.line = line;
    TRY(signature(*statement.macro));
    statement.macro->body = TRY(function_body("endmacro"));
    return statement;
  }

  Result<CallBlock> call_block(int line) {
    CallBlock block;
    block.caller = std::make_unique<MacroDefinition>();
    block.caller->line = line;
    if (reader_.at_operator("(")) TRY(signature(*block.caller));
    block.call = TRY(expressions_.expression());
    if (block.call->kind != ExpressionKind::kCall) return syntax_error(line, "expected a call");
    for (const auto& [name, value] : block.call->arguments->named) {
      if (name == "caller") return syntax_error(line, "argument 'caller' is given twice");
    }
    block.caller->body = TRY(function_body("endcall"));
    return block;
  }

  Result<CallBlock> generation_block(int line) {
    CallBlock block;
    block.caller = std::make_unique<MacroDefinition>();
    block.caller->line = line;
    block.caller->body = TRY(function_body("endgeneration"));
    return block;
  }

  Result<FilterBlock> filter_block() {
    FilterBlock block;
    block.filter = TRY(expressions_.filters(nullptr, ExpressionParser::FilterStart::kName));
    block.body = TRY(body_until("endfilter"));
    return block;
  }

  Result<WithStatement> with_statement() {
    WithStatement statement;
    while (!reader_.at(TokenKind::kBlockEnd)) {
      if (!statement.targets.empty()) TRY(reader_.expect_operator(","));
      statement.targets.push_back(TRY(expressions_.target(NamespaceTargets::kRefused)));
      TRY(reader_.expect_operator("="));
      statement.values.push_back(TRY(expressions_.expression()));
    }
    statement.body = TRY(body_until("endwith"));
    return statement;
  }

  Status print_statement(Block& block, int line) {
    bool is_first = true;
    while (!reader_.at(TokenKind::kBlockEnd)) {
      if (!is_first) TRY(reader_.expect_operator(","));
      is_first = false;
      block.push_back(Statement{line, OutputValue{TRY(expressions_.expression())}});
    }
    return Ok{};
  }

  Result<LoopControl> loop_control(LoopControl::Kind kind, int line) {
    if (num_loops_ == 0) return syntax_error(line, "break or continue outside a loop");
    return LoopControl{kind};
  }

  TokenReader reader_;
  ExpressionParser expressions_;
  std::size_t num_loops_ = 0;
};

}  // namespace

Result<Block> parse_tokens(const std::vector<Token>& tokens, std::size_t nesting_max) {
  return StatementParser(tokens, nesting_max).statements({}, 1);
}

}  // namespace millrace::jinja
