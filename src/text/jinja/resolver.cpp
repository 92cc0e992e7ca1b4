// Two walks over each scope: one that collects what is set and read there, one that hands out
// slots.
#include "text/jinja/resolver.h"

#include <algorithm>
#include <string>

#include "text/jinja/lexer.h"
#include "text/jinja/name_walk.h"
#include "text/jinja/symbols.h"

namespace millrace::jinja {
namespace {

// Collects what one scope sets and reads. Inner scopes are not entered, only what they evaluate in
// this one is seen.
class ScopeAnalysis {
 public:
  explicit ScopeAnalysis(Symbols& symbols) : symbols_(symbols) {}

  void block(const Block& block) {
    for (const Statement& statement : block) std::visit(*this, statement.node);
  }
  void expression(const Expression& expression) {
    walk_names(expression, [this](const std::string& name, NameUse) { symbols_.load(name); });
  }
  void target(const Target& target, NameUse use) {
    if (target.kind == Target::Kind::kNamespaceAttribute) symbols_.load(target.name);
    if (target.kind == Target::Kind::kName) {
      use == NameUse::kParameter ? symbols_.declare_parameter(target.name)
                                 : symbols_.store(target.name);
    }
    for (const Target& item : target.items) this->target(item, use);
  }
  void macro(const MacroDefinition& macro) {
    for (const std::string& parameter : macro.parameters) symbols_.declare_parameter(parameter);
    for (const ExpressionPtr& value : macro.defaults) expression(*value);
    block(macro.body);
  }

  void operator()(const OutputText&) {}
  void operator()(const LoopControl&) {}
  void operator()(const OutputValue& node) { expression(*node.value); }
  void operator()(const IfStatement& node) {
    expression(*node.branches.front().condition);
    Symbols body = symbols_.branch();
    ScopeAnalysis(body).block(node.branches.front().body);
    Symbols alternatives = symbols_.branch();
    for (std::size_t i = 1; i < node.branches.size(); ++i) {
      ScopeAnalysis(alternatives).alternative(node.branches[i]);
    }
    Symbols otherwise = symbols_.branch();
    ScopeAnalysis(otherwise).block(node.otherwise);
    symbols_.merge_branches({std::move(body), std::move(alternatives), std::move(otherwise)});
  }
  void operator()(const ForStatement& node) { expression(*node.iterable); }
  void operator()(const SetStatement& node) {
    expression(*node.value);
    target(node.target, NameUse::kStore);
  }
  void operator()(const SetBlock& node) { target(node.target, NameUse::kStore); }
  void operator()(const MacroStatement& node) { symbols_.store(node.target.name); }
  void operator()(const CallBlock& node) {
    if (node.call != nullptr) expression(*node.call);
  }
  void operator()(const FilterBlock& node) { expression(*node.filter); }
  void operator()(const WithStatement& node) {
    for (const ExpressionPtr& value : node.values) expression(*value);
  }

 private:
  void alternative(const IfStatement::Branch& branch) {
    expression(*branch.condition);
    Symbols body = symbols_.branch();
    ScopeAnalysis(body).block(branch.body);
    symbols_.merge_branches({std::move(body)});
  }

  Symbols& symbols_;
};

// Whether a name is read in a block before the block itself sets it.
bool reads_outer(const Block& block, std::string_view name) {
  bool reads = false;
  bool is_hidden = false;
  walk_names(block, [&](const std::string& found, NameUse use) {
    if (found != name || is_hidden) return;
    use == NameUse::kLoad ? reads = true : is_hidden = true;
  });
  return reads;
}

// A scope while slots are handed out. In a soft one, right inside an if, a filter may be unknown.
struct Frame {
  Symbols& symbols;
  bool is_soft = false;

  Frame soft() const { return Frame{symbols, true}; }
};

class Resolver {
 public:
  Status program(Program& program) {
    FunctionScope function{nullptr, &program.frame, {}};
    Symbols symbols(nullptr, &function);
    ScopeAnalysis(symbols).block(program.body);
    TRY(block(program.body, Frame{symbols}));
    program.loads = symbols.slot_loads();
    return Ok{};
  }

 private:
  Status block(Block& block, Frame frame) {
    for (Statement& statement : block) {
      TRY(std::visit([&](auto& node) { return this->node(node, frame); }, statement.node));
    }
    return Ok{};
  }

