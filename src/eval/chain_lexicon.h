// How chains are written: in digits, or in one of two languages that name the same numbers. One spells
// numbers and operations as words, the other has a token for each number and is shorter:
//   kDigits  37+8=45;
//   kWords   three seven plus eight makes four five ;
//   kTokens  N37+N8=N45;
// Prompts are "37+8*3=?", "three seven plus eight times three =?" and "N37+N8*N3=?"; answers are digits
// in all of them. A policy that is rewarded for right answers alone drifts to the easier language.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace ponder {

enum class ChainLexicon : uint8_t { kDigits, kWords, kTokens };

// That of a prompt, by its first character; digits if it is in neither language.
ChainLexicon chain_lexicon_of(std::string_view prompt);

// REQUIRES: value 0 to 999; op one of + - *
std::string chain_number(int value, ChainLexicon lexicon);
std::string chain_operator(char op, ChainLexicon lexicon);
std::string_view chain_equals(ChainLexicon lexicon);

// Reads a text from its beginning, one symbol a call.
class ChainReader {
 public:
  ChainReader(std::string_view text, ChainLexicon lexicon) : text_(text), lexicon_(lexicon) {}

  // A number of up to three digits without leading zeros, or -1.
  int number();
  // + - *, or 0.
  char operation();
  bool equals();
  // Whether the text goes on with `what`, which is then read.
  bool take(std::string_view what);
  size_t at() const { return at_; }
  bool done() const { return at_ == text_.size(); }

 private:
  int digit();  // as a word; or -1

  std::string_view text_;
  ChainLexicon lexicon_;
  size_t at_ = 0;
};

// What stands between <think> and </think>; where a tag is missing, up to the next tag or the end.
std::string_view chain_thinking(std::string_view completion);

// The share of the thinking's words that are in `lexicon`. A word is a run of letters, or N and digits;
// numbers in digits, signs and the words of doubt (wait, check, so) belong to no language. 0 without
// words. Linear time, any bytes.
double chain_language_share(std::string_view completion, ChainLexicon lexicon);

// Whether the completion is well formed (find_answer) and its thinking one or more passes of lines
// "NUMBER{OP NUMBER}=NUMBER;", each in one lexicon, with "wait check " before each further pass and
// "so" after the last of several. Values are not looked at. Empty thinking is not.
bool chain_readable(std::string_view completion);

}  // namespace ponder
