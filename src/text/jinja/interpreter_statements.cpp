// Executing statements: one function for each kind, and the running of loops.
#include "text/jinja/compare.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/iterate.h"
#include "text/jinja/loop.h"
#include "text/jinja/repr.h"

namespace millrace::jinja {

// The items of a loop that its condition lets through.
class FilteredItems final : public Iterator {
 public:
  FilteredItems(Interpreter& interpreter, const ForStatement& node, IteratorPtr items,
                Activation* outer)
      : interpreter_(interpreter), node_(node), items_(std::move(items)) {
    activation_.slots.resize(node.condition_frame.num_slots);
    activation_.outer = outer;
  }

  Result<std::optional<Value>> next(Sandbox& sandbox) override {
    if (!std::exchange(is_started_, true)) {
      TRY(interpreter_.enter_scope(node_.condition_loads, activation_));
    }
    while (const std::optional<Value> item = TRY(items_->next(sandbox))) {
      TRY(interpreter_.assign(node_.condition_target, *item, activation_));
      const Value holds = TRY(interpreter_.evaluate(*node_.condition, activation_));
      if (is_true(holds)) return std::optional<Value>(TRY(item_again(node_.condition_target)));
    }
    return std::optional<Value>();
  }

 private:
  // The item put together from the names that it was taken apart into.
  Result<Value> item_again(const Target& target) {
    if (target.kind == Target::Kind::kName) {
      return Interpreter::variable(target.ref, activation_);
    }
    std::vector<Value> items;
    for (const Target& item : target.items) items.push_back(TRY(item_again(item)));
    return interpreter_.sandbox_.tuple(std::move(items));
  }

