// Methods of lists, tuples, ranges and dicts; those of strings are looked up here too.
#include "text/jinja/method.h"

#include <algorithm>
#include <array>

#include "text/jinja/arguments.h"
#include "text/jinja/attribute.h"
#include "text/jinja/compare.h"
#include "text/jinja/iterate.h"

namespace millrace::jinja {
namespace {

class BoundMethod final : public Opaque {
 public:
  BoundMethod(Value self, const Method& method) : self_(std::move(self)), method_(method) {}

  std::string_view type_name() const override { return "builtin_function_or_method"; }
  Result<std::string> repr(Sandbox&) override {
    return "<built-in method " + std::string(method_.name) + " of " +
           std::string(jinja::type_name(self_)) + " object>";
  }
  bool is_callable() const override { return true; }
  Result<Value> call(Sandbox& sandbox, Arguments arguments) override {
    return method_.call(sandbox, self_, arguments);
  }

 private:
  Value self_;
  const Method& method_;
};

Result<Value> count_items(Sandbox& sandbox, const Value& self, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"count", {""}, 1}));
  const IteratorPtr items = TRY(iterate(sandbox, self));
  std::int64_t num_equal = 0;
  while (const std::optional<Value> item = TRY(items->next(sandbox))) {
    if (TRY(equal(sandbox, *item, bound[0]))) ++num_equal;
  }
  return Value::integer(num_equal);
}

Result<Value> index_of_item(Sandbox& sandbox, const Value& self, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"index", {"", "", ""}, 1}));
  const Span span = TRY(clip_span(bound[1], bound[2], TRY(length(self))));
  const IteratorPtr items = TRY(iterate(sandbox, self));
  for (std::int64_t i = 0; const std::optional<Value> item = TRY(items->next(sandbox)); ++i) {
    if (i < span.start || i >= span.stop) continue;
    if (TRY(equal(sandbox, *item, bound[0]))) return Value::integer(i);
  }
  return template_error("index(): the value is not in the " + std::string(type_name(self)));
}

Result<Value> copy_of_list(Sandbox& sandbox, const Value& self, const Arguments& arguments) {
  TRY(bind(arguments, {"copy", {}, 0}));
  return sandbox.list(self.sequence().items);
}

Result<Value> get_of_dict(Sandbox& sandbox, const Value& self, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"get", {"", ""}, 1}));
  TRY(check_hashable(bound[0]));
  TRY(sandbox.spend_key(bound[0]));
  if (const Value* value = self.dict().find(bound[0])) return *value;
  return bound[1].is_missing() ? Value::none() : bound[1];
}

template <DictViewKind kKind>
Result<Value> view_of_dict(Sandbox& sandbox, const Value& self, const Arguments& arguments) {
  TRY(bind(arguments, {"a view of a dict", {}, 0}));
  return sandbox.dict_view(self, kKind);
}

Result<Value> copy_of_dict(Sandbox& sandbox, const Value& self, const Arguments& arguments) {
  TRY(bind(arguments, {"copy", {}, 0}));
  return sandbox.dict(self.dict().entries);
}

Result<Value> dict_from_keys(Sandbox& sandbox, const Value&, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"fromkeys", {"", ""}, 1}));
  std::vector<std::pair<Value, Value>> entries;
  for (Value& key : TRY(collect(sandbox, bound[0]))) {
    entries.emplace_back(std::move(key), bound[1].is_missing() ? Value::none() : bound[1]);
  }
  return sandbox.dict(std::move(entries));
}

constexpr std::array<Method, 3> kListMethods = {{
    {"count", count_items},
    {"index", index_of_item},
    {"copy", copy_of_list},
}};
constexpr std::array<Method, 6> kDictMethods = {{
    {"get", get_of_dict},
    {"items", view_of_dict<DictViewKind::kItems>},
    {"keys", view_of_dict<DictViewKind::kKeys>},
    {"values", view_of_dict<DictViewKind::kValues>},
    {"copy", copy_of_dict},
    {"fromkeys", dict_from_keys},
}};

template <class Methods>
const Method* find_in(const Methods& methods, std::string_view name) {
  const auto* found = std::find_if(methods.begin(), methods.end(),
                                   [&](const Method& method) { return method.name == name; });
  return found == methods.end() ? nullptr : found;
}

}  // namespace

const Method* find_method(const Value& self, std::string_view name) {
  switch (self.kind()) {
    case Kind::kString:
      if (const Method* method = find_string_method(name)) return method;
      if (const Method* method = find_string_search_method(name)) return method;
      return find_string_class_method(name);
    case Kind::kList:
      return find_in(kListMethods, name);
    case Kind::kTuple:
    case Kind::kRange:
      return name == "copy" ? nullptr : find_in(kListMethods, name);
    case Kind::kDict:
      return find_in(kDictMethods, name);
    default:
      return nullptr;
  }
}

Result<Value> bind_method(Sandbox& sandbox, const Value& self, const Method& method) {
  return sandbox.adopt(Kind::kObject, std::make_shared<BoundMethod>(self, method),
                       sizeof(BoundMethod));
}

}  // namespace millrace::jinja
