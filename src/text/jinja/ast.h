// The tree of a template: statements and expressions, with names resolved to slots of activations.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "text/jinja/filter.h"
#include "text/jinja/predicate.h"
#include "text/jinja/value.h"

namespace millrace::jinja {

// Where a variable lives: so many functions outwards, then the slot in that function's activation.
struct SlotRef {
  std::uint32_t num_hops = 0;
  std::uint32_t slot = 0;
};

enum class ExpressionKind : std::uint8_t {
  kConstant,     // constant
  kName,         // name, ref
  kTuple,        // operands
  kList,         // operands
  kDict,         // operands: key, value, key, value, …
  kAttribute,    // operands[0].name
  kItem,         // operands[0][operands[1]]
  kSlice,        // operands[0][operands[1]:operands[2]:operands[3]]; null where left out
  kCall,         // operands[0](arguments)
  kFilter,       // operands[0] | name(arguments); without operands the text captured by a block
  kTest,         // operands[0] is name(arguments)
  kConditional,  // operands[1] if operands[0] else operands[2], which may be null
  kAnd,          // operands[0] and operands[1]
  kOr,           // operands[0] or operands[1]
  kNot,          // not operands[0]
  kNegative,     // -operands[0]
  kPositive,     // +operands[0]
  kCompare,      // operands[0] comparisons[0] operands[1] comparisons[1] operands[2] …
  kConcat,       // operands[0] ~ operands[1] ~ …
  kArithmetic,   // operands[0] arithmetic operands[1]
};

enum class Arithmetic : std::uint8_t {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFloorDivide,
  kModulo,
  kPower,
};

enum class Comparison : std::uint8_t {
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kIn,
  kNotIn,
};

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

struct ArgumentExpressions {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
  ExpressionPtr star;         // *args
  ExpressionPtr double_star;  // **kwargs
};

struct Expression {
  ExpressionKind kind = ExpressionKind::kConstant;
  Arithmetic arithmetic = Arithmetic::kAdd;
  int line = 1;
  std::uint32_t height = 1;  // Of the tree below and including this; bounded by the parser.
  SlotRef ref;
  std::vector<ExpressionPtr> operands;
  std::vector<Comparison> comparisons;
  std::string name;
  Value constant;
  std::unique_ptr<ArgumentExpressions> arguments;
  // Of a filter or test; null for one that does not exist, which only fails when it is reached.
  const Filter* filter = nullptr;
  const Predicate* predicate = nullptr;
};

// What is assigned to: a name, an attribute of a namespace, or several of them.
struct Target {
  enum class Kind : std::uint8_t { kName, kNamespaceAttribute, kTuple };
  Kind kind = Kind::kName;
  int line = 1;
  std::string name;
  std::string attribute;
  SlotRef ref;
  std::vector<Target> items;
};

// How a scope's variable starts out when the scope is entered.
struct SlotLoad {
  enum class From : std::uint8_t { kMissing, kContext, kOuter };
  From from = From::kMissing;
  std::uint32_t slot = 0;
  std::string name;  // For kContext.
  SlotRef outer;     // For kOuter.
};

struct Statement;
using Block = std::vector<Statement>;

// A function has activations of its own: the template, a macro, a call block, a recursive loop, the
// condition of a loop.
struct FunctionFrame {
  std::uint32_t num_slots = 0;
  // Something made inside may outlive a call and still look at its variables.
  bool has_closures = false;
};

struct MacroDefinition {
  std::optional<std::string> name;
  int line = 1;
  std::vector<std::string> parameters;
  std::vector<std::uint32_t> parameter_slots;
  std::vector<ExpressionPtr> defaults;  // Of the last parameters.
  std::optional<std::uint32_t> caller_slot;
  std::optional<std::uint32_t> kwargs_slot;
  std::optional<std::uint32_t> varargs_slot;
  std::vector<SlotLoad> loads;
  FunctionFrame frame;
  Block body;
};

struct OutputText {
  std::string text;
};
struct OutputValue {
  ExpressionPtr value;
};
struct IfStatement {
  struct Branch {
    ExpressionPtr condition;
    Block body;
  };
  std::vector<Branch> branches;
  Block otherwise;
};
struct ForStatement {
  Target target;
  ExpressionPtr iterable;
  bool is_recursive = false;
  Block body;
  Block otherwise;
  std::vector<SlotLoad> body_loads;
  std::vector<SlotLoad> otherwise_loads;
  std::optional<std::uint32_t> loop_slot;
  FunctionFrame frame;  // Of a recursive loop.
  // The condition after "if", which is a function of its own.
  ExpressionPtr condition;
  Target condition_target;
  std::vector<SlotLoad> condition_loads;
  FunctionFrame condition_frame;
};
struct SetStatement {
  Target target;
  ExpressionPtr value;
};
struct SetBlock {
  Target target;
  ExpressionPtr filter;  // May be null.
  Block body;
  std::vector<SlotLoad> loads;
};
struct MacroStatement {
  std::unique_ptr<MacroDefinition> macro;
  Target target;
};
// {% call %}, and {% generation %} when `call` is null.
struct CallBlock {
  std::unique_ptr<MacroDefinition> caller;
  ExpressionPtr call;
};
struct FilterBlock {
  ExpressionPtr filter;
  Block body;
  std::vector<SlotLoad> loads;
};
struct WithStatement {
  std::vector<Target> targets;
  std::vector<ExpressionPtr> values;
  Block body;
  std::vector<SlotLoad> loads;
};
struct LoopControl {
  enum class Kind : std::uint8_t { kBreak, kContinue };
  Kind kind = Kind::kBreak;
};

struct Statement {
  int line = 1;
  std::variant<OutputText, OutputValue, IfStatement, ForStatement, SetStatement, SetBlock,
               MacroStatement, CallBlock, FilterBlock, WithStatement, LoopControl>
      node;
};

}  // namespace millrace::jinja
