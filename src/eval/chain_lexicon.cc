#include "eval/chain_lexicon.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "core/status.h"
#include "eval/answer_tags.h"

namespace ponder {
namespace {

constexpr std::array<std::string_view, 10> kDigitWords = {"zero", "one", "two",   "three", "four",
                                                          "five", "six", "seven", "eight", "nine"};
constexpr std::array<std::string_view, 3> kOperationWords = {"plus", "minus", "times"};
constexpr std::string_view kOperations = "+-*";
constexpr std::string_view kMakes = "makes";
constexpr int kMaxDigits = 3;

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

template <size_t kCount>
bool has(const std::array<std::string_view, kCount>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// One line in whichever lexicon it is written; the bytes read, 0: it is none.
size_t read_line(std::string_view text) {
  ChainReader in(text, chain_lexicon_of(text));
  if (in.number() < 0) return 0;
  int operations = 0;
  for (; in.operation() != 0; ++operations) {
    if (in.number() < 0) return 0;
  }
  const bool whole = operations > 0 && in.equals() && in.number() >= 0 && in.take(";");
  return whole ? in.at() : 0;
}

}  // namespace

ChainLexicon chain_lexicon_of(std::string_view prompt) {
  if (prompt.starts_with('N')) return ChainLexicon::kTokens;
  return !prompt.empty() && is_letter(prompt[0]) ? ChainLexicon::kWords : ChainLexicon::kDigits;
}

std::string chain_number(int value, ChainLexicon lexicon) {
  PONDER_CHECK(value >= 0 && value <= 999);
  std::string digits = fmt::to_string(value);
  if (lexicon == ChainLexicon::kDigits) return digits;
  if (lexicon == ChainLexicon::kTokens) return "N" + digits;
  std::string out;
  for (const char c : digits) out += fmt::format("{} ", kDigitWords[static_cast<size_t>(c - '0')]);
  return out;
}

std::string chain_operator(char op, ChainLexicon lexicon) {
  const size_t index = kOperations.find(op);
  PONDER_CHECK(index != std::string_view::npos);
  if (lexicon != ChainLexicon::kWords) return std::string(1, op);
  return fmt::format("{} ", kOperationWords[index]);
}

std::string_view chain_equals(ChainLexicon lexicon) {
  return lexicon == ChainLexicon::kWords ? "makes " : "=";
}

bool ChainReader::take(std::string_view what) {
  if (!text_.substr(at_).starts_with(what)) return false;
  at_ += what.size();
  return true;
}

int ChainReader::digit() {
  for (size_t i = 0; i < kDigitWords.size(); ++i) {
    const size_t begin = at_;
    if (take(kDigitWords[i]) && take(" ")) return static_cast<int>(i);
    at_ = begin;
  }
  return -1;
}

int ChainReader::number() {
  if (lexicon_ == ChainLexicon::kTokens && !take("N")) return -1;
  int value = 0, count = 0;
  bool zero = false;  // a leading one
  for (;; ++count) {
    int next = -1;
    if (lexicon_ == ChainLexicon::kWords) {
      next = digit();
    } else if (!done() && is_digit(text_[at_])) {
      next = text_[at_++] - '0';
    }
    if (next < 0) break;
    if (zero || count == kMaxDigits) return -1;
    zero = count == 0 && next == 0;
    value = 10 * value + next;
  }
  return count > 0 ? value : -1;
}

char ChainReader::operation() {
  if (lexicon_ != ChainLexicon::kWords) {
    if (done() || kOperations.find(text_[at_]) == std::string_view::npos) return 0;
    return text_[at_++];
  }
  for (size_t i = 0; i < kOperationWords.size(); ++i) {
    const size_t begin = at_;
    if (take(kOperationWords[i]) && take(" ")) return kOperations[i];
    at_ = begin;
  }
  return 0;
}

bool ChainReader::equals() { return take(chain_equals(lexicon_)); }

std::string_view chain_thinking(std::string_view completion) {
  constexpr std::string_view kOpen = "<think>";
  const size_t open = completion.find(kOpen);
  if (open != std::string_view::npos) completion.remove_prefix(open + kOpen.size());
  return completion.substr(0, std::min(completion.find("</think>"), completion.find("<answer>")));
}

double chain_language_share(std::string_view completion, ChainLexicon lexicon) {
  const std::string_view text = chain_thinking(completion);
  double words = 0, own = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    if (text[at] == 'N' && at + 1 < text.size() && is_digit(text[at + 1])) {
      for (++at; at < text.size() && is_digit(text[at]);) ++at;
      words += 1;
      own += lexicon == ChainLexicon::kTokens ? 1 : 0;
    } else if (is_letter(text[at])) {
      while (at < text.size() && is_letter(text[at])) ++at;
      const std::string_view word = text.substr(begin, at - begin);
      if (word == "wait" || word == "check" || word == "so") continue;
      const bool known = word == kMakes || has(kDigitWords, word) || has(kOperationWords, word);
      words += 1;
      own += lexicon == ChainLexicon::kWords && known ? 1 : 0;
    } else {
      ++at;
    }
  }
  return words > 0 ? own / words : 0;
}

bool chain_readable(std::string_view completion) {
  if (!find_answer(completion).well_formed) return false;
  std::string_view text = chain_thinking(completion);
  for (int passes = 1;; ++passes) {
    size_t lines = 0;
    for (size_t line = read_line(text); line > 0; line = read_line(text)) {
      text.remove_prefix(line);
      ++lines;
    }
    if (lines == 0) return false;
    constexpr std::string_view kAgain = "wait check ";
    if (text.starts_with(kAgain)) {
      text.remove_prefix(kAgain.size());
    } else {
      return text == (passes > 1 ? "so" : "");
    }
  }
}

}  // namespace ponder
