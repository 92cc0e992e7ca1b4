// Activations, scopes and macros.
#include "text/jinja/interpreter.h"

#include <algorithm>

#include "text/jinja/global.h"

namespace millrace::jinja {

// A macro, or the body of a call block, with the variables that it sees.
class Macro final : public Opaque {
 public:
  Macro(Interpreter& interpreter, const MacroDefinition& macro, Activation& outer)
      : interpreter_(interpreter), macro_(macro), outer_(outer) {}

  std::string_view type_name() const override { return "Macro"; }
  Result<std::string> repr(Sandbox&) override {
    return macro_.name ? "<Macro '" + *macro_.name + "'>" : "<Macro anonymous>";
  }
  bool is_callable() const override { return true; }
  Result<Value> call(Sandbox&, Arguments arguments) override {
    return interpreter_.call_macro(macro_, &outer_, std::move(arguments));
  }
  Result<std::optional<Value>> attribute(Sandbox& sandbox, std::string_view name) override {
    if (name == "name") {
      if (!macro_.name) return std::optional<Value>(Value::none());
      return std::optional<Value>(TRY(sandbox.string(*macro_.name)));
    }
    if (name == "caller") {
      return std::optional<Value>(Value::boolean(macro_.caller_slot.has_value()));
    }
    if (name == "catch_kwargs") {
      return std::optional<Value>(Value::boolean(macro_.kwargs_slot.has_value()));
    }
    if (name == "catch_varargs") {
      return std::optional<Value>(Value::boolean(macro_.varargs_slot.has_value()));
    }
    if (name != "arguments") return std::optional<Value>();
    std::vector<Value> names;
    for (const std::string& parameter : macro_.parameters) {
      names.push_back(TRY(sandbox.string(parameter)));
    }
    return std::optional<Value>(TRY(sandbox.tuple(std::move(names))));
  }

