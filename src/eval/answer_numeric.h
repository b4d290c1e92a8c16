// The numbers that formulas stand for: their value, or, with symbols in them, a fingerprint of their
// values at fixed points.
#pragma once

#include <string>

#include "eval/answer_scalar.h"
#include "eval/answer_tree.h"

namespace ponder {

// Values at kPoints fixed points. A symbol's value at a point depends on its name alone; points lie
// in (0, 1), above it, below zero, and on integers, so that formulas that agree on all of them agree
// (to 17 digits and the usual odds of random points).
inline constexpr int kPoints = 7;

struct Numeric {
  bool constant = false;
  Scalar value;     // constant
  std::string key;  // one text per value or function; empty: it has none within the limits
};

// `sign` (+1 or -1) is the upper or lower reading of the signs ± in it.
Numeric numeric_form(const Tree& tree, int node, int sign, Work& work);

// What stands for left = right (and, with `positive`, for left > right) up to a constant factor (a
// positive one). Empty: none within the limits.
std::string relation_key(const Tree& tree, int left, int right, bool positive, int sign,
                         Work& work);

// The name of the one symbol in left - right if that is linear in it: `slope` * symbol + `offset`.
struct Linear {
  std::string symbol;
  Scalar slope, offset;
};
std::optional<Linear> linear_form(const Tree& tree, int left, int right, int sign, Work& work);

}  // namespace ponder
