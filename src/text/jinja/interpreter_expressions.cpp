// Evaluating expressions: one function for each kind that takes more than a line.
#include "text/jinja/arguments.h"
#include "text/jinja/arithmetic.h"
#include "text/jinja/attribute.h"
#include "text/jinja/compare.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/iterate.h"
#include "text/jinja/method.h"
#include "text/jinja/repr.h"

namespace millrace::jinja {

Result<Value> Interpreter::evaluate(const Expression& expression, Activation& activation) {
  switch (expression.kind) {
    case ExpressionKind::kConstant:
      return expression.constant;
    case ExpressionKind::kName:
      return evaluate_name(expression, activation);
    default:
      break;
  }
  TRY(sandbox_.spend(1));
  TRY(sandbox_.enter());
  const DepthGuard guard(sandbox_);
  return evaluate_kind(expression, activation);
}

Result<Value> Interpreter::evaluate_kind(const Expression& expression, Activation& activation) {
  const auto operand = [&](std::size_t i) { return evaluate(*expression.operands[i], activation); };
  switch (expression.kind) {
    case ExpressionKind::kTuple:
      return sandbox_.tuple(TRY(evaluate_all(expression.operands, activation)));
    case ExpressionKind::kList:
      return sandbox_.list(TRY(evaluate_all(expression.operands, activation)));
    case ExpressionKind::kDict:
      return evaluate_dict(expression, activation);
    case ExpressionKind::kAttribute: {
      const Value of = TRY(operand(0));
      return get_attribute(sandbox_, of, expression.constant);
    }
    case ExpressionKind::kItem: {
      const Value of = TRY(operand(0));
      return get_item(sandbox_, of, TRY(operand(1)));
    }
    case ExpressionKind::kSlice:
      return evaluate_slice(expression, activation);
    case ExpressionKind::kCall:
      return evaluate_call(expression, activation, Value());
    case ExpressionKind::kFilter:
      return evaluate_filter(expression, activation);
    case ExpressionKind::kTest:
      return evaluate_test(expression, activation);
    case ExpressionKind::kConditional:
      return evaluate_conditional(expression, activation);
    case ExpressionKind::kAnd: {
      Value left = TRY(operand(0));
      return is_true(left) ? operand(1) : left;
    }
    case ExpressionKind::kOr: {
      Value left = TRY(operand(0));
      return is_true(left) ? left : operand(1);
    }
    case ExpressionKind::kNot:
      return Value::boolean(!is_true(TRY(operand(0))));
    case ExpressionKind::kNegative:
      return negate(TRY(operand(0)));
    case ExpressionKind::kPositive:
      return posit(TRY(operand(0)));
    case ExpressionKind::kCompare:
      return evaluate_compare(expression, activation);
    case ExpressionKind::kConcat:
      return evaluate_concat(expression, activation);
    case ExpressionKind::kArithmetic: {
      const Value left = TRY(operand(0));
      return compute(sandbox_, expression.arithmetic, left, TRY(operand(1)));
    }
    default:
      return expression.constant;
  }
}

Result<Value> Interpreter::evaluate_name(const Expression& expression, Activation& activation) {
  TRY(sandbox_.spend(1));
  const Value& value = variable(expression.ref, activation);
  if (value.is_missing()) return sandbox_.undefined_name(expression.name);
  return value;
}

Result<std::vector<Value>> Interpreter::evaluate_all(const std::vector<ExpressionPtr>& expressions,
                                                     Activation& activation) {
  std::vector<Value> values;
  values.reserve(expressions.size());
  for (const ExpressionPtr& expression : expressions) {
    values.push_back(TRY(evaluate(*expression, activation)));
  }
  return values;
}

Result<Value> Interpreter::evaluate_dict(const Expression& expression, Activation& activation) {
  std::vector<std::pair<Value, Value>> entries;
  entries.reserve(expression.operands.size() / 2);
  for (std::size_t i = 0; i < expression.operands.size(); i += 2) {
    Value key = TRY(evaluate(*expression.operands[i], activation));
    Value value = TRY(evaluate(*expression.operands[i + 1], activation));
    entries.emplace_back(std::move(key), std::move(value));
  }
  return sandbox_.dict(std::move(entries));
}

Result<Value> Interpreter::evaluate_slice(const Expression& expression, Activation& activation) {
  const auto optional = [&](std::size_t i) -> Result<Value> {
    if (expression.operands[i] == nullptr) return Value();
    return evaluate(*expression.operands[i], activation);
  };
  const Value of = TRY(optional(0));
  SliceBounds bounds;
  bounds.start = TRY(optional(1));
  bounds.stop = TRY(optional(2));
  bounds.step = TRY(optional(3));
  return get_slice(sandbox_, of, bounds);
}

// A call of a method of a string, list or dict takes a way without the method as a value.
Result<Value> Interpreter::evaluate_call(const Expression& expression, Activation& activation,
                                         const Value& caller) {
  const Expression& callee = *expression.operands[0];
  Arguments arguments;
  Value function;
  const Method* method = nullptr;
  if (callee.kind == ExpressionKind::kAttribute) {
    function = TRY(evaluate(*callee.operands[0], activation));
    method = find_method(function, callee.name);
    if (method == nullptr) function = TRY(get_attribute(sandbox_, function, callee.constant));
  } else {
    function = TRY(evaluate(callee, activation));
  }
  TRY(evaluate_arguments(*expression.arguments, activation, arguments));
  if (!caller.is_missing()) arguments.named.emplace_back("caller", caller);
  if (method != nullptr) return method->call(sandbox_, function, arguments);
  return call_value(sandbox_, function, std::move(arguments));
}

Status Interpreter::evaluate_arguments(const ArgumentExpressions& expressions,
                                       Activation& activation, Arguments& arguments) {
  for (const ExpressionPtr& expression : expressions.positional) {
    arguments.positional.push_back(TRY(evaluate(*expression, activation)));
  }
  if (expressions.star != nullptr) {
    const Value star = TRY(evaluate(*expressions.star, activation));
    for (Value& value : TRY(collect(sandbox_, star))) {
      arguments.positional.push_back(std::move(value));
    }
  }
  for (const auto& [name, expression] : expressions.named) {
    TRY(sandbox_.spend_bytes(name.size()));
    arguments.named.emplace_back(name, TRY(evaluate(*expression, activation)));
  }
  if (expressions.double_star == nullptr) return Ok{};
  const Value mapping = TRY(evaluate(*expressions.double_star, activation));
  if (!mapping.is(Kind::kDict)) {
    return template_error("argument after ** must be a mapping, not " +
                          std::string(type_name(mapping)));
  }
  for (const auto& [key, value] : mapping.dict().entries) {
    if (!key.is_string()) return template_error("keywords must be strings");
    for (const auto& [name, other] : arguments.named) {
      if (name == key.text()) {
        return template_error("got multiple values for keyword argument '" + name + "'");
      }
    }
    TRY(sandbox_.spend_items(arguments.named.size()));
    TRY(sandbox_.spend_bytes(key.text().size()));
    arguments.named.emplace_back(key.text(), value);
  }
  return Ok{};
}

Result<Value> Interpreter::evaluate_filter(const Expression& expression, Activation& activation) {
  if (expression.filter == nullptr) {
    return unsupported_error("no filter named '" + expression.name + "'");
  }
  Arguments arguments;
  if (expression.operands.empty()) {
    arguments.positional.push_back(captured_);
  } else {
    arguments.positional.push_back(TRY(evaluate(*expression.operands[0], activation)));
  }
  if (expression.arguments != nullptr) {
    TRY(evaluate_arguments(*expression.arguments, activation, arguments));
  }
  return expression.filter->apply(sandbox_, arguments);
}

Result<Value> Interpreter::evaluate_test(const Expression& expression, Activation& activation) {
  if (expression.predicate == nullptr) {
    return unsupported_error("no test named '" + expression.name + "'");
  }
  Arguments arguments;
  arguments.positional.push_back(TRY(evaluate(*expression.operands[0], activation)));
  if (expression.arguments != nullptr) {
    TRY(evaluate_arguments(*expression.arguments, activation, arguments));
  }
  return Value::boolean(TRY(expression.predicate->holds(sandbox_, arguments)));
}

Result<Value> Interpreter::evaluate_conditional(const Expression& expression,
                                                Activation& activation) {
  const bool holds = is_true(TRY(evaluate(*expression.operands[0], activation)));
  const ExpressionPtr& chosen = expression.operands[holds ? 1 : 2];
  if (chosen != nullptr) return evaluate(*chosen, activation);
  return sandbox_.undefined("the inline if-expression on line " + std::to_string(expression.line) +
                            " evaluated to false and no else section was defined.");
}

Result<Value> Interpreter::evaluate_compare(const Expression& expression, Activation& activation) {
  Value left = TRY(evaluate(*expression.operands[0], activation));
  for (std::size_t i = 0; i < expression.comparisons.size(); ++i) {
    Value right = TRY(evaluate(*expression.operands[i + 1], activation));
    if (!TRY(compare(expression.comparisons[i], left, right))) return Value::boolean(false);
    left = std::move(right);
  }
  return Value::boolean(true);
}

Result<bool> Interpreter::compare(Comparison comparison, const Value& left, const Value& right) {
  switch (comparison) {
    case Comparison::kEqual:
      return equal(sandbox_, left, right);
    case Comparison::kNotEqual:
      return !TRY(equal(sandbox_, left, right));
    case Comparison::kLess:
      return ordered(sandbox_, Order::kLess, left, right);
    case Comparison::kLessEqual:
      return ordered(sandbox_, Order::kLessEqual, left, right);
    case Comparison::kGreater:
      return ordered(sandbox_, Order::kGreater, left, right);
    case Comparison::kGreaterEqual:
      return ordered(sandbox_, Order::kGreaterEqual, left, right);
    case Comparison::kIn:
      return contains(sandbox_, right, left);
    case Comparison::kNotIn:
      return !TRY(contains(sandbox_, right, left));
  }
  return false;
}

Result<Value> Interpreter::evaluate_concat(const Expression& expression, Activation& activation) {
  std::string out;
  for (const Value& value : TRY(evaluate_all(expression.operands, activation))) {
    TRY(append_str(sandbox_, value, out));
  }
  return sandbox_.string(std::move(out));
}

}  // namespace millrace::jinja
