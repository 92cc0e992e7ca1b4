// Each global is a stateless function object, made once and shared by all renderings.
#include "text/jinja/global.h"

#include <array>

#include "text/jinja/arguments.h"
#include "text/jinja/format_time.h"
#include "text/jinja/iterate.h"
#include "text/jinja/method.h"
#include "text/jinja/repr.h"

namespace millrace::jinja {
namespace {

using Function = Result<Value> (*)(Sandbox& sandbox, Arguments arguments);

class Global final : public Opaque {
 public:
  Global(std::string_view name, Function function) : name_(name), function_(function) {}

  std::string_view type_name() const override { return "function"; }
  Result<std::string> repr(Sandbox&) override { return "<function " + std::string(name_) + ">"; }
  bool is_callable() const override { return true; }
  Result<Value> call(Sandbox& sandbox, Arguments arguments) override {
    return function_(sandbox, std::move(arguments));
  }
  Result<std::optional<Value>> attribute(Sandbox& sandbox, std::string_view name) override {
    if (name_ != "dict" || name != "fromkeys") return std::optional<Value>();
    const Value empty = TRY(sandbox.dict({}));
    return std::optional<Value>(TRY(bind_method(sandbox, empty, *find_method(empty, name))));
  }

 private:
  std::string_view name_;
  Function function_;
};

// Gives its items in turn, over and over.
class Cycler final : public Opaque {
 public:
  explicit Cycler(std::vector<Value> items) : items_(std::move(items)) {}

  std::string_view type_name() const override { return "Cycler"; }
  Result<std::optional<Value>> attribute(Sandbox& sandbox, std::string_view name) override;
  void remember_self(const std::shared_ptr<Cycler>& self) { self_ = self; }

  Value current() const { return items_[position_]; }
  Value next() {
    const Value value = current();
    position_ = (position_ + 1) % items_.size();
    return value;
  }
  void reset() { position_ = 0; }

 private:
  std::vector<Value> items_;
  std::size_t position_ = 0;
  std::weak_ptr<Cycler> self_;
};

class CyclerFunction final : public Opaque {
 public:
  enum class Which : std::uint8_t { kNext, kReset };
  CyclerFunction(std::shared_ptr<Cycler> cycler, Which which)
      : cycler_(std::move(cycler)), which_(which) {}

  std::string_view type_name() const override { return "method"; }
  bool is_callable() const override { return true; }
  Result<Value> call(Sandbox&, Arguments arguments) override {
    TRY(bind(arguments, {"cycler", {}, 0}));
    if (which_ == Which::kNext) return cycler_->next();
    cycler_->reset();
    return Value::none();
  }

 private:
  std::shared_ptr<Cycler> cycler_;
  Which which_;
};

Result<std::optional<Value>> Cycler::attribute(Sandbox& sandbox, std::string_view name) {
  if (name == "current") return std::optional<Value>(current());
  if (name == "pos") return std::optional(Value::integer(static_cast<std::int64_t>(position_)));
  if (name == "items") return std::optional<Value>(TRY(sandbox.tuple(items_)));
  if (name != "next" && name != "reset") return std::optional<Value>();
  using Which = CyclerFunction::Which;
  auto function =
      std::make_shared<CyclerFunction>(self_.lock(), name == "next" ? Which::kNext : Which::kReset);
  return std::optional<Value>(
      TRY(sandbox.adopt(Kind::kObject, std::move(function), sizeof(CyclerFunction))));
}

// Nothing at its first call, the separator at all others.
class Joiner final : public Opaque {
 public:
  explicit Joiner(Value separator) : separator_(std::move(separator)) {}

  std::string_view type_name() const override { return "Joiner"; }
  bool is_callable() const override { return true; }
  Result<Value> call(Sandbox& sandbox, Arguments arguments) override {
    TRY(bind(arguments, {"joiner", {}, 0}));
    if (std::exchange(is_used_, true)) return separator_;
    return sandbox.string("");
  }
  Result<std::optional<Value>> attribute(Sandbox&, std::string_view name) override {
    if (name == "sep") return std::optional<Value>(separator_);
    if (name == "used") return std::optional(Value::boolean(is_used_));
    return std::optional<Value>();
  }

