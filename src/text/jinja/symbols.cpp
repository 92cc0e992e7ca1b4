// Loads, stores, and what the branches of an if leave behind.
#include "text/jinja/symbols.h"

namespace millrace::jinja {

std::uint32_t FunctionScope::slot(const std::string& variable) {
  const auto [place, is_new] = slots.emplace(variable, frame->num_slots);
  if (is_new) ++frame->num_slots;
  return place->second;
}

std::uint32_t FunctionScope::hops_to(const FunctionScope* outer) const {
  std::uint32_t num_hops = 0;
  for (const FunctionScope* at = this; at != outer; at = at->parent) ++num_hops;
  return num_hops;
}

Symbols Symbols::branch() const {
  Symbols layer(parent_, function_);
  layer.base_ = this;
  return layer;
}

const Symbol* Symbols::find_own(const std::string& name) const {
  for (const Symbols* at = this; at != nullptr; at = at->base_) {
    const auto found = at->symbols_.find(name);
    if (found != at->symbols_.end()) return &found->second;
  }
  return nullptr;
}

const Symbol* Symbols::find(const std::string& name) const {
  for (const Symbols* at = this; at != nullptr; at = at->parent_) {
    if (const Symbol* own = at->find_own(name)) return own;
  }
  return nullptr;
}

bool Symbols::is_stored(const std::string& name) const {
  for (const Symbols* at = this; at != nullptr; at = at->base_) {
    if (at->stores_.contains(name)) return true;
  }
  return false;
}

void Symbols::define(const std::string& name, Load load) {
  const Symbol symbol{std::to_string(level_) + " " + name, function_};
  symbols_[name] = symbol;
  loads_[symbol.variable] = std::move(load);
}

void Symbols::load(const std::string& name) {
  if (find(name) == nullptr) define(name, {Start::kContext, name, {}});
}

void Symbols::store(const std::string& name) {
  stores_.insert(name);
  if (find_own(name) != nullptr) return;
  const Symbol* outer = parent_ == nullptr ? nullptr : parent_->find(name);
  if (outer != nullptr) {
    define(name, {Start::kOuter, name, *outer});
  } else {
    define(name, {Start::kMissing, name, {}});
  }
}

void Symbols::declare_parameter(const std::string& name) {
  stores_.insert(name);
  define(name, {Start::kParameter, name, {}});
}

void Symbols::merge_branches(const std::vector<Symbols>& branches) {
  std::set<std::string> new_stores;
  for (const Symbols& branch : branches) {
    for (const std::string& name : branch.stores_) {
      if (!is_stored(name)) new_stores.insert(name);
    }
  }
  for (const Symbols& branch : branches) {
    for (const auto& [name, symbol] : branch.symbols_) symbols_[name] = symbol;
    for (const auto& [variable, load] : branch.loads_) loads_[variable] = load;
    stores_.insert(branch.stores_.begin(), branch.stores_.end());
  }
  // Set in some branch only: without it, the name means what it means outside.
  for (const std::string& name : new_stores) {
    const Symbol* outer = parent_ == nullptr ? nullptr : parent_->find(name);
    Load& load = loads_[find(name)->variable];
    load = outer != nullptr ? Load{Start::kOuter, name, *outer} : Load{Start::kContext, name, {}};
  }
}

SlotRef Symbols::ref(const Symbol& symbol) const {
  return SlotRef{function_->hops_to(symbol.function), symbol.function->slot(symbol.variable)};
}

std::vector<SlotLoad> Symbols::slot_loads() const {
  std::vector<SlotLoad> loads;
  for (const auto& [variable, load] : loads_) {
    if (load.start == Start::kParameter) continue;
    SlotLoad slot_load;
    slot_load.slot = function_->slot(variable);
    slot_load.name = load.name;
    if (load.start == Start::kContext) slot_load.from = SlotLoad::From::kContext;
    if (load.start == Start::kOuter) {
      slot_load.from = SlotLoad::From::kOuter;
      slot_load.outer = ref(load.outer);
    }
    loads.push_back(std::move(slot_load));
  }
  return loads;
}

}  // namespace millrace::jinja
