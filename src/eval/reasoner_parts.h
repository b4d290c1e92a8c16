// What the families of the reasoner share: the shape of a puzzle, words of both languages, and
// arithmetic as it is thought aloud. Internal to reasoner*.cc.
#pragma once

#include <array>
#include <cstddef>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/rng.h"
#include "eval/reasoner_language.h"

namespace ponder::reasoner {

struct Puzzle {
  std::string question;
  std::string thinking;   // lines, without a final line feed
  std::string check;      // a last line that checks the result; empty: there is none
  std::string answer;     // the sentence with the box
  std::string gold;       // its value, as the verifier reads it; countdown: "3 7 12 -> 15"
  std::string split_key;  // what the split is a hash of; empty: the question
  int steps = 0;
};

using Choices = std::initializer_list<std::string_view>;

std::string_view pick(Rng& rng, Choices choices);
std::string_view pick(Rng& rng, Language language, Choices english, Choices chinese);
std::string_view pick(Rng& rng, std::span<const std::string_view> choices);
bool chance(Rng& rng, double probability);

// A pattern's {0}, {1}, ... replaced by the arguments. REQUIRES: a pattern of this program's
std::string fill(std::string_view pattern, std::initializer_list<std::string> arguments);

std::string num(int value);

struct Person {
  std::string_view name, subject, object;  // Tom, He, him; 小明, 他, 他
};
// Different people. REQUIRES: count <= 12
std::vector<Person> people(Rng& rng, Language language, size_t count);

// "The answer is \boxed{VALUE}." and the like.
std::string answer_sentence(Rng& rng, Language language, std::string_view value);

// One operation with the work that it takes, "27*6=120+42=162". None if it is beyond what the
// solutions do: results within -999..999, factors of up to two digits, exact division by 2..99 with a
// quotient of up to two digits.
struct Worked {
  std::string text;
  int result = 0;
};
std::optional<Worked> work(int left, char op, int right);
// "162-42=120": the operation undone. REQUIRES: work(left, op, right)
std::string undo(int left, char op, int right, int result);

// A number that is often small: up to `most`.
int number(Rng& rng, int least, int most);

// The families. `steps` is what the family's range allows (reasoner.cc); nothing: this draw came to
// nothing, draw again.
std::optional<Puzzle> arithmetic(Rng& rng, Language language, int steps);
std::optional<Puzzle> words(Rng& rng, Language language, int steps);
std::optional<Puzzle> compare(Rng& rng, Language language, int steps);
std::optional<Puzzle> equation(Rng& rng, Language language, int steps);
std::optional<Puzzle> countdown(Rng& rng, Language language, int steps);
std::optional<Puzzle> logic(Rng& rng, Language language, int steps);
std::optional<Puzzle> outside(Rng& rng, Language language, int steps);

// A single operation as a drill: the left side with its "=", and the rest of work().
struct Drill {
  std::string prompt, completion;
};
Drill drill(Rng& rng);
// The largest or smallest of some numbers, as a line of compare()'s thinking has it.
Drill compare_drill(Rng& rng, Language language);

// The value of an arithmetic question in any of its phrases; none if it is not one, or if it takes a
// step that work() does not do.
struct Solved {
  int value = 0, steps = 0;
};
std::optional<Solved> solve_arithmetic(std::string_view question);

// Whether an answer is one of those that `outside` teaches.
bool declines(std::string_view answer, Language language);

}  // namespace ponder::reasoner
