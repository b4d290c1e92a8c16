// Whether an answer's value is the gold's: equal keys, or one of the liberties that a gold gives.
#pragma once

#include "eval/answer_value.h"

namespace ponder {

struct CompareOptions {
  int precision = 6;             // decimals from which on a rounded answer stands for an exact gold
  bool round_both = false;       // compare decimals by rounding both sides to `precision`
  bool relation_for_set = true;  // "x > 1" may stand for the gold (1, oo)
  bool ordered_lists = false;
};

struct Match {
  bool equal = false;
  // Equal: "same", or the liberty taken: "rounded", "unit_omitted", "percent", "degrees",
  // "assignment". Else: "wrong_value", "wrong_unit", "wrong_kind", "wrong_length",
  // "relation_for_set".
  const char* reason = "wrong_value";
};

Match compare_values(const Value& gold, const Value& answer, const CompareOptions& options,
                     Work& work);

}  // namespace ponder