 private:
  Interpreter& interpreter_;
  const MacroDefinition& macro_;
  Activation& outer_;
};

Result<std::string> Interpreter::run() {
  std::string out;
  out_ = &out;
  const auto body = [this]() -> Status {
    const Activated activated = TRY(activate(program_.frame, nullptr));
    TRY(enter_scope(program_.loads, *activated.activation));
    TRY(execute(program_.body, *activated.activation));
    return Ok{};
  };
  Status status = body();
  if (status.ok()) return out;
  Error error = std::move(status).error();
  if (sandbox_.raised()) return error;
  return with_context(std::move(error), "chat template line " + std::to_string(line_));
}

Result<Interpreter::Activated> Interpreter::activate(const FunctionFrame& frame,
                                                     Activation* outer) {
  const std::uint64_t num_bytes = sizeof(Activation) + frame.num_slots * sizeof(Value);
  TRY(sandbox_.reserve(num_bytes));
  // Of all nodes, calls of macros and recursive loops cost most.
  TRY(sandbox_.spend(4 + frame.num_slots / 4));
  Activated activated;
  activated.owned = std::make_unique<Activation>();
  activated.activation = activated.owned.get();
  activated.activation->slots.resize(frame.num_slots);
  activated.activation->outer = outer;
  if (frame.has_closures) {
    kept_activations_.push_back(std::move(activated.owned));
    sandbox_.meter().live_bytes += num_bytes;
  }
  return activated;
}

Value& Interpreter::variable(SlotRef ref, Activation& activation) {
  Activation* at = &activation;
  for (std::uint32_t i = 0; i < ref.num_hops; ++i) at = at->outer;
  return at->slots[ref.slot];
}

Interpreter::Interpreter(const Program& program, Sandbox& sandbox, Variables variables)
    : program_(program), sandbox_(sandbox), variables_(std::move(variables)) {
  std::stable_sort(variables_.begin(), variables_.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
}

Value Interpreter::context_value(const std::string& name) const {
  const auto found =
      std::lower_bound(variables_.begin(), variables_.end(), name,
                       [](const auto& variable, const auto& n) { return variable.first < n; });
  if (found != variables_.end() && found->first == name) return found->second;
  return find_global(name).value_or(Value());
}

Status Interpreter::enter_scope(const std::vector<SlotLoad>& loads, Activation& activation) {
  TRY(sandbox_.spend(1 + loads.size()));
  for (const SlotLoad& load : loads) {
    Value& slot = activation.slots[load.slot];
    switch (load.from) {
      case SlotLoad::From::kMissing:
        slot = Value();
        break;
      case SlotLoad::From::kContext:
        TRY(sandbox_.spend_bytes(load.name.size()));
        slot = context_value(load.name);
        break;
      case SlotLoad::From::kOuter:
        slot = variable(load.outer, activation);
        break;
    }
  }
  return Ok{};
}

void Interpreter::leave_scope(const std::vector<SlotLoad>& loads, Activation& activation) {
  for (const SlotLoad& load : loads) activation.slots[load.slot] = Value();
}

Result<Value> Interpreter::make_macro(const MacroDefinition& macro, Activation& activation) {
  return sandbox_.adopt(Kind::kObject, std::make_shared<Macro>(*this, macro, activation),
                        sizeof(Macro));
}

Result<Value> Interpreter::call_macro(const MacroDefinition& macro, Activation* outer,
                                      Arguments arguments) {
  TRY(sandbox_.enter());
  const DepthGuard guard(sandbox_);
  const int line = line_;
  const Activated activated = TRY(activate(macro.frame, outer));
  Activation& activation = *activated.activation;
  TRY(bind_macro(macro, std::move(arguments), activation));
  TRY(enter_scope(macro.loads, activation));
  TRY(fill_defaults(macro, activation));
  Captured captured = TRY(capture(macro.body, activation));
  line_ = line;
  return sandbox_.string(std::move(captured.text));
}

// Positional arguments first, then names; what is left missing gets a default later.
Status Interpreter::bind_macro(const MacroDefinition& macro, Arguments arguments,
                               Activation& activation) {
  const std::size_t num_parameters = macro.parameters.size();
  const std::size_t num_positional = std::min(num_parameters, arguments.positional.size());
  for (std::size_t i = 0; i < num_positional; ++i) {
    activation.slots[macro.parameter_slots[i]] = arguments.positional[i];
  }
  for (std::size_t i = num_positional; i < num_parameters; ++i) {
    const auto named =
        std::find_if(arguments.named.begin(), arguments.named.end(),
                     [&](const auto& argument) { return argument.first == macro.parameters[i]; });
    if (named == arguments.named.end()) continue;
    activation.slots[macro.parameter_slots[i]] = std::move(named->second);
    arguments.named.erase(named);
  }
  return bind_special(macro, arguments, activation);
}

// caller, kwargs and varargs; arguments that nothing takes are an error.
Status Interpreter::bind_special(const MacroDefinition& macro, Arguments& arguments,
                                 Activation& activation) {
  const std::string shown = macro.name ? "'" + *macro.name + "'" : "of a call block";
  if (macro.caller_slot) {
    Value& caller = activation.slots[*macro.caller_slot];
    const auto named =
        std::find_if(arguments.named.begin(), arguments.named.end(),
                     [](const auto& argument) { return argument.first == "caller"; });
    if (named != arguments.named.end()) {
      caller = std::move(named->second);
      arguments.named.erase(named);
    }
    if (caller.is_missing() || caller.is_none()) {
      caller = TRY(sandbox_.undefined("No caller defined"));
    }
  }
  if (macro.kwargs_slot) {
    std::vector<std::pair<Value, Value>> entries;
    for (auto& [name, value] : arguments.named) {
      entries.emplace_back(TRY(sandbox_.string(name)), std::move(value));
    }
    activation.slots[*macro.kwargs_slot] = TRY(sandbox_.dict(std::move(entries)));
  } else if (!arguments.named.empty()) {
    return template_error("macro " + shown + " takes no keyword argument '" +
                          arguments.named.front().first + "'");
  }
  const std::size_t num_taken = std::min(macro.parameters.size(), arguments.positional.size());
  if (macro.varargs_slot) {
    const auto rest = arguments.positional.begin() + static_cast<std::ptrdiff_t>(num_taken);
    activation.slots[*macro.varargs_slot] =
        TRY(sandbox_.tuple(std::vector<Value>(rest, arguments.positional.end())));
  } else if (arguments.positional.size() > macro.parameters.size()) {
    return template_error("macro " + shown + " takes not more than " +
                          std::to_string(macro.parameters.size()) + " arguments");
  }
  return Ok{};
}

Status Interpreter::fill_defaults(const MacroDefinition& macro, Activation& activation) {
  const std::size_t num_required = macro.parameters.size() - macro.defaults.size();
  for (std::size_t i = 0; i < macro.parameters.size(); ++i) {
    const std::uint32_t slot = macro.parameter_slots[i];
    if (!activation.slots[slot].is_missing()) continue;
    Value value;
    if (i < num_required) {
      value = TRY(sandbox_.undefined("parameter '" + shown_name(macro.parameters[i]) +
                                     "' was not provided"));
    } else {
      value = TRY(evaluate(*macro.defaults[i - num_required], activation));
    }
    activation.slots[slot] = std::move(value);
  }
  return Ok{};
}

}  // namespace millrace::jinja
