// The variables of one scope while a template's names are resolved.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "text/jinja/ast.h"

namespace millrace::jinja {

// A function while its slots are handed out.
struct FunctionScope {
  FunctionScope* parent = nullptr;
  FunctionFrame* frame = nullptr;
  std::map<std::string, std::uint32_t> slots;

  std::uint32_t slot(const std::string& variable);
  // How many functions outwards `outer` is.
  std::uint32_t hops_to(const FunctionScope* outer) const;
};

// A variable: its name with the depth of its scope, in a function. Scopes of one function that are
// equally deep share their variables, since one is left before the next is entered.
struct Symbol {
  std::string variable;
  FunctionScope* function = nullptr;
};

// What jinja2's compiler knows of the names in one scope. Source: jinja2 3.1, idtracking.Symbols;
// a branch of an if is a layer over the scope here, where jinja2 copies the scope.
class Symbols {
 public:
  Symbols(const Symbols* parent, FunctionScope* function)
      : parent_(parent), function_(function), level_(parent == nullptr ? 0 : parent->level_ + 1) {}

  // A layer for one branch, to be merged by merge_branches.
  Symbols branch() const;

  void load(const std::string& name);
  void store(const std::string& name);
  void declare_parameter(const std::string& name);
  void merge_branches(const std::vector<Symbols>& branches);

  const Symbol* find(const std::string& name) const;
  FunctionScope* function() const { return function_; }
  // How the scope's variables, parameters aside, start out.
  std::vector<SlotLoad> slot_loads() const;
  SlotRef ref(const Symbol& symbol) const;

 private:
  enum class Start : std::uint8_t { kParameter, kMissing, kContext, kOuter };
  struct Load {
    Start start = Start::kMissing;
    std::string name;
    Symbol outer;
  };

  const Symbol* find_own(const std::string& name) const;
  bool is_stored(const std::string& name) const;
  void define(const std::string& name, Load load);

  const Symbols* parent_;          // The enclosing scope.
  const Symbols* base_ = nullptr;  // The same scope without this branch.
  FunctionScope* function_;
  std::size_t level_;
  std::map<std::string, Symbol> symbols_;
  std::map<std::string, Load> loads_;
  std::set<std::string> stores_;
};

}  // namespace millrace::jinja
