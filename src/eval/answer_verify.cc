#include "eval/answer_verify.h"

#include <cctype>

#include "eval/answer_compare.h"
#include "eval/answer_extract.h"
#include "eval/answer_tags.h"
#include "eval/answer_text.h"

namespace ponder {
namespace {

using Kind = Value::Kind;

constexpr size_t npos = std::string_view::npos;
constexpr size_t kMaxQuestion = 8000;  // bytes that are searched for a copy

struct Answer {
  Value value;
  std::string text;             // what the value was read from
  const char* error = nullptr;  // why there is none
};

bool is_formula(const Value& v) {
  if (v.kind == Kind::kNone) return false;
  if (v.kind == Kind::kText) return !v.key.starts_with("text:");
  for (const Value& item : v.items) {
    if (!is_formula(item)) return false;
  }
  return true;
}

ExtractOptions extract_options(const VerifyOptions& o, bool gold, bool choice) {
  ExtractOptions e;
  e.latex = o.latex;
  e.expressions = o.expressions;
  e.lenient = gold;
  e.need_thinking_end = !gold && o.need_thinking_end;
  e.choice = choice;
  return e;
}

// The letter that a text chooses: "C", "(C)", "C. 42", "option C"; 0 for none, or for two.
char chosen_letter(std::string_view text) {
  std::string plain;
  const std::string ascii = ascii_math(text);
  for (size_t i = 0; i < ascii.size(); ++i) {
    if (ascii[i] == '\\') {
      while (i + 1 < ascii.size() && std::isalpha(static_cast<unsigned char>(ascii[i + 1])) != 0)
        ++i;
    } else if (std::string_view("{}$*\"'").find(ascii[i]) == npos) {
      plain += ascii[i];
    }
  }
  std::string_view rest = trim(plain);
  for (const std::string_view prefix :
       {"option ", "Option ", "choice ", "Choice ", "选项", "选择", "选"}) {
    if (rest.starts_with(prefix)) rest = trim(rest.substr(prefix.size()));
  }
  const bool bracket = rest.starts_with("(");
  if (bracket) rest = trim(rest.substr(1));
  if (rest.empty()) return 0;
  char c = rest[0];
  if (c >= 'a' && c <= 'j' && (bracket || rest.size() == 1)) c = static_cast<char>(c - 'a' + 'A');
  if (c < 'A' || c > 'J') return 0;
  rest = rest.substr(1);
  const bool marked = !rest.empty() && std::string_view(").:,").find(rest[0]) != npos;
  const std::string_view behind = trim(marked ? rest.substr(1) : rest);
  if (behind.empty()) return c;
  if (!marked || rest[0] == ',') return 0;
  // "(A) or (B)", "A. B. C."
  for (size_t i = 0; i < behind.size(); ++i) {
    const bool alone = behind[i] >= 'A' && behind[i] <= 'J' &&
                       (i == 0 || std::isalnum(static_cast<unsigned char>(behind[i - 1])) == 0) &&
                       (i + 1 >= behind.size() ||
                        std::string_view(").:, ").find(behind[i + 1]) != std::string_view::npos);
    if (alone && (i == 0 || i + 1 >= behind.size() || behind[i + 1] != ' ')) return 0;
  }
  const std::string low = lower_case(behind);
  return low.starts_with("or ") || low.starts_with("and ") ? '\0' : c;
}

// The first candidate that is a formula, else the first as words.
Answer read_answer(std::string_view raw, const VerifyOptions& o, bool gold, bool choice,
                   Work& work) {
  Answer answer;
  Extracted found = extract_answer(raw, extract_options(o, gold, choice));
  if (found.error != nullptr) {
    answer.error = found.error;
    return answer;
  }
  const ReadOptions read{o.ordered_lists, !o.strict};
  if (choice) {
    for (std::string& candidate : found.candidates) {
      if (chosen_letter(candidate) != 0) {
        answer.text = std::move(candidate);
        return answer;
      }
    }
  }
  for (std::string& candidate : found.candidates) {
    Value v = read_value(candidate, read, work);
    const bool first = &candidate == found.candidates.data();
    if (is_formula(v) || first) {
      const bool formula = is_formula(v);
      answer.error = v.error;
      answer.value = std::move(v);
      answer.text = std::move(candidate);
      if (formula) break;
    }
  }
  if (answer.value.kind == Kind::kNone && answer.error == nullptr) answer.error = "no_answer";
  return answer;
}

std::string squeezed(std::string_view text) {
  std::string out;
  for (char c : ascii_math(text)) {
    if (!is_white_space(c) && c != '$') out += c;
  }
  return out;
}

// A formula that stands in the question already: "12*34" for the question what 12*34 is. A number, a
// fraction or a root may well stand in both.
bool copied(const Answer& answer, std::string_view gold, const std::string& question) {
  if (question.empty() || answer.value.literal || answer.value.kind == Kind::kText) return false;
  const std::string text = squeezed(answer.text);
  if (text.size() < 3 || text == squeezed(gold)) return false;
  const bool operation =
      text.find_first_of("+*^(") != std::string::npos || text.find('-', 1) != std::string::npos ||
      text.find("\\times") != std::string::npos || text.find("\\cdot") != std::string::npos ||
      text.find("\\div") != std::string::npos || text.find("binom") != std::string::npos;
  if (answer.value.is_number() ? !operation : text.find_first_of("+-*/^=<>\\(") == npos)
    return false;
  return squeezed(std::string_view(question).substr(0, kMaxQuestion)).find(text) != npos;
}

Verdict verify_choice(char gold, std::string_view raw, const VerifyOptions& o) {
  Verdict verdict;
  Work work;
  const Answer answer = read_answer(raw, o, false, true, work);
  if (answer.error != nullptr) {
    verdict.reason = answer.error;
    return verdict;
  }
  char letter = chosen_letter(answer.text);
  // "same" if the answer votes for the letter also where nobody knows that it is one.
  const bool plain = read_answer(raw, o, false, false, work).value.key == std::string(1, letter);
  const char* reason = plain ? "same" : "choice";
  if (letter == 0) {  // the text of an option instead of its letter
    const std::string words = normal_words(answer.text);
    for (size_t i = 0; i < o.choices.size() && i < 10; ++i) {
      const Value option = read_value(o.choices[i], {}, work);
      const bool same = words == normal_words(o.choices[i]) ||
                        (is_formula(option) && option.key == answer.value.key);
      if (!same) continue;
      letter = letter == 0 ? static_cast<char>('A' + i) : '?';
      reason = "choice";
    }
  }
  verdict.key = letter == 0 || letter == '?' ? answer.value.key : std::string(1, letter);
  verdict.equal = letter == gold;
  verdict.reason = verdict.equal ? reason : "wrong_value";
  return verdict;
}

}  // namespace

Verdict verify(std::string_view gold, std::string_view answer, const VerifyOptions& options) {
  Verdict verdict;
  Work gold_work, answer_work, compare_work;
  VerifyOptions for_gold = options;
  for_gold.latex = for_gold.expressions = true;
  const Answer g = read_answer(gold, for_gold, true, false, gold_work);
  if (g.error != nullptr) {
    verdict.reason = "bad_gold";
    return verdict;
  }
  if (g.value.kind == Kind::kText && g.value.key.size() == 1)
    return verify_choice(g.value.key[0], answer, options);
  const Answer a = read_answer(answer, options, false, false, answer_work);
  if (a.error != nullptr) {
    verdict.reason = a.error;
    return verdict;
  }
  verdict.key = a.value.key;
  if (copied(a, gold, options.question)) {
    verdict.reason = "question_restated";
    return verdict;
  }
  const CompareOptions compare{options.precision, options.round_both, options.relation_for_set,
                               options.ordered_lists};
  const Match match = compare_values(g.value, a.value, compare, compare_work);
  verdict.equal = match.equal;
  verdict.reason = match.reason;
  if (match.equal) verdict.key = g.value.key;
  return verdict;
}

std::string answer_key(std::string_view answer, const VerifyOptions& options) {
  Work work;
  const Answer a = read_answer(answer, options, false, !options.choices.empty(), work);
  if (a.error != nullptr) return {};
  if (!options.choices.empty()) {
    if (const char letter = chosen_letter(a.text); letter != 0) return std::string(1, letter);
  }
  return a.value.key;
}

}  // namespace ponder
