// An answer's formula as a tree, and the parser that makes it.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "eval/answer_lexer.h"

namespace ponder {

enum class Op : uint8_t {
  kNumber,        // value
  kSymbol,        // text
  kConstant,      // text: "pi", "e", "i", "oo", "R", "{}"
  kAdd,           // kids
  kMultiply,      // kids
  kDivide,        // two kids
  kNegate,        // one
  kPlusMinus,     // one: both signs
  kMinusPlus,     // one: the signs opposite to those of kPlusMinus
  kPower,         // two
  kCall,          // text: the function; kids: its arguments
  kFactorial,     // one
  kDegree,        // one: times pi / 180
  kPercent,       // one: over 100
  kTuple,         // kids between open and close: points, vectors, intervals
  kSet,           // kids between \{ and \}, or between bare braces
  kMatrix,        // kids by rows, `columns` of them
  kUnion,         // kids
  kIntersection,  // kids
  kDifference,    // two
  kRelation,      // kids joined by `relations`
  kBig,           // text "sum", "prod", "int", "lim"; kids: below, above, body (any may be -1)
};

struct Node {
  Op op = Op::kNumber;
  std::vector<int> kids;
  std::string text;
  BigRational value;
  int token = -1;  // of a number: where its precision stands
  char open = 0, close = 0;
  int columns = 0;
  std::vector<std::string> relations;  // "=", "<", "<=", ">", ">=", "!=", "~", "in", ":"
};

struct Tree {
  static constexpr size_t kMaxNodes = 2000;
  std::vector<Node> nodes;
  int root = -1;  // -1: not a formula

  const Node& at(int i) const { return nodes[static_cast<size_t>(i)]; }
  int make(Op op, std::vector<int> kids = {}, std::string text = {});  // -1 when it is full
};

// All of `tokens` as one formula or relation; root is -1 if they are not that. Depth and size are
// limited.
Tree parse_formula(std::span<const Token> tokens);

bool has_symbols(const Tree& tree, int node);  // other than the indices of sums and products
bool has_op(const Tree& tree, int node, Op op);

// One text per formula up to the order of sums and products, for what has no value.
std::string structure_text(const Tree& tree, int node);

}  // namespace ponder
