// Runs a template: statements write to the output, expressions give values.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/ast.h"
#include "text/jinja/loop.h"
#include "text/jinja/resolver.h"
#include "text/jinja/sandbox.h"

namespace millrace::jinja {

// The variables of a function that runs. One that something made inside may still look at lives
// until the rendering ends, any other until its function is left.
struct Activation {
  std::vector<Value> slots;
  Activation* outer = nullptr;
};

// One rendering. Used once, on one thread.
class Interpreter {
 public:
  // Of variables with the same name the first counts.
  using Variables = std::vector<std::pair<std::string, Value>>;
  Interpreter(const Program& program, Sandbox& sandbox, Variables variables);
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  Result<std::string> run();

 private:
  friend class Macro;
  friend class FilteredItems;

  enum class Flow : std::uint8_t { kNormal, kBreak, kContinue };

  // Statements, in interpreter_statements.cpp.
  Result<Flow> execute(const Block& block, Activation& activation);
  Result<Flow> execute(const Statement& statement, Activation& activation);
  Result<Flow> node(const OutputText& node, Activation& activation);
  Result<Flow> node(const OutputValue& node, Activation& activation);
  Result<Flow> node(const IfStatement& node, Activation& activation);
  Result<Flow> node(const ForStatement& node, Activation& activation);
  Result<Flow> node(const SetStatement& node, Activation& activation);
  Result<Flow> node(const SetBlock& node, Activation& activation);
  Result<Flow> node(const MacroStatement& node, Activation& activation);
  Result<Flow> node(const CallBlock& node, Activation& activation);
  Result<Flow> node(const FilterBlock& node, Activation& activation);
  Result<Flow> node(const WithStatement& node, Activation& activation);
  Result<Flow> node(const LoopControl& node, Activation& activation);

  Status write(std::string_view text);
  // Blocks that end with a call write what it gives only when that is a string.
  Status write_text(const Value& value, std::string_view from);
  // Runs a block with an output of its own; nothing when it was left by break or continue.
  struct Captured {
    Flow flow = Flow::kNormal;
    std::string text;
  };
  Result<Captured> capture(const Block& block, Activation& activation);

  // Items of a loop in the activation of its function, which for a recursive one is its own.
  struct LoopItems {
    Value items;
    std::int64_t depth0 = 0;
    Activation* outer = nullptr;
  };
  Result<Flow> run_loop(const ForStatement& node, LoopItems items, Activation& activation);
  Result<Value> run_recursive_loop(const ForStatement& node, LoopItems items);
  Result<LoopPtr> make_loop(const ForStatement& node, const LoopItems& items, IteratorPtr iterator);
  Status assign(const Target& target, const Value& value, Activation& activation);
  Status unpack(const Target& target, const Value& value, Activation& activation);
  Status assign_attribute(const Target& target, const Value& value, Activation& activation);
  static Status check_namespaces(const Target& target, Activation& activation);
  static void clear(const Target& target, Activation& activation);

  // Activations and scopes, in interpreter.cpp.
  // An activation, with its owner when that is not the interpreter.
  struct Activated {
    Activation* activation = nullptr;
    std::unique_ptr<Activation> owned;
  };
  Result<Activated> activate(const FunctionFrame& frame, Activation* outer);
  Status enter_scope(const std::vector<SlotLoad>& loads, Activation& activation);
  static void leave_scope(const std::vector<SlotLoad>& loads, Activation& activation);
  static Value& variable(SlotRef ref, Activation& activation);
  Value context_value(const std::string& name) const;
  Result<Value> call_macro(const MacroDefinition& macro, Activation* outer, Arguments arguments);
  Status bind_macro(const MacroDefinition& macro, Arguments arguments, Activation& activation);
  Status bind_special(const MacroDefinition& macro, Arguments& arguments, Activation& activation);
  Status fill_defaults(const MacroDefinition& macro, Activation& activation);
  Result<Value> make_macro(const MacroDefinition& macro, Activation& activation);

  // Expressions, in interpreter_expressions.cpp.
  Result<Value> evaluate(const Expression& expression, Activation& activation);
  Result<Value> evaluate_kind(const Expression& expression, Activation& activation);
  Result<Value> evaluate_name(const Expression& expression, Activation& activation);
  Result<std::vector<Value>> evaluate_all(const std::vector<ExpressionPtr>& expressions,
                                          Activation& activation);
  Result<Value> evaluate_dict(const Expression& expression, Activation& activation);
  Result<Value> evaluate_slice(const Expression& expression, Activation& activation);
  Result<Value> evaluate_call(const Expression& expression, Activation& activation,
                              const Value& caller);
  Result<Value> evaluate_filter(const Expression& expression, Activation& activation);
  Result<Value> evaluate_test(const Expression& expression, Activation& activation);
  Result<Value> evaluate_conditional(const Expression& expression, Activation& activation);
  Result<Value> evaluate_compare(const Expression& expression, Activation& activation);
  Result<bool> compare(Comparison comparison, const Value& left, const Value& right);
  Result<Value> evaluate_concat(const Expression& expression, Activation& activation);
  Status evaluate_arguments(const ArgumentExpressions& expressions, Activation& activation,
                            Arguments& arguments);

  const Program& program_;
  Sandbox& sandbox_;
  Variables variables_;  // Sorted by name.
  std::vector<std::unique_ptr<Activation>> kept_activations_;
  std::string* out_ = nullptr;
  std::uint64_t num_output_bytes_ = 0;  // Of all outputs that are being written.
  Value captured_;                      // What a filter without a value applies to.
  int line_ = 1;
};

}  // namespace millrace::jinja