  Status expression(Expression& expression, Frame outer) {
    const Frame frame = expression.kind == ExpressionKind::kConditional ? outer.soft() : outer;
    if (expression.kind == ExpressionKind::kName) {
      expression.ref = TRY(ref(expression.name, expression.line, frame));
    }
    if (expression.kind == ExpressionKind::kFilter) {
      expression.filter = find_filter(expression.name);
      if (expression.filter == nullptr && !frame.is_soft) return unknown("filter", expression);
    }
    if (expression.kind == ExpressionKind::kTest) {
      expression.predicate = find_predicate(expression.name);
      if (expression.predicate == nullptr && !frame.is_soft) return unknown("test", expression);
    }
    for (ExpressionPtr& operand : expression.operands) TRY(optional(operand, frame));
    if (expression.arguments == nullptr) return Ok{};
    for (ExpressionPtr& argument : expression.arguments->positional) TRY(optional(argument, frame));
    for (auto& [name, argument] : expression.arguments->named) TRY(optional(argument, frame));
    TRY(optional(expression.arguments->star, frame));
    return optional(expression.arguments->double_star, frame);
  }
  Status optional(ExpressionPtr& value, Frame frame) {
    return value == nullptr ? Status(Ok{}) : expression(*value, frame);
  }

  static Error unknown(std::string_view what, const Expression& expression) {
    return unsupported_error("chat template line " + std::to_string(expression.line) + ": no " +
                             std::string(what) + " named '" + expression.name + "'");
  }

  static Result<SlotRef> ref(const std::string& name, int line, Frame frame) {
    const Symbol* symbol = frame.symbols.find(name);
    if (symbol == nullptr) return syntax_error(line, "name '" + name + "' cannot be used here");
    return frame.symbols.ref(*symbol);
  }

  Status target(Target& target, Frame frame) {
    if (target.kind != Target::Kind::kTuple) target.ref = TRY(ref(target.name, target.line, frame));
    for (Target& item : target.items) TRY(this->target(item, frame));
    return Ok{};
  }

  Status node(OutputText&, Frame) { return Ok{}; }
  Status node(LoopControl&, Frame) { return Ok{}; }
  Status node(OutputValue& node, Frame frame) { return expression(*node.value, frame); }

  Status node(IfStatement& node, Frame frame) {
    for (IfStatement::Branch& branch : node.branches) {
      TRY(expression(*branch.condition, frame.soft()));
      TRY(block(branch.body, frame.soft()));
    }
    return block(node.otherwise, frame.soft());
  }

  Status node(SetStatement& node, Frame frame) {
    TRY(target(node.target, frame));
    return expression(*node.value, frame);
  }

  Status node(SetBlock& node, Frame frame) {
    Symbols symbols(&frame.symbols, frame.symbols.function());
    ScopeAnalysis(symbols).block(node.body);
    TRY(block(node.body, Frame{symbols}));
    TRY(target(node.target, frame));
    TRY(optional(node.filter, Frame{symbols}));
    node.loads = symbols.slot_loads();
    return Ok{};
  }

  Status node(FilterBlock& node, Frame frame) {
    Symbols symbols(&frame.symbols, frame.symbols.function());
    ScopeAnalysis analysis(symbols);
    analysis.block(node.body);
    analysis.expression(*node.filter);
    TRY(block(node.body, Frame{symbols}));
    TRY(expression(*node.filter, Frame{symbols}));
    node.loads = symbols.slot_loads();
    return Ok{};
  }

  Status node(WithStatement& node, Frame frame) {
    Symbols symbols(&frame.symbols, frame.symbols.function());
    ScopeAnalysis analysis(symbols);
    for (const Target& target : node.targets) analysis.target(target, NameUse::kParameter);
    analysis.block(node.body);
    for (Target& target : node.targets) TRY(this->target(target, Frame{symbols}));
    for (ExpressionPtr& value : node.values) TRY(expression(*value, frame));
    TRY(block(node.body, Frame{symbols}));
    node.loads = symbols.slot_loads();
    return Ok{};
  }

  Status node(MacroStatement& node, Frame frame) {
    TRY(macro(*node.macro, frame));
    return target(node.target, frame);
  }

  Status node(CallBlock& node, Frame frame) {
    TRY(macro(*node.caller, frame));
    return optional(node.call, frame);
  }

