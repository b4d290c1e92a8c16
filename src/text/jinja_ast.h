// A parsed template. Chains of equal precedence are one node (a + b + c has three operands), so
// that the depth of a tree is that of its brackets and blocks.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/jinja_lexer.h"
#include "text/jinja_value.h"

namespace ponder::jinja {

enum class ExprKind : uint8_t {
  kConstant,
  kName,
  kTuple,
  kList,
  kDict,       // operands: key, value, key, value
  kAttribute,  // operand.name
  kItem,       // operands[0][operands[1]]
  kSlice,      // operands[0][1:2:3], null where left out
  kCall,       // operand(arguments)
  kFilter,     // operand | name(arguments); no operand: the body of a block
  kTest,       // operand is name(arguments)
  kNot,
  kNegate,
  kPlus,
  kAnd,
  kOr,
  kArithmetic,   // operands with ops between them, from the left
  kConcat,       // ~
  kCompare,      // operands with ops between them, Python's chain
  kConditional,  // operands: condition, then, else (null: undefined)
};

enum class Op : uint8_t {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFloorDivide,
  kModulo,
  kPower,
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kIn,
  kNotIn,
};

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

struct Arguments {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> named;
  ExprPtr spread_positional, spread_named;  // *x and **x, or null
};

struct Expr {
  ExprKind kind;
  Place place;
  int depth = 1;        // of the tree below
  int symbol = -1;      // kName: the name's number
  std::string name;     // kName, kAttribute, kFilter, kTest
  Value value;          // kConstant
  std::vector<Op> ops;  // kArithmetic, kCompare: one less than operands
  std::vector<ExprPtr> operands;
  std::unique_ptr<Arguments> arguments;  // kCall, kFilter, kTest
};

// What an assignment sets: a name, an attribute of a namespace, or a tuple of targets.
struct Target {
  Place place;
  int symbol = -1;              // the name; of the namespace if there is an attribute
  std::string attribute{};      // empty: the name itself
  std::vector<Target> items{};  // of a tuple
  bool is_tuple = false;
};

struct Parameter {
  int symbol;
  std::string name;
  ExprPtr fallback;  // null: none
};

enum class StmtKind : uint8_t {
  kText,
  kOutput,
  kIf,
  kFor,
  kSet,
  kSetBlock,
  kMacro,
  kCall,
  kFilter,
  kWith,
  kScope,  // a block, or what transformers marks as generated: its body in a scope of its own
  kBreak,
  kContinue,
};

struct Stmt;
using Body = std::vector<Stmt>;

// What a macro (or the body of a call block, as caller) is made of.
struct MacroBody {
  std::string name;
  std::vector<Parameter> parameters;
  Body body;
  // Whether the body speaks of these; only then they are passed.
  bool uses_caller = false, uses_varargs = false, uses_kwargs = false;
};

struct Branch {
  ExprPtr condition;  // null: else
  Body body;
};

struct Stmt {
  StmtKind kind;
  Place place;
  std::string text{};                  // kText
  ExprPtr value{};                     // kOutput, kSet, kFor: iterable; kCall: the call
  std::vector<Target> targets{};       // kSet, kSetBlock, kFor: one; kWith
  std::vector<ExprPtr> values{};       // kWith
  std::vector<Branch> branches{};      // kIf
  Body body{}, otherwise{};            // otherwise: the else of kFor
  ExprPtr condition{};                 // kFor: its if, or null
  ExprPtr filter{};                    // kSetBlock (null: none), kFilter
  std::unique_ptr<MacroBody> macro{};  // kMacro, kCall
  bool recursive = false;              // kFor
  bool uses_loop = false;              // kFor: the body speaks of `loop`
};

struct Ast {
  Body body;
  std::vector<std::string> symbols;
};

}  // namespace ponder::jinja
