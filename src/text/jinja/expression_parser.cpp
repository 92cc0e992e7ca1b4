// One function for each level of precedence, loosest first.
#include "text/jinja/expression_parser.h"

#include <algorithm>
#include <array>
#include <optional>

#include "text/jinja/unicode.h"

namespace millrace::jinja {
namespace {

// Ends a TokenReader::enter().
class NestingGuard {
 public:
  explicit NestingGuard(TokenReader& reader) : reader_(reader) {}
  NestingGuard(const NestingGuard&) = delete;
  NestingGuard& operator=(const NestingGuard&) = delete;
  ~NestingGuard() { reader_.leave(); }

 private:
  TokenReader& reader_;
};

Value string_constant(std::string text) {
  auto string = std::make_shared<String>();
  string->num_code_points = count_code_points(text);
  string->text = std::move(text);
  return Value(Kind::kString, std::move(string));
}

std::optional<Comparison> comparison_operator(const Token& token) {
  if (token.kind != TokenKind::kOperator) return std::nullopt;
  constexpr std::array<std::string_view, 6> kSpellings = {"==", "!=", "<", "<=", ">", ">="};
  const auto* found = std::find(kSpellings.begin(), kSpellings.end(), token.text);
  if (found == kSpellings.end()) return std::nullopt;
  return static_cast<Comparison>(found - kSpellings.begin());
}

std::optional<Arithmetic> product_operator(const TokenReader& reader) {
  if (reader.at_operator("*")) return Arithmetic::kMultiply;
  if (reader.at_operator("/")) return Arithmetic::kDivide;
  if (reader.at_operator("//")) return Arithmetic::kFloorDivide;
  if (reader.at_operator("%")) return Arithmetic::kModulo;
  return std::nullopt;
}

void raise_height(std::uint32_t& height, const ExpressionPtr& below) {
  if (below != nullptr) height = std::max(height, below->height + 1);
}

}  // namespace

ExpressionPtr ExpressionParser::begin(ExpressionKind kind, int line) {
  auto expression = std::make_unique<Expression>();
  expression->kind = kind;
  expression->line = line;
  return expression;
}

template <class... Operands>
Result<ExpressionPtr> ExpressionParser::make(ExpressionKind kind, int line, Operands... operands) {
  ExpressionPtr expression = begin(kind, line);
  (expression->operands.push_back(std::move(operands)), ...);
  return finish(std::move(expression));
}

Result<ExpressionPtr> ExpressionParser::constant(Value value) {
  ExpressionPtr expression = begin(ExpressionKind::kConstant, reader_.line());
  expression->constant = std::move(value);
  return expression;
}

Result<ExpressionPtr> ExpressionParser::finish(ExpressionPtr expression) const {
  std::uint32_t height = 1;
  for (const ExpressionPtr& operand : expression->operands) raise_height(height, operand);
  if (expression->arguments != nullptr) {
    const ArgumentExpressions& arguments = *expression->arguments;
    for (const ExpressionPtr& argument : arguments.positional) raise_height(height, argument);
    for (const auto& [name, argument] : arguments.named) raise_height(height, argument);
    raise_height(height, arguments.star);
    raise_height(height, arguments.double_star);
  }
  // Chains of operators grow without brackets: allow them more than nesting proper.
  if (height > 2 * reader_.nesting_max()) {
    return Error{ErrorCode::kTooLarge, "chat template line " + std::to_string(expression->line) +
                                           ": expression nested deeper than " +
                                           std::to_string(2 * reader_.nesting_max())};
  }
  expression->height = height;
  return expression;
}

Result<ExpressionPtr> ExpressionParser::expression(Conditionals conditionals) {
  TRY(reader_.enter());
  const NestingGuard guard(reader_);
  return conditionals == Conditionals::kAllowed ? conditional() : disjunction();
}

Result<ExpressionPtr> ExpressionParser::conditional() {
  const int line = reader_.line();
  ExpressionPtr value = TRY(disjunction());
  while (reader_.skip_name("if")) {
    ExpressionPtr condition = TRY(disjunction());
    ExpressionPtr otherwise;
    if (reader_.skip_name("else")) otherwise = TRY(expression());
    value = TRY(make(ExpressionKind::kConditional, line, std::move(condition), std::move(value),
                     std::move(otherwise)));
  }
  return value;
}

Result<ExpressionPtr> ExpressionParser::disjunction() {
  const int line = reader_.line();
  ExpressionPtr left = TRY(conjunction());
  while (reader_.skip_name("or")) {
    ExpressionPtr right = TRY(conjunction());
    left = TRY(make(ExpressionKind::kOr, line, std::move(left), std::move(right)));
  }
  return left;
}

Result<ExpressionPtr> ExpressionParser::conjunction() {
  const int line = reader_.line();
  ExpressionPtr left = TRY(negation());
  while (reader_.skip_name("and")) {
    ExpressionPtr right = TRY(negation());
    left = TRY(make(ExpressionKind::kAnd, line, std::move(left), std::move(right)));
  }
  return left;
}

Result<ExpressionPtr> ExpressionParser::negation() {
  const int line = reader_.line();
  if (!reader_.skip_name("not")) return comparison();
  TRY(reader_.enter());
  const NestingGuard guard(reader_);
  return make(ExpressionKind::kNot, line, TRY(negation()));
}

Result<ExpressionPtr> ExpressionParser::comparison() {
  ExpressionPtr chain = begin(ExpressionKind::kCompare, reader_.line());
  chain->operands.push_back(TRY(sum()));
  while (true) {
    if (const auto comparison = comparison_operator(reader_.current())) {
      reader_.take();
      chain->comparisons.push_back(*comparison);
    } else if (reader_.skip_name("in")) {
      chain->comparisons.push_back(Comparison::kIn);
    } else if (reader_.at_name("not") && reader_.following().kind == TokenKind::kName &&
               reader_.following().text == "in") {
      reader_.take();
      reader_.take();
      chain->comparisons.push_back(Comparison::kNotIn);
    } else {
      break;
    }
    chain->operands.push_back(TRY(sum()));
  }
  if (chain->comparisons.empty()) return std::move(chain->operands.front());
  return finish(std::move(chain));
}

Result<ExpressionPtr> ExpressionParser::sum() {
  const int line = reader_.line();
  ExpressionPtr left = TRY(concatenation());
  while (reader_.at_operator("+") || reader_.at_operator("-")) {
    const bool is_add = reader_.take().text == "+";
    ExpressionPtr right = TRY(concatenation());
    left = TRY(make(ExpressionKind::kArithmetic, line, std::move(left), std::move(right)));
    left->arithmetic = is_add ? Arithmetic::kAdd : Arithmetic::kSubtract;
  }
  return left;
}

Result<ExpressionPtr> ExpressionParser::concatenation() {
  ExpressionPtr chain = begin(ExpressionKind::kConcat, reader_.line());
  chain->operands.push_back(TRY(product()));
  while (reader_.skip_operator("~")) chain->operands.push_back(TRY(product()));
  if (chain->operands.size() == 1) return std::move(chain->operands.front());
  return finish(std::move(chain));
}

Result<ExpressionPtr> ExpressionParser::product() {
  const int line = reader_.line();
  ExpressionPtr left = TRY(power());
  while (const auto arithmetic = product_operator(reader_)) {
    reader_.take();
    ExpressionPtr right = TRY(power());
    left = TRY(make(ExpressionKind::kArithmetic, line, std::move(left), std::move(right)));
    left->arithmetic = *arithmetic;
  }
  return left;
}

Result<ExpressionPtr> ExpressionParser::power() {
  const int line = reader_.line();
  ExpressionPtr left = TRY(unary(Suffixes::kPostfixAndFilters));
  while (reader_.skip_operator("**")) {
    ExpressionPtr right = TRY(unary(Suffixes::kPostfixAndFilters));
    left = TRY(make(ExpressionKind::kArithmetic, line, std::move(left), std::move(right)));
    left->arithmetic = Arithmetic::kPower;
  }
  return left;
}

Result<ExpressionPtr> ExpressionParser::unary(Suffixes suffixes) {
  TRY(reader_.enter());
  const NestingGuard guard(reader_);
  const int line = reader_.line();
  ExpressionPtr value;
  if (reader_.skip_operator("-")) {
    value = TRY(make(ExpressionKind::kNegative, line, TRY(unary(Suffixes::kPostfix))));
  } else if (reader_.skip_operator("+")) {
    value = TRY(make(ExpressionKind::kPositive, line, TRY(unary(Suffixes::kPostfix))));
  } else {
    value = TRY(primary());
  }
  value = TRY(postfix(std::move(value)));
  if (suffixes == Suffixes::kPostfix) return value;
  return filters_and_tests(std::move(value));
}

Result<ExpressionPtr> ExpressionParser::primary() {
  const Token& token = reader_.current();
  switch (token.kind) {
    case TokenKind::kName:
      return name_or_constant();
    case TokenKind::kString: {
      std::string text = reader_.take().text;
      while (reader_.at(TokenKind::kString)) text += reader_.take().text;
      return constant(string_constant(std::move(text)));
    }
    case TokenKind::kInteger:
      return constant(Value::integer(reader_.take().integer));
    case TokenKind::kFloat:
      return constant(Value::number(reader_.take().number));
    default:
      break;
  }
  if (reader_.at_operator("(")) return parenthesized();
  if (reader_.at_operator("[")) return list();
  if (reader_.at_operator("{")) return dict();
  return reader_.unexpected("an expression");
}

Result<ExpressionPtr> ExpressionParser::name_or_constant() {
  const Token& token = reader_.take();
  if (token.text == "true" || token.text == "True") return constant(Value::boolean(true));
  if (token.text == "false" || token.text == "False") return constant(Value::boolean(false));
  if (token.text == "none" || token.text == "None") return constant(Value::none());
  ExpressionPtr name = begin(ExpressionKind::kName, token.line);
  name->name = token.text;
  return name;
}

Result<ExpressionPtr> ExpressionParser::parenthesized() {
  const int line = reader_.line();
  reader_.take();
  if (reader_.skip_operator(")")) return begin(ExpressionKind::kTuple, line);
  ExpressionPtr value = TRY(tuple(Conditionals::kAllowed));
  TRY(reader_.expect_operator(")"));
  return value;
}

Result<ExpressionPtr> ExpressionParser::list() {
  ExpressionPtr list = begin(ExpressionKind::kList, reader_.take().line);
  while (!reader_.at_operator("]")) {
    if (!list->operands.empty()) TRY(reader_.expect_operator(","));
    if (reader_.at_operator("]")) break;
    list->operands.push_back(TRY(expression()));
  }
  TRY(reader_.expect_operator("]"));
  return finish(std::move(list));
}

Result<ExpressionPtr> ExpressionParser::dict() {
  ExpressionPtr dict = begin(ExpressionKind::kDict, reader_.take().line);
  while (!reader_.at_operator("}")) {
    if (!dict->operands.empty()) TRY(reader_.expect_operator(","));
    if (reader_.at_operator("}")) break;
    dict->operands.push_back(TRY(expression()));
    TRY(reader_.expect_operator(":"));
    dict->operands.push_back(TRY(expression()));
  }
  TRY(reader_.expect_operator("}"));
  return finish(std::move(dict));
}

Result<ExpressionPtr> ExpressionParser::postfix(ExpressionPtr value) {
  while (true) {
    if (reader_.at_operator(".") || reader_.at_operator("[")) {
      value = TRY(subscript(std::move(value)));
    } else if (reader_.at_operator("(")) {
      value = TRY(call(std::move(value)));
    } else {
      return value;
    }
  }
}

Result<ExpressionPtr> ExpressionParser::filters_and_tests(ExpressionPtr value) {
  while (true) {
    if (reader_.at_operator("|")) {
      value = TRY(filters(std::move(value), FilterStart::kBar));
    } else if (reader_.at_name("is")) {
      value = TRY(test(std::move(value)));
    } else if (reader_.at_operator("(")) {
      value = TRY(call(std::move(value)));
    } else {
      return value;
    }
  }
}

Result<ExpressionPtr> ExpressionParser::subscript(ExpressionPtr value) {
  const int line = reader_.line();
  if (reader_.skip_operator(".")) {
    if (reader_.at(TokenKind::kInteger)) {
      ExpressionPtr index = TRY(constant(Value::integer(reader_.take().integer)));
      return make(ExpressionKind::kItem, line, std::move(value), std::move(index));
    }
    if (!reader_.at(TokenKind::kName)) return reader_.unexpected("a name or a number");
    ExpressionPtr attribute = begin(ExpressionKind::kAttribute, line);
    attribute->name = reader_.take().text;
    attribute->constant = string_constant(attribute->name);
    attribute->operands.push_back(std::move(value));
    return finish(std::move(attribute));
  }
  reader_.take();
  std::vector<ExpressionPtr> indices;
  while (!reader_.at_operator("]")) {
    if (!indices.empty()) TRY(reader_.expect_operator(","));
    indices.push_back(TRY(subscripted()));
  }
  TRY(reader_.expect_operator("]"));
  if (indices.size() != 1) {
    for (const ExpressionPtr& index : indices) {
      if (index->kind == ExpressionKind::kSlice) return syntax_error(line, "slice among indices");
    }
    ExpressionPtr several = begin(ExpressionKind::kTuple, line);
    several->operands = std::move(indices);
    several = TRY(finish(std::move(several)));
    return make(ExpressionKind::kItem, line, std::move(value), std::move(several));
  }
  if (indices[0]->kind != ExpressionKind::kSlice) {
    return make(ExpressionKind::kItem, line, std::move(value), std::move(indices[0]));
  }
  indices[0]->operands.front() = std::move(value);
  return finish(std::move(indices[0]));
}

// An index, or a slice whose first operand is left for the value.
Result<ExpressionPtr> ExpressionParser::subscripted() {
  const int line = reader_.line();
  ExpressionPtr start;
  if (!reader_.at_operator(":")) {
    start = TRY(expression());
    if (!reader_.at_operator(":")) return start;
  }
  reader_.take();
  const auto at_end = [this] {
    return reader_.at_operator(":") || reader_.at_operator("]") || reader_.at_operator(",");
  };
  ExpressionPtr stop;
  if (!at_end()) stop = TRY(expression());
  ExpressionPtr step;
  if (reader_.skip_operator(":") && !reader_.at_operator("]") && !reader_.at_operator(",")) {
    step = TRY(expression());
  }
  return make(ExpressionKind::kSlice, line, ExpressionPtr(), std::move(start), std::move(stop),
              std::move(step));
}

Result<ExpressionPtr> ExpressionParser::call(ExpressionPtr callee) {
  ExpressionPtr call = begin(ExpressionKind::kCall, reader_.line());
  call->arguments = TRY(call_arguments());
  call->operands.push_back(std::move(callee));
  return finish(std::move(call));
}

Result<std::unique_ptr<ArgumentExpressions>> ExpressionParser::call_arguments() {
  const int line = reader_.line();
  auto arguments = std::make_unique<ArgumentExpressions>();
  TRY(reader_.expect_operator("("));
  bool is_first = true;
  while (!reader_.at_operator(")")) {
    if (!is_first) TRY(reader_.expect_operator(","));
    is_first = false;
    if (reader_.at_operator(")")) break;
    TRY(call_argument(*arguments, line));
  }
  TRY(reader_.expect_operator(")"));
  return arguments;
}

Status ExpressionParser::call_argument(ArgumentExpressions& arguments, int line) {
  const Error invalid = syntax_error(line, "invalid order of arguments in a call");
  if (reader_.skip_operator("*")) {
    if (arguments.star != nullptr || arguments.double_star != nullptr) return invalid;
    arguments.star = TRY(expression());
    return Ok{};
  }
  if (reader_.skip_operator("**")) {
    if (arguments.double_star != nullptr) return invalid;
    arguments.double_star = TRY(expression());
    return Ok{};
  }
  const Token& following = reader_.following();
  if (reader_.at(TokenKind::kName) && following.kind == TokenKind::kOperator &&
      following.text == "=") {
    if (arguments.double_star != nullptr) return invalid;
    std::string name = reader_.take().text;
    reader_.take();
    for (const auto& [other, value] : arguments.named) {
      if (other == name) return syntax_error(line, "argument '" + name + "' is given twice");
    }
    arguments.named.emplace_back(std::move(name), TRY(expression()));
    return Ok{};
  }
  if (arguments.star != nullptr || arguments.double_star != nullptr || !arguments.named.empty()) {
    return invalid;
  }
  arguments.positional.push_back(TRY(expression()));
  return Ok{};
}

Result<std::string> ExpressionParser::dotted_name() {
  std::string name = TRY(reader_.expect_any_name());
  while (reader_.skip_operator(".")) name += "." + TRY(reader_.expect_any_name());
  return name;
}

Result<ExpressionPtr> ExpressionParser::filters(ExpressionPtr value, FilterStart start) {
  bool has_bar = start == FilterStart::kBar;
  while (!has_bar || reader_.at_operator("|")) {
    if (has_bar) reader_.take();
    has_bar = true;
    ExpressionPtr filter = begin(ExpressionKind::kFilter, reader_.line());
    filter->name = TRY(dotted_name());
    if (reader_.at_operator("(")) filter->arguments = TRY(call_arguments());
    if (value != nullptr) filter->operands.push_back(std::move(value));
    value = TRY(finish(std::move(filter)));
  }
  return value;
}

Result<ExpressionPtr> ExpressionParser::test(ExpressionPtr value) {
  const int line = reader_.take().line;
  const bool is_negated = reader_.skip_name("not");
  ExpressionPtr test = begin(ExpressionKind::kTest, line);
  test->name = TRY(dotted_name());
  test->operands.push_back(std::move(value));
  const bool at_word = reader_.at(TokenKind::kName) && !reader_.at_name("else") &&
                       !reader_.at_name("or") && !reader_.at_name("and");
  const bool at_literal = reader_.at(TokenKind::kString) || reader_.at(TokenKind::kInteger) ||
                          reader_.at(TokenKind::kFloat) || reader_.at_operator("[") ||
                          reader_.at_operator("{");
  if (reader_.at_operator("(")) {
    test->arguments = TRY(call_arguments());
  } else if (at_word || at_literal) {
    if (reader_.at_name("is")) return syntax_error(line, "tests with 'is' cannot be chained");
    TRY(reader_.enter());
    const NestingGuard guard(reader_);
    test->arguments = std::make_unique<ArgumentExpressions>();
    test->arguments->positional.push_back(TRY(postfix(TRY(primary()))));
  }
  test = TRY(finish(std::move(test)));
  if (!is_negated) return test;
  return make(ExpressionKind::kNot, line, std::move(test));
}

bool ExpressionParser::at_tuple_end() const {
  return reader_.at(TokenKind::kVariableEnd) || reader_.at(TokenKind::kBlockEnd) ||
         reader_.at_operator(")");
}

Result<ExpressionPtr> ExpressionParser::tuple(Conditionals conditionals) {
  const int line = reader_.line();
  if (at_tuple_end()) return reader_.unexpected("an expression");
  ExpressionPtr first = TRY(expression(conditionals));
  if (!reader_.at_operator(",")) return first;
  ExpressionPtr tuple = begin(ExpressionKind::kTuple, line);
  tuple->operands.push_back(std::move(first));
  while (reader_.skip_operator(",") && !at_tuple_end()) {
    tuple->operands.push_back(TRY(expression(conditionals)));
  }
  return finish(std::move(tuple));
}

Result<Target> ExpressionParser::target(NamespaceTargets namespaces) {
  const int line = reader_.line();
  Target first = TRY(target_item(namespaces));
  if (!reader_.at_operator(",")) return first;
  Target several;
  several.kind = Target::Kind::kTuple;
  several.line = line;
  several.items.push_back(std::move(first));
  while (reader_.skip_operator(",") && !at_tuple_end()) {
    several.items.push_back(TRY(target_item(namespaces)));
  }
  return several;
}

Result<Target> ExpressionParser::target_item(NamespaceTargets namespaces) {
  const Token& following = reader_.following();
  const bool is_attribute = namespaces == NamespaceTargets::kAllowed &&
                            reader_.at(TokenKind::kName) &&
                            following.kind == TokenKind::kOperator && following.text == ".";
  TRY(reader_.enter());
  const NestingGuard guard(reader_);
  if (!is_attribute) return to_target(*TRY(primary()));
  Target target;
  target.kind = Target::Kind::kNamespaceAttribute;
  target.line = reader_.line();
  target.name = reader_.take().text;
  reader_.take();
  target.attribute = TRY(reader_.expect_any_name());
  return target;
}

Result<Target> ExpressionParser::to_target(const Expression& expression) const {
  Target target;
  target.line = expression.line;
  if (expression.kind == ExpressionKind::kName) {
    target.name = expression.name;
    return target;
  }
  if (expression.kind != ExpressionKind::kTuple) {
    return syntax_error(expression.line, "expected a name to assign to");
  }
  target.kind = Target::Kind::kTuple;
  for (const ExpressionPtr& item : expression.operands) {
    target.items.push_back(TRY(to_target(*item)));
  }
  return target;
}

}  // namespace millrace::jinja
