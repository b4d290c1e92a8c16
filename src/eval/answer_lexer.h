// An answer's text as tokens: LaTeX or plain, after ascii_math().
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "eval/answer_number.h"

namespace ponder {

struct Token {
  enum class Type : uint8_t {
    kNumber,    // value, decimals
    kSymbol,    // one letter or a Greek name: "x", "\\alpha"
    kWord,      // letters that are no formula: a unit, a noun
    kFunction,  // "sin", "sqrt", "frac", "sum", ...
    kConstant,  // "pi", "e", "i", "oo", "R" (the reals), "{}" (the empty set)
    kSign,      // operators, brackets, separators; a few have names: "<=", "in", "cup", "pm",
                // "and", "or", "deg", "begin", "end", "row", "set(" and "set)" for \{ and \}
  };
  Type type = Type::kSign;
  std::string text;
  BigRational value;
  int decimals = -1;     // digits behind the point; -1: written as an integer
  int digits = 0;        // significant digits
  bool plain = true;     // a number of digits and point alone (no exponent, base or repetition)
  bool space = false;    // white space stands before it
  bool in_text = false;  // inside \text{...}
  size_t begin = 0, end = 0;  // in the source

  bool is(std::string_view sign) const { return type == Type::kSign && text == sign; }
};

struct TokenList {
  std::vector<Token> tokens;
  // nullptr, or why there are none: "unbalanced", "too_long", "too_deep", "too_many_digits"
  const char* error = nullptr;
};

inline constexpr size_t kMaxAnswerBytes = 2000;
inline constexpr size_t kMaxTokens = 600;

TokenList lex_answer(std::string_view text);

}  // namespace ponder