 private:
  Value separator_;
  bool is_used_ = false;
};

// The arguments of dict(): a mapping or pairs, and names.
Result<Value> make_dict(Sandbox& sandbox, Arguments arguments) {
  std::vector<std::pair<Value, Value>> entries;
  if (arguments.positional.size() > 1) return template_error("dict expected at most 1 argument");
  if (!arguments.positional.empty()) {
    const Value& from = arguments.positional[0];
    if (from.is(Kind::kDict)) {
      entries = from.dict().entries;
    } else {
      for (const Value& pair : TRY(collect(sandbox, from))) {
        const std::vector<Value> parts = TRY(collect(sandbox, pair));
        if (parts.size() != 2) {
          return template_error("dictionary update sequence element has length " +
                                std::to_string(parts.size()) + "; 2 is required");
        }
        entries.emplace_back(parts[0], parts[1]);
      }
    }
  }
  for (auto& [name, value] : arguments.named) {
    entries.emplace_back(TRY(sandbox.string(name)), std::move(value));
  }
  return sandbox.dict(std::move(entries));
}

Result<Value> make_namespace(Sandbox& sandbox, Arguments arguments) {
  const Value dict = TRY(make_dict(sandbox, std::move(arguments)));
  const Value space = TRY(sandbox.name_space());
  for (const auto& [key, value] : dict.dict().entries) {
    if (!key.is_string()) return unsupported_error("a namespace with names that are no strings");
    if (key.text().starts_with('_')) {
      return template_error("a namespace cannot hold '" + key.text() +
                            "', which starts with an underscore");
    }
    space.name_space().attributes.emplace_back(key.text(), value);
  }
  return space;
}

Result<Value> make_range(Sandbox& sandbox, Arguments arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"range", {"", "", ""}, 1}));
  const std::int64_t first = TRY(to_index(bound[0]));
  if (bound[1].is_missing()) return sandbox.range(0, first, 1);
  const std::int64_t stop = TRY(to_index(bound[1]));
  return sandbox.range(first, stop, bound[2].is_missing() ? 1 : TRY(to_index(bound[2])));
}

Result<Value> make_cycler(Sandbox& sandbox, Arguments arguments) {
  if (!arguments.named.empty()) return template_error("cycler() takes no named arguments");
  if (arguments.positional.empty()) return template_error("at least one item has to be provided");
  const std::uint64_t num_bytes = sizeof(Cycler) + arguments.positional.capacity() * sizeof(Value);
  auto cycler = std::make_shared<Cycler>(std::move(arguments.positional));
  cycler->remember_self(cycler);
  return sandbox.adopt(Kind::kObject, std::move(cycler), num_bytes);
}

Result<Value> make_joiner(Sandbox& sandbox, Arguments arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"joiner", {"sep"}, 0}));
  Value separator = bound[0];
  if (separator.is_missing()) separator = TRY(sandbox.string(", "));
  return sandbox.adopt(Kind::kObject, std::make_shared<Joiner>(std::move(separator)),
                       sizeof(Joiner));
}

Result<Value> raise_exception(Sandbox& sandbox, Arguments arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"raise_exception", {"message"}, 1}));
  std::string message = TRY(to_str(sandbox, bound[0]));
  sandbox.note_raised();
  return template_error(std::move(message));
}

Result<Value> strftime_now(Sandbox& sandbox, Arguments arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"strftime_now", {"format"}, 1}));
  const std::string_view format = TRY(to_text(bound[0], "strftime_now"));
  return sandbox.string(TRY(format_time(sandbox, format)));
}

Result<Value> refuse_lipsum(Sandbox&, Arguments) {
  return unsupported_error("the function 'lipsum'");
}

struct NamedGlobal {
  std::string_view name;
  Value value;
};

Value function(std::string_view name, Function function) {
  return Value(Kind::kObject, std::make_shared<Global>(name, function));
}

}  // namespace

std::optional<Value> find_global(std::string_view name) {
  static const std::array<NamedGlobal, 8> kGlobals = {{
      {"cycler", function("cycler", make_cycler)},
      {"dict", function("dict", make_dict)},
      {"joiner", function("joiner", make_joiner)},
      {"lipsum", function("lipsum", refuse_lipsum)},
      {"namespace", function("namespace", make_namespace)},
      {"raise_exception", function("raise_exception", raise_exception)},
      {"range", function("range", make_range)},
      {"strftime_now", function("strftime_now", strftime_now)},
  }};
  for (const NamedGlobal& global : kGlobals) {
    if (global.name == name) return global.value;
  }
  return std::nullopt;
}

}  // namespace millrace::jinja
