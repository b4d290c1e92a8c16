#include "eval/answer_extract.h"

#include <gtest/gtest.h>

#include <string>

namespace ponder {
namespace {

// The first candidate, or "!" and the error.
std::string first(std::string_view text, ExtractOptions options = {}) {
  const Extracted e = extract_answer(text, options);
  return e.error != nullptr ? std::string("!") + e.error : e.candidates.at(0);
}

std::string last(std::string_view text) {
  const Extracted e = extract_answer(text, {});
  return e.error != nullptr ? std::string("!") + e.error : e.candidates.back();
}

TEST(AnswerExtract, Boxes) {
  EXPECT_EQ(first("so \\boxed{\\frac{1}{2}}."), "\\frac{1}{2}");
  EXPECT_EQ(first("\\boxed{3} then, after some more lines of work and a check of each and every "
                  "one of the steps that "
                  "led here, and so on, \\boxed{4}"),
            "4");
  EXPECT_EQ(first("\\boxed{1} and \\boxed{2}"), "1 ; 2");
  EXPECT_EQ(first("\\boxed{1} or \\boxed{2}"), "1 \\text{ or } 2");
  EXPECT_EQ(first("\\boxed{5}. Again: \\boxed{5}"), "5");
  EXPECT_EQ(first("$\\boxed{20}$ percent"), "20\\%");
  EXPECT_EQ(first("\\boxed 7"), "7");
  EXPECT_EQ(first("\\\\boxed{8}"), "8");
  EXPECT_EQ(first("\\boxed{\\{1\\}}"), "\\{1\\}");
  EXPECT_EQ(first("\\boxed{1"), "!unbalanced");
}

TEST(AnswerExtract, TagsAndThinking) {
  EXPECT_EQ(first("<think>\\boxed{1}</think> <answer> 2 </answer>"), "2");
  EXPECT_EQ(first("thought</think>3"), "3");
  EXPECT_EQ(first("<think>a</think>b<think>c"), "!unclosed_thinking");
  EXPECT_EQ(first("<answer></answer>"), "!empty");
  EXPECT_EQ(first("5<|im_end|>6"), "5");
}

TEST(AnswerExtract, Statements) {
  EXPECT_EQ(first("The answer is 5. I hope it is correct."), "5");
  EXPECT_EQ(first("The answer is 16386.19"), "16386.19");
  EXPECT_EQ(first("work\n#### 42"), "42");
  EXPECT_EQ(first("work 7\nA: 42"), "42");
  EXPECT_EQ(first("所以答案是三分之二。"), "三分之二");
  EXPECT_EQ(first("**Final Answer**\n\\[ 9 \\]\nmore"), "\\[ 9 \\]");
  EXPECT_EQ(last("Final Answer: Jane started 3 hours ago."), "3");
  EXPECT_EQ(last("Final Answer: the points of $f(x)$ are 19."), "19");
  EXPECT_EQ(first("The meeting is at 4:30 p.m. today; the answer is 4:30 p.m."), "4:30 p.m.");
}

TEST(AnswerExtract, Prose) {
  EXPECT_EQ(last("We get $x=1$ and so $1/2$"), "1/2");
  EXPECT_EQ(last("There were 3 and then 5 left over"), "5");
  EXPECT_EQ(last("It cost $1,234.50."), "1,234.50");
  EXPECT_EQ(last("A grew to -7 degrees"), "-7");
  EXPECT_EQ(first("Which of 3 and 4 is it?"), "!question_restated");
  EXPECT_EQ(first(""), "!empty");
}

TEST(AnswerExtract, OnlyWhatIsAllowed) {
  ExtractOptions expressions;
  expressions.latex = false;
  EXPECT_EQ(extract_answer("$x$ is 5", expressions).candidates.back(), "5");
  ExtractOptions latex;
  latex.expressions = false;
  EXPECT_EQ(extract_answer("$x$ is 5", latex).candidates.back(), "x");
  ExtractOptions gold;
  gold.lenient = true;
  EXPECT_EQ(first("\\boxed{1", gold), "1");
}

}  // namespace
}  // namespace ponder
