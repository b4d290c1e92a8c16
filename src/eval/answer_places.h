// Places in a text that may hold an answer: boxes, formulas between dollar signs, numbers.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ponder {

struct Box {
  size_t begin, end;  // of the command with its braces
  std::string_view content;
};

// Every \boxed and \fbox. `open`: the last one has no closing brace (its content runs to the end).
std::vector<Box> find_boxes(std::string_view text, bool& open);

enum class Joint : uint8_t { kNone, kComma, kOr };

// Does the text between two boxes (or formulas) make them one list? With "and" or "or" it may have
// so many words, else none.
Joint joint_of(std::string_view gap, int most_words);

// "%" or "percent" right behind a formula belongs to it; then "\%", else empty.
std::string percent_behind(std::string_view rest);

struct FormulaPlace {
  size_t begin, end;  // with the delimiters
  std::string_view content;
};

// Formulas between $ $, $$ $$, \( \) and \[ \], in order.
std::vector<FormulaPlace> find_formulas(std::string_view text);

// The last formula, with those before it that it is joined to, and where it stands. Empty: there is
// none.
std::string last_formula(std::string_view text, size_t& begin, size_t& end);

struct NumberPlace {
  size_t begin = 0, end = 0;
  bool found = false;
};

NumberPlace last_number(std::string_view text);

bool unbalanced(std::string_view text);  // LaTeX that breaks off: "\frac{42}{"

}  // namespace ponder
