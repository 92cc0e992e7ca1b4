// Walks over the names in a tree, in the order in which jinja2 visits them.
#pragma once

#include <cstdint>
#include <string>

#include "base/function_ref.h"
#include "text/jinja/ast.h"

namespace millrace::jinja {

enum class NameUse : std::uint8_t { kLoad, kStore, kParameter };
using NameVisitor = FunctionRef<void(const std::string& name, NameUse use)>;

void walk_names(const Expression& expression, NameVisitor visit);
void walk_names(const Target& target, NameUse use, NameVisitor visit);
void walk_names(const Statement& statement, NameVisitor visit);
void walk_names(const Block& block, NameVisitor visit);

}  // namespace millrace::jinja
