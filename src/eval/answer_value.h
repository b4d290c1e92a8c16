// What an answer says, in a form that can be compared: a number with its unit, an expression, an
// equation, a set, a list, a matrix, a time, or words.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "eval/answer_numeric.h"
#include "eval/answer_sets.h"
#include "eval/answer_units.h"

namespace ponder {

struct Value {
  enum class Kind : uint8_t {
    kNone,        // `error` says why
    kText,        // key
    kNumber,      // number, unit, decimals
    kInfinity,    // key
    kExpression,  // key
    kEquation,    // key; for "y = ..." name and items[0], its right side
    kInequality,  // key; of several symbols
    kRealSet,     // set; intervals, or an inequality that was solved (`relation`)
    kTuple,       // items between open and close
    kList,        // items, sorted by key unless order counts; sets too
    kMatrix,      // items by rows
    kTime,        // key; times of day and dates
  };
  Kind kind = Kind::kNone;
  // Canonical: values that are equal have equal keys, whatever the notation. Tolerance (a rounded
  // decimal) and what one side leaves out (a unit, "x =") are the business of answer_compare.h.
  std::string key;
  const char* error = nullptr;

  Scalar number;
  bool literal = false;  // a number as such, not a formula that has one
  int decimals = -1;     // of a literal: digits behind the point; -1: none
  int digits = 0;        // of a literal: significant digits
  bool has_unit = false;
  Unit unit;  // if has_unit

  std::string name;  // the left side of an assignment: "x" of x = 5
  std::vector<Value> items;
  bool named = false;  // of a list: the names of its items count (x = 1, y = 2)
  char open = 0, close = 0;
  int columns = 0;

  bool has_set = false;   // `set` holds the value read as a set of reals: (1,2) may be an interval
  bool relation = false;  // it was written as an inequality
  std::string symbol;     // the unknown of that inequality
  RealSet set;

  bool is_number() const { return kind == Kind::kNumber; }
};

struct ReadOptions {
  bool ordered_lists = false;   // the order of a list counts
  bool rename_symbols = false;  // f(x) and f(y) are the same
};

// Total over all bytes, with bounded time. Text that is no formula becomes kText; kNone only with an
// error: "empty", "unbalanced", "too_long", "too_deep", "too_many_digits".
Value read_value(std::string_view text, const ReadOptions& options, Work& work);

// Makes the key of a number from its parts.
void set_number_key(Value& value, Work& work);
// Makes the key of a list: sorts its items and drops repeated ones, unless order counts.
void set_list_key(Value& value, bool ordered);

// --- shared by the files that read values ---

// Words with a meaning of their own: yes and no, "no solution", dates and times, numbers in words.
Value read_phrase(std::string_view text, Work& work);

// The value of a formula. `sign` is the reading of its ± signs.
class FormulaReader {
 public:
  FormulaReader(Tree& tree, std::span<const Token> tokens, Work& work)
      : tree_(tree), tokens_(tokens), work_(work) {}

  Value read(int node, int sign);
  bool failed() const { return failed_; }  // the budget was spent: what was read has no keys

 private:
  Value scalar(int node, int sign);
  Value tuple(int node, int sign);
  Value collection(int node, int sign);
  Value matrix(int node, int sign);
  Value relation(int node, int sign);
  Value equation(int node, int sign);
  Value inequality(int node, int sign);
  Value ratio(int node, int sign);
  Value set_operation(int node, int sign);
  bool is_name(int node) const;
  Value solved(const std::string& symbol, const std::string& relation, const Scalar& bound) const;
  Value from_set(RealSet set);
  bool matrix_nodes(int node, std::vector<int>& cells, int& columns);

  Tree& tree_;
  std::span<const Token> tokens_;
  Work& work_;
  bool failed_ = false;
};

}  // namespace ponder
