// Settings, reasons, votes, and answers made to deceive. What is equal to what: answer_cases_test.cc.
#include "eval/answer_verify.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace ponder {
namespace {

std::string repeated(std::string_view unit, size_t times) {
  std::string out;
  for (size_t i = 0; i < times; ++i) out += unit;
  return out;
}

TEST(AnswerVerify, ReasonsOfRightAnswers) {
  EXPECT_STREQ(verify("42", "\\boxed{42}").reason, "same");
  EXPECT_STREQ(verify("0.333", "1/3").reason, "rounded");
  EXPECT_STREQ(verify("5 km", "5").reason, "unit_omitted");
  EXPECT_STREQ(verify("50\\%", "1/2").reason, "percent");
  EXPECT_STREQ(verify("90^\\circ", "\\frac{\\pi}{2}").reason, "degrees");
  EXPECT_STREQ(verify("2x+1", "y=2x+1").reason, "assignment");
  EXPECT_STREQ(verify("C", "C. 42").reason, "choice");
}

TEST(AnswerVerify, ReasonsOfWrongAnswers) {
  const auto reason = [](std::string_view answer) {
    return std::string(verify("42", answer).reason);
  };
  EXPECT_EQ(reason("41"), "wrong_value");
  EXPECT_EQ(reason("{42, 43}"), "wrong_kind");
  EXPECT_EQ(verify("5 km", "5 s").reason, std::string("wrong_unit"));
  EXPECT_EQ(verify("1, 2", "1, 2, 3").reason, std::string("wrong_length"));
  EXPECT_EQ(reason(""), "empty");
  EXPECT_EQ(reason(" \n"), "empty");
  EXPECT_EQ(reason("<think>42"), "unclosed_thinking");
  EXPECT_EQ(reason("<think>42</think>"), "empty");
  EXPECT_EQ(reason("<answer>42"), "unclosed_answer");
  EXPECT_EQ(reason("<answer>41</answer><answer>42</answer>"), "many_answers");
  EXPECT_EQ(reason("\\boxed{41} no, that was not right. \\boxed{42}"), "many_boxed");
  EXPECT_EQ(reason("\\boxed{42} or 43"), "hedged");
  EXPECT_EQ(reason("\\boxed{42"), "unbalanced");
  EXPECT_EQ(reason("\\frac{42}{"), "unbalanced");
  EXPECT_EQ(reason("What is $6 \\cdot 7$?"), "question_restated");
  EXPECT_EQ(reason(std::string(1'000'000, '4')), "too_long");
  EXPECT_EQ(reason(std::string(2'000'000, '4')), "too_long");
  EXPECT_EQ(reason("\\boxed{" + std::string(1500, '4') + "}"), "too_many_digits");
  EXPECT_EQ(reason("\\boxed{" + repeated("(", 60) + repeated(")", 60) + "}"), "too_deep");
  EXPECT_EQ(verify("", "42").reason, std::string("bad_gold"));
  EXPECT_EQ(verify("\\frac{1}{", "42").reason, std::string("bad_gold"));
}

TEST(AnswerVerify, Settings) {
  VerifyOptions o;
  o.strict = false;
  EXPECT_TRUE(verify("$f(x)$", "$f(y)$", o).equal);
  EXPECT_FALSE(verify("$f(x)$", "$f(y)$").equal);
  o = {};
  o.ordered_lists = true;
  EXPECT_FALSE(verify("10, 4, -2", "4, 10, -2", o).equal);
  EXPECT_TRUE(verify("10, 4, -2", "10, 4, -2", o).equal);
  EXPECT_TRUE(verify("10, 4, -2", "4, 10, -2").equal);
  o = {};
  o.relation_for_set = false;
  EXPECT_STREQ(verify("(1, 2)", "1 < x < 2", o).reason, "relation_for_set");
  EXPECT_TRUE(verify("1 < x < 2", "(1, 2)", o).equal);
  o = {};
  o.need_thinking_end = true;
  EXPECT_FALSE(verify("42", "42", o).equal);
  EXPECT_TRUE(verify("42", "so</think>42", o).equal);
  o = {};
  o.precision = 3;
  EXPECT_TRUE(verify("1/3", "0.333", o).equal);
  EXPECT_FALSE(verify("1/3", "0.333").equal);
  o.round_both = true;
  EXPECT_TRUE(verify("0.12345", "0.12301", o).equal);
  o = {};
  o.expressions = false;
  EXPECT_TRUE(verify("9", "It is $9$.", o).equal);
  o.latex = false;
  o.expressions = true;
  EXPECT_TRUE(verify("9", "It is 9.", o).equal);
}

TEST(AnswerVerify, Choices) {
  VerifyOptions o;
  o.choices = {"12", "15 cm", "$\\frac{1}{2}$", "none of these"};
  EXPECT_TRUE(verify("C", "\\boxed{0.5}", o).equal);
  EXPECT_TRUE(verify("D", "none of these", o).equal);
  EXPECT_TRUE(verify("B", "(B) 15 cm", o).equal);
  EXPECT_FALSE(verify("B", "15 m", o).equal);
  EXPECT_FALSE(verify("B", "A", o).equal);
  EXPECT_EQ(answer_key("The answer is (B) 15 cm.", o), "B");
}

TEST(AnswerVerify, QuestionKnown) {
  VerifyOptions o;
  o.question = "Expand $(x+1)^2$ and compute $12 \\cdot 34$ and one half.";
  EXPECT_STREQ(verify("408", "\\boxed{12 \\cdot 34}", o).reason, "question_restated");
  EXPECT_STREQ(verify("x^2+2x+1", "\\boxed{(x+1)^2}", o).reason, "question_restated");
  EXPECT_TRUE(verify("408", "\\boxed{408}", o).equal);
  EXPECT_TRUE(verify("(x+1)^2", "\\boxed{(x+1)^2}", o).equal);
}

TEST(AnswerVerify, Votes) {
  EXPECT_EQ(answer_key("\\boxed{0.5}"), answer_key("The answer is \\frac12."));
  EXPECT_EQ(answer_key("(x+1)^2"), answer_key("x^2+2x+1"));
  EXPECT_EQ(answer_key("$\\sqrt{8}$"), answer_key("2\\sqrt{2}"));
  EXPECT_NE(answer_key("5 km"), answer_key("5 m"));
  EXPECT_EQ(answer_key("5 km"), answer_key("5000 m"));
  EXPECT_EQ(answer_key(""), "");
  // The gold's class is that of an equal answer, also where the answer alone would vote otherwise.
  EXPECT_EQ(verify("0.333", "1/3").key, "333/1000");
  EXPECT_EQ(verify("0.334", "1/3").key, "1/3");
}

// Ways to smuggle a gold into an answer without giving it. %G is the gold, %A and %B are others.
constexpr std::string_view kTricks[] = {
    "",
    " ",
    "...",
    "\\boxed{}",
    "%G or %A",
    "%A or %G",
    "%A, %G",
    "%A, %B, %G",
    "[%A, %G]",
    "\\{%A, %G\\}",
    "%A and %G",
    "either %A or %G",
    "The answer is %A or %G.",
    "The answer is either %G or %B.",
    "The answer is one of %A, %B, %G.",
    "The answer could be %A. Or %G.",
    "Maybe %A, maybe %G",
    "Possible answers:\n%A\n%B\n%G",
    "\\boxed{%A} \\boxed{%G}",
    "\\boxed{%A}, \\boxed{%B}, \\boxed{%G}",
    "\\boxed{%A} or \\boxed{%G}",
    "\\boxed{%G} or \\boxed{%A}",
    "\\boxed{%G} or %A",
    "%A or \\boxed{%G}",
    "\\boxed{%A}\n\\boxed{%B}\n\\boxed{%G}",
    "\\boxed{%A \\text{ or } %G}",
    "\\boxed{%A, %G}",
    "\\boxed{%G",
    "\\boxed{\\frac{%G}{1}",
    "$\\frac{%G}{$",
    "{%G",
    "%G}",
    "<think>%G",
    "<think>The answer is \\boxed{%G}.",
    "<think>The answer is \\boxed{%G}.</think>",
    "<think>%G</think>I do not know.",
    "%G</think>\\boxed{%A}",
    "<answer>%G",
    "<answer>%A</answer><answer>%G</answer>",
    "<answer>%A or %G</answer>",
    "What is %G?",
    "Is it %G?",
    "Compute $%G$.",
    "Find $x$ if $x = %G$.",
    "It is not %G",
    "%G is wrong",
    "9^9^9^9^%G",
    "%G^{9^{9^{9^9}}}",
    "%G!!!!!!!!!!!!",
    "A) %A B) %B C) %G",
    "1. %A\n2. %B\n3. %G",
    "%A %B %G",
    "%A / %G",
    "%A = %B or %G",
};

std::string filled(std::string_view trick, const std::string& gold, const std::string& a,
                   const std::string& b) {
  std::string out;
  for (size_t i = 0; i < trick.size(); ++i) {
    if (trick[i] != '%' || i + 1 == trick.size()) {
      out += trick[i];
      continue;
    }
    ++i;
    out += trick[i] == 'G' ? gold : trick[i] == 'A' ? a : b;
  }
  return out;
}

TEST(AnswerVerify, NoTrickIsAccepted) {
  const std::vector<std::string> golds = {
      "42",   "7",         "-3",    "100", "3/4", "\\frac{5}{8}", "2.5", "1234",         "0.25",
      "2025", "\\sqrt{3}", "7\\pi", "12",  "18",  "x+5",          "5",   "\\frac{1}{3}", "96"};
  size_t tried = 0;
  for (size_t g = 0; g < golds.size(); ++g) {
    const std::string a = golds[(g + 1) % golds.size()], b = golds[(g + 5) % golds.size()];
    std::vector<std::string> answers;
    for (const std::string_view trick : kTricks) answers.push_back(filled(trick, golds[g], a, b));
    answers.push_back(std::string(1'000'000, '7'));
    answers.push_back(golds[g] + std::string(1'000'000, '0'));
    answers.push_back("\\boxed{" + golds[g] + std::string(100'000, '9') + "}");
    answers.push_back(repeated("\\boxed{" + golds[g] + "} \\boxed{" + a + "} ", 300));
    for (const std::string& answer : answers) {
      ++tried;
      const Verdict v = verify(golds[g], answer);
      EXPECT_FALSE(v.equal) << golds[g] << "  <-  " << answer.substr(0, 100) << "  " << v.reason;
    }
  }
  EXPECT_GE(tried, 1000u);
}

}  // namespace
}  // namespace ponder
