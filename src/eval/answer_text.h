// The words and signs in which answers are written: Unicode to LaTeX and ASCII, numbers in words.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "eval/answer_number.h"

namespace ponder {

// Mathematical signs, full-width forms, fractions, super- and subscripts of Unicode as LaTeX or
// ASCII: "½" is "\frac{1}{2}", "x²" is "x^{2}", "（１，２）" is "(1,2)". Other characters beyond ASCII
// stay; bytes that are not UTF-8, control and zero-width characters go.
std::string ascii_math(std::string_view text);

// Length in bytes of the UTF-8 character at the front; 1 for a bad byte. REQUIRES: not empty
size_t utf8_length(std::string_view text);

std::string lower_case(std::string_view text);  // ASCII letters only

// "一百二十", "三分之二", "百分之五", "三点五", "负二", "半". All of the text must be the number.
struct WrittenNumber {
  BigRational value;
  bool percent = false;
};
std::optional<WrittenNumber> chinese_number(std::string_view text);

// "forty-two", "three hundred and five", "one half", "minus two": lower case, words with single
// spaces or hyphens.
std::optional<BigRational> english_number(std::string_view text);

// For comparing texts: lower case, articles, punctuation, LaTeX wrappers and spare spaces gone.
std::string normal_words(std::string_view text);

}  // namespace ponder