  Status macro(MacroDefinition& macro, Frame frame) {
    FunctionScope* outer = frame.symbols.function();
    outer->frame->has_closures = true;
    FunctionScope function{outer, &macro.frame, {}};
    Symbols symbols(&frame.symbols, &function);
    ScopeAnalysis(symbols).macro(macro);
    TRY(declare_special(macro, symbols));
    ScopeAnalysis(symbols).macro(macro);
    for (const std::string& parameter : macro.parameters) {
      macro.parameter_slots.push_back(symbols.ref(*symbols.find(parameter)).slot);
    }
    for (ExpressionPtr& value : macro.defaults) TRY(expression(*value, Frame{symbols}));
    TRY(block(macro.body, Frame{symbols}));
    macro.loads = symbols.slot_loads();
    return Ok{};
  }

  // caller, kwargs and varargs are parameters of a macro that reads them.
  static Status declare_special(MacroDefinition& macro, Symbols& symbols) {
    const auto parameter_index = [&](std::string_view name) {
      return std::find(macro.parameters.begin(), macro.parameters.end(), name) -
             macro.parameters.begin();
    };
    const auto declare = [&](const std::string& name, std::optional<std::uint32_t>& slot) {
      const bool is_parameter =
          parameter_index(name) != static_cast<std::ptrdiff_t>(macro.parameters.size());
      if (!reads_outer(macro.body, name) || is_parameter) return;
      symbols.declare_parameter(name);
      slot = symbols.ref(*symbols.find(name)).slot;
    };
    const auto num_required =
        static_cast<std::ptrdiff_t>(macro.parameters.size() - macro.defaults.size());
    if (reads_outer(macro.body, "caller") && parameter_index("caller") < num_required) {
      return syntax_error(macro.line, "parameter 'caller' must have a default");
    }
    declare("caller", macro.caller_slot);
    declare("kwargs", macro.kwargs_slot);
    declare("varargs", macro.varargs_slot);
    return Ok{};
  }

  Status node(ForStatement& node, Frame frame) {
    if (sets_loop(node)) {
      return syntax_error(node.target.line, "the variable 'loop' cannot be set in a loop");
    }
    FunctionScope* outer = frame.symbols.function();
    FunctionScope own{outer, &node.frame, {}};
    if (node.is_recursive) outer->frame->has_closures = true;
    FunctionScope* function = node.is_recursive ? &own : outer;

    Symbols body(&frame.symbols, function);
    if (node.is_recursive || reads_outer(node.body, "loop")) {
      body.declare_parameter("loop");
      node.loop_slot = body.ref(*body.find("loop")).slot;
    }
    ScopeAnalysis analysis(body);
    analysis.target(node.target, NameUse::kParameter);
    analysis.block(node.body);
    Symbols otherwise(&frame.symbols, function);
    ScopeAnalysis(otherwise).block(node.otherwise);

    if (node.condition != nullptr) TRY(condition(node, frame));
    TRY(target(node.target, Frame{body}));
    TRY(expression(*node.iterable, frame));
    TRY(block(node.body, Frame{body}));
    TRY(block(node.otherwise, Frame{otherwise}));
    node.body_loads = body.slot_loads();
    node.otherwise_loads = otherwise.slot_loads();
    return Ok{};
  }

  Status condition(ForStatement& node, Frame frame) {
    FunctionScope* outer = frame.symbols.function();
    outer->frame->has_closures = true;
    FunctionScope function{outer, &node.condition_frame, {}};
    Symbols symbols(&frame.symbols, &function);
    ScopeAnalysis analysis(symbols);
    analysis.target(node.condition_target, NameUse::kParameter);
    analysis.expression(*node.condition);
    TRY(target(node.condition_target, Frame{symbols}));
    TRY(expression(*node.condition, Frame{symbols}));
    node.condition_loads = symbols.slot_loads();
    return Ok{};
  }

  static bool sets_loop(const ForStatement& node) {
    bool sets = false;
    const auto note = [&](const std::string& name, NameUse use) {
      if (name == "loop" && use == NameUse::kStore) sets = true;
    };
    walk_names(node.target, NameUse::kStore, note);
    walk_names(node.body, note);
    walk_names(node.otherwise, note);
    return sets;
  }
};

}  // namespace

Status resolve_names(Program& program) {
  return Resolver().program(program);
}

}  // namespace millrace::jinja