  Interpreter& interpreter_;
  const ForStatement& node_;
  IteratorPtr items_;
  Activation activation_;
  bool is_started_ = false;
};

Result<Interpreter::Flow> Interpreter::execute(const Block& block, Activation& activation) {
  for (const Statement& statement : block) {
    const Flow flow = TRY(execute(statement, activation));
    if (flow != Flow::kNormal) return flow;
  }
  return Flow::kNormal;
}

Result<Interpreter::Flow> Interpreter::execute(const Statement& statement, Activation& activation) {
  TRY(sandbox_.spend(1));
  TRY(sandbox_.enter());
  const DepthGuard guard(sandbox_);
  line_ = statement.line;
  return std::visit([&](const auto& kind) { return node(kind, activation); }, statement.node);
}

Status Interpreter::write(std::string_view text) {
  const std::uint64_t bytes_max = sandbox_.limits().output_bytes_max;
  if (text.size() > bytes_max || num_output_bytes_ > bytes_max - text.size()) {
    return Error{ErrorCode::kTooLarge, "output exceeds " + std::to_string(bytes_max) + " bytes"};
  }
  TRY(sandbox_.spend_bytes(text.size()));
  num_output_bytes_ += text.size();
  *out_ += text;
  return Ok{};
}

Status Interpreter::write_text(const Value& value, std::string_view from) {
  if (value.is_string()) return write(value.text());
  return template_error("expected a string from " + std::string(from) + ", got " +
                        std::string(type_name(value)));
}

Result<Interpreter::Captured> Interpreter::capture(const Block& block, Activation& activation) {
  Captured captured;
  std::string* outer = std::exchange(out_, &captured.text);
  Result<Flow> flow = execute(block, activation);
  out_ = outer;
  captured.flow = TRY(std::move(flow));
  num_output_bytes_ -= captured.text.size();
  return captured;
}

Result<Interpreter::Flow> Interpreter::node(const OutputText& node, Activation&) {
  TRY(write(node.text));
  return Flow::kNormal;
}

Result<Interpreter::Flow> Interpreter::node(const OutputValue& node, Activation& activation) {
  const Value value = TRY(evaluate(*node.value, activation));
  if (value.is_string()) {
    TRY(write(value.text()));
  } else {
    TRY(write(TRY(to_str(sandbox_, value))));
  }
  return Flow::kNormal;
}

Result<Interpreter::Flow> Interpreter::node(const IfStatement& node, Activation& activation) {
  for (const IfStatement::Branch& branch : node.branches) {
    line_ = branch.condition->line;
    const Value condition = TRY(evaluate(*branch.condition, activation));
    if (is_true(condition)) return execute(branch.body, activation);
  }
  return execute(node.otherwise, activation);
}

Result<Interpreter::Flow> Interpreter::node(const SetStatement& node, Activation& activation) {
  TRY(check_namespaces(node.target, activation));
  const Value value = TRY(evaluate(*node.value, activation));
  TRY(assign(node.target, value, activation));
  return Flow::kNormal;
}

Result<Interpreter::Flow> Interpreter::node(const SetBlock& node, Activation& activation) {
  TRY(enter_scope(node.loads, activation));
  Captured captured = TRY(capture(node.body, activation));
  if (captured.flow != Flow::kNormal) return captured.flow;
  Value value = TRY(sandbox_.string(std::move(captured.text)));
  if (node.filter != nullptr) {
    captured_ = std::move(value);
    value = TRY(evaluate(*node.filter, activation));
  }
  if (node.target.kind == Target::Kind::kNamespaceAttribute) {
    TRY(check_namespaces(node.target, activation));
  }
  TRY(assign(node.target, value, activation));
  leave_scope(node.loads, activation);
  return Flow::kNormal;
}

Result<Interpreter::Flow> Interpreter::node(const FilterBlock& node, Activation& activation) {
  TRY(enter_scope(node.loads, activation));
  Captured captured = TRY(capture(node.body, activation));
  if (captured.flow != Flow::kNormal) return captured.flow;
  captured_ = TRY(sandbox_.string(std::move(captured.text)));
  const Value value = TRY(evaluate(*node.filter, activation));
  TRY(write_text(value, "a filter block"));
  leave_scope(node.loads, activation);
  return Flow::kNormal;
}

Result<Interpreter::Flow> Interpreter::node(const MacroStatement& node, Activation& activation) {
  TRY(assign(node.target, TRY(make_macro(*node.macro, activation)), activation));
  return Flow::kNormal;
}

Result<Interpreter::Flow> Interpreter::node(const CallBlock& node, Activation& activation) {
  if (node.call == nullptr) {
    const Value text = TRY(call_macro(*node.caller, &activation, {}));
    TRY(write(text.text()));
    return Flow::kNormal;
  }
  const Value caller = TRY(make_macro(*node.caller, activation));
  const Value value = TRY(evaluate_call(*node.call, activation, caller));
  TRY(write_text(value, "a call block"));
  return Flow::kNormal;
}

Result<Interpreter::Flow> Interpreter::node(const WithStatement& node, Activation& activation) {
  TRY(enter_scope(node.loads, activation));
  for (std::size_t i = 0; i < node.targets.size(); ++i) {
    const Value value = TRY(evaluate(*node.values[i], activation));
    TRY(assign(node.targets[i], value, activation));
  }
  const Flow flow = TRY(execute(node.body, activation));
  if (flow != Flow::kNormal) return flow;
  leave_scope(node.loads, activation);
  for (const Target& target : node.targets) clear(target, activation);
  return flow;
}

Result<Interpreter::Flow> Interpreter::node(const LoopControl& node, Activation&) {
  return node.kind == LoopControl::Kind::kBreak ? Flow::kBreak : Flow::kContinue;
}

Result<Interpreter::Flow> Interpreter::node(const ForStatement& node, Activation& activation) {
  LoopItems items;
  items.items = TRY(evaluate(*node.iterable, activation));
  items.outer = &activation;
  if (!node.is_recursive) return run_loop(node, std::move(items), activation);
  const Value text = TRY(run_recursive_loop(node, std::move(items)));
  TRY(write(text.text()));
  return Flow::kNormal;
}

Result<Value> Interpreter::run_recursive_loop(const ForStatement& node, LoopItems items) {
  TRY(sandbox_.enter());
  const DepthGuard guard(sandbox_);
  const Activated activated = TRY(activate(node.frame, items.outer));
  std::string text;
  std::string* outer = std::exchange(out_, &text);
  Result<Flow> flow = run_loop(node, std::move(items), *activated.activation);
  out_ = outer;
  TRY(std::move(flow));
  num_output_bytes_ -= text.size();
  return sandbox_.string(std::move(text));
}

Result<LoopPtr> Interpreter::make_loop(const ForStatement& node, const LoopItems& items,
                                       IteratorPtr iterator) {
  std::optional<std::int64_t> size;
  if (node.condition == nullptr && !items.items.is(Kind::kIterator))
    size = TRY(length(items.items));
  Loop::Recurse recurse;
  if (node.is_recursive) {
    recurse = [this, &node, outer = items.outer](const Value& inner, std::int64_t depth0) {
      return run_recursive_loop(node, LoopItems{inner, depth0, outer});
    };
  }
  auto loop = std::make_shared<Loop>(std::move(iterator), size, items.depth0, std::move(recurse));
  loop->remember_self(loop);
  TRY(sandbox_.adopt(Kind::kObject, loop, sizeof(Loop)));
  return loop;
}

Result<Interpreter::Flow> Interpreter::run_loop(const ForStatement& node, LoopItems items,
                                                Activation& activation) {
  IteratorPtr iterator = TRY(iterate(sandbox_, items.items));
  if (node.condition != nullptr) {
    auto filtered = std::make_shared<FilteredItems>(*this, node, iterator, items.outer);
    TRY(sandbox_.adopt(Kind::kIterator, filtered,
                       sizeof(FilteredItems) + node.condition_frame.num_slots * sizeof(Value)));
    iterator = std::move(filtered);
  }
  LoopPtr loop;
  if (node.loop_slot) {
    activation.slots[*node.loop_slot] = Value();
    loop = TRY(make_loop(node, items, iterator));
  }
  // Stays so when each round was cut short by break or continue, as in jinja2.
  bool runs_otherwise = true;
  Flow flow = Flow::kNormal;
  while (flow != Flow::kBreak) {
    const std::optional<Value> item =
        TRY(loop != nullptr ? loop->advance(sandbox_) : iterator->next(sandbox_));
    if (!item) break;
    TRY(assign(node.target, *item, activation));
    if (loop != nullptr) activation.slots[*node.loop_slot] = Value(Kind::kObject, loop);
    TRY(enter_scope(node.body_loads, activation));
    flow = TRY(execute(node.body, activation));
    if (flow == Flow::kNormal) runs_otherwise = false;
  }
  leave_scope(node.body_loads, activation);
  clear(node.target, activation);
  if (node.loop_slot) activation.slots[*node.loop_slot] = Value();
  if (!runs_otherwise || node.otherwise.empty()) return Flow::kNormal;
  TRY(enter_scope(node.otherwise_loads, activation));
  flow = TRY(execute(node.otherwise, activation));
  leave_scope(node.otherwise_loads, activation);
  return flow;
}

Status Interpreter::assign(const Target& target, const Value& value, Activation& activation) {
  switch (target.kind) {
    case Target::Kind::kName:
      variable(target.ref, activation) = value;
      return Ok{};
    case Target::Kind::kNamespaceAttribute:
      return assign_attribute(target, value, activation);
    case Target::Kind::kTuple:
      return unpack(target, value, activation);
  }
  return Ok{};
}

Status Interpreter::assign_attribute(const Target& target, const Value& value,
                                     Activation& activation) {
  if (target.attribute.starts_with('_')) {
    return template_error("a namespace cannot hold '" + target.attribute +
                          "', which starts with an underscore");
  }
  Namespace& space = variable(target.ref, activation).name_space();
  TRY(sandbox_.spend_items(space.attributes.size()));
  space.set(target.attribute, value);
  return Ok{};
}

Status Interpreter::unpack(const Target& target, const Value& value, Activation& activation) {
  const std::size_t num_targets = target.items.size();
  const IteratorPtr items = TRY(iterate(sandbox_, value));
  std::vector<Value> values;
  while (std::optional<Value> item = TRY(items->next(sandbox_))) {
    if (values.size() == num_targets) {
      return template_error("too many values to unpack (expected " + std::to_string(num_targets) +
                            ")");
    }
    values.push_back(std::move(*item));
  }
  if (values.size() < num_targets) {
    return template_error("not enough values to unpack (expected " + std::to_string(num_targets) +
                          ", got " + std::to_string(values.size()) + ")");
  }
  for (std::size_t i = 0; i < num_targets; ++i) {
    TRY(assign(target.items[i], values[i], activation));
  }
  return Ok{};
}

Status Interpreter::check_namespaces(const Target& target, Activation& activation) {
  if (target.kind == Target::Kind::kNamespaceAttribute &&
      !variable(target.ref, activation).is(Kind::kNamespace)) {
    return template_error("cannot assign attribute on non-namespace object");
  }
  for (const Target& item : target.items) TRY(check_namespaces(item, activation));
  return Ok{};
}

void Interpreter::clear(const Target& target, Activation& activation) {
  if (target.kind == Target::Kind::kName) variable(target.ref, activation) = Value();
  for (const Target& item : target.items) clear(item, activation);
}

}  // namespace millrace::jinja
