// Expressions, by recursive descent with jinja2's own precedences.
#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "text/jinja/ast.h"
#include "text/jinja/token_reader.h"

namespace millrace::jinja {

enum class Conditionals : std::uint8_t { kAllowed, kLeftToCaller };
enum class NamespaceTargets : std::uint8_t { kRefused, kAllowed };

class ExpressionParser {
 public:
  explicit ExpressionParser(TokenReader& reader) : reader_(reader) {}

  Result<ExpressionPtr> expression(Conditionals conditionals = Conditionals::kAllowed);
  // An expression, or several with commas, which make a tuple.
  Result<ExpressionPtr> tuple(Conditionals conditionals);
  // What stands on the left of an assignment or between "for" and "in".
  Result<Target> target(NamespaceTargets namespaces);
  // Filters after a bar; `value` is null for the text captured by a block. With kName the first
  // filter stands without a bar.
  enum class FilterStart : std::uint8_t { kBar, kName };
  Result<ExpressionPtr> filters(ExpressionPtr value, FilterStart start);

 private:
  Result<ExpressionPtr> conditional();
  Result<ExpressionPtr> disjunction();
  Result<ExpressionPtr> conjunction();
  Result<ExpressionPtr> negation();
  Result<ExpressionPtr> comparison();
  Result<ExpressionPtr> sum();
  Result<ExpressionPtr> concatenation();
  Result<ExpressionPtr> product();
  Result<ExpressionPtr> power();
  enum class Suffixes : std::uint8_t { kPostfix, kPostfixAndFilters };
  Result<ExpressionPtr> unary(Suffixes suffixes);
  Result<ExpressionPtr> primary();
  Result<ExpressionPtr> name_or_constant();
  Result<ExpressionPtr> parenthesized();
  Result<ExpressionPtr> list();
  Result<ExpressionPtr> dict();
  Result<ExpressionPtr> postfix(ExpressionPtr value);
  Result<ExpressionPtr> filters_and_tests(ExpressionPtr value);
  Result<ExpressionPtr> subscript(ExpressionPtr value);
  Result<ExpressionPtr> subscripted();
  Result<ExpressionPtr> call(ExpressionPtr callee);
  Result<ExpressionPtr> test(ExpressionPtr value);
  Result<std::string> dotted_name();
  Result<std::unique_ptr<ArgumentExpressions>> call_arguments();
  Status call_argument(ArgumentExpressions& arguments, int line);
  Result<Target> target_item(NamespaceTargets namespaces);
  Result<Target> to_target(const Expression& expression) const;

  static ExpressionPtr begin(ExpressionKind kind, int line);
  template <class... Operands>
  Result<ExpressionPtr> make(ExpressionKind kind, int line, Operands... operands);
  Result<ExpressionPtr> constant(Value value);
  // Sets the height and checks it.
  Result<ExpressionPtr> finish(ExpressionPtr expression) const;
  bool at_tuple_end() const;

  TokenReader& reader_;
};

}  // namespace millrace::jinja
