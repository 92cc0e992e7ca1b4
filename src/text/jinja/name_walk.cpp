// One overload for each kind of node; attributes of namespaces are not names.
#include "text/jinja/name_walk.h"

namespace millrace::jinja {
namespace {

void walk_optional(const ExpressionPtr& expression, NameVisitor visit) {
  if (expression != nullptr) walk_names(*expression, visit);
}

void walk_macro(const MacroDefinition& macro, NameVisitor visit) {
  for (const std::string& parameter : macro.parameters) visit(parameter, NameUse::kParameter);
  for (const ExpressionPtr& value : macro.defaults) walk_names(*value, visit);
  walk_names(macro.body, visit);
}

struct NodeWalk {
  NameVisitor visit;

  void operator()(const OutputText&) const {}
  void operator()(const LoopControl&) const {}
  void operator()(const OutputValue& node) const { walk_names(*node.value, visit); }
  void operator()(const IfStatement& node) const {
    for (const IfStatement::Branch& branch : node.branches) {
      walk_names(*branch.condition, visit);
      walk_names(branch.body, visit);
    }
    walk_names(node.otherwise, visit);
  }
  void operator()(const ForStatement& node) const {
    walk_names(node.target, NameUse::kStore, visit);
    walk_names(*node.iterable, visit);
    walk_names(node.body, visit);
    walk_names(node.otherwise, visit);
    walk_optional(node.condition, visit);
  }
  void operator()(const SetStatement& node) const {
    walk_names(node.target, NameUse::kStore, visit);
    walk_names(*node.value, visit);
  }
  void operator()(const SetBlock& node) const {
    walk_names(node.target, NameUse::kStore, visit);
    walk_optional(node.filter, visit);
    walk_names(node.body, visit);
  }
  void operator()(const MacroStatement& node) const { walk_macro(*node.macro, visit); }
  void operator()(const CallBlock& node) const {
    walk_optional(node.call, visit);
    walk_macro(*node.caller, visit);
  }
  void operator()(const FilterBlock& node) const {
    walk_names(node.body, visit);
    walk_optional(node.filter, visit);
  }
  void operator()(const WithStatement& node) const {
    for (const Target& target : node.targets) walk_names(target, NameUse::kParameter, visit);
    for (const ExpressionPtr& value : node.values) walk_names(*value, visit);
    walk_names(node.body, visit);
  }
};

}  // namespace

void walk_names(const Expression& expression, NameVisitor visit) {
  if (expression.kind == ExpressionKind::kName) visit(expression.name, NameUse::kLoad);
  for (const ExpressionPtr& operand : expression.operands) walk_optional(operand, visit);
  if (expression.arguments == nullptr) return;
  const ArgumentExpressions& arguments = *expression.arguments;
  for (const ExpressionPtr& argument : arguments.positional) walk_names(*argument, visit);
  for (const auto& [name, argument] : arguments.named) walk_names(*argument, visit);
  walk_optional(arguments.star, visit);
  walk_optional(arguments.double_star, visit);
}

void walk_names(const Target& target, NameUse use, NameVisitor visit) {
  if (target.kind == Target::Kind::kName) visit(target.name, use);
  for (const Target& item : target.items) walk_names(item, use, visit);
}

void walk_names(const Statement& statement, NameVisitor visit) {
  std::visit(NodeWalk{visit}, statement.node);
}

void walk_names(const Block& block, NameVisitor visit) {
  for (const Statement& statement : block) walk_names(statement, visit);
}

}  // namespace millrace::jinja
