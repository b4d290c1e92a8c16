// A number as it is written: digits, thousands marks, decimals, repetition, exponent, base.
#pragma once

#include <cstddef>
#include <string_view>

#include "eval/answer_number.h"

namespace ponder {

struct Literal {
  BigRational value;
  int decimals = -1;  // digits behind the point; -1: none, or no finite number of them
  int digits = 0;     // significant digits
  bool plain = true;  // digits and point alone
  size_t end = 0;     // the index behind it
  bool good = false;  // else it is beyond the limits
};

// The number that starts at text[0], a digit or a point and a digit: "1,234.5", "14{,}916",
// "10\,000", "0.1\overline{6}", "6e23", "101_2". `grouping`: a bare comma may separate thousands.
Literal read_literal(std::string_view text, bool grouping, bool base, Work& work);

}  // namespace ponder
