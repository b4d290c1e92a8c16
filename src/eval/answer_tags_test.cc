#include "eval/answer_tags.h"

#include <gtest/gtest.h>

namespace ponder {
namespace {

TEST(AnswerTags, WellFormed) {
  const auto found = find_answer(" <think>a</think>\n<answer> 7 </answer>\t\r\n");
  EXPECT_TRUE(found.well_formed);
  EXPECT_EQ(found.reason, "ok");
  EXPECT_EQ(found.answer, " 7 ");
  EXPECT_EQ(tagged_completion("a", "7"), "<think>a</think><answer>7</answer>");
  EXPECT_TRUE(find_answer(tagged_completion("", "")).well_formed);
}

TEST(AnswerTags, Reasons) {
  EXPECT_EQ(find_answer("").reason, "empty");
  EXPECT_EQ(find_answer(" \t\r\n").reason, "empty");
  EXPECT_EQ(find_answer("\v").reason, "no_answer");  // not white space here
  EXPECT_EQ(find_answer("<Answer>7</answer>").reason, "no_answer");
  EXPECT_EQ(find_answer("<answer>7</answer></answer>").reason, "many_answers");
  EXPECT_EQ(find_answer("<answer><answer>7</answer>").reason, "many_answers");
  EXPECT_EQ(find_answer("</answer>7<answer>").reason, "unclosed_answer");
  EXPECT_EQ(find_answer("<answer>7</answer").reason, "unclosed_answer");
}

TEST(AnswerTags, FormatAndAnswerAreIndependent) {
  const auto no_thinking = find_answer("<answer>7</answer>");
  EXPECT_EQ(no_thinking.reason, "ok");
  EXPECT_FALSE(no_thinking.well_formed);
  EXPECT_FALSE(find_answer("so <think></think><answer>7</answer>").well_formed);
  EXPECT_FALSE(find_answer("<think></think>so<answer>7</answer>").well_formed);
  EXPECT_FALSE(find_answer("<think></think><answer>7</answer>.").well_formed);
  EXPECT_FALSE(find_answer("<think><answer>7</answer></think>").well_formed);
}

TEST(AnswerTags, HostileBytes) {
  std::string text;
  for (int i = 0; i < 200000; ++i) text += "<answer";
  EXPECT_EQ(find_answer(text).reason, "no_answer");
  EXPECT_EQ(find_answer(std::string("\0\xff<answer>\0</answer>", 20)).answer.size(), 1u);
}

}  // namespace
}  // namespace ponder
