#include "eval/reasoner_expression.h"

#include <gtest/gtest.h>

namespace ponder::reasoner {
namespace {

std::string reduced(std::string_view text) {
  Expression e = Expression::parse(text).value();
  const auto step = e.reduce();
  return step ? step->work.text + " -> " + e.text() : "none";
}

TEST(ReasonerExpression, ReducesTheInnermostBracketsThenProductsThenSums) {
  EXPECT_EQ(reduced("2+3*(4-1)"), "4-1=3 -> 2+3*3");
  EXPECT_EQ(reduced("2+3*3"), "3*3=9 -> 2+9");
  EXPECT_EQ(reduced("9-4+5"), "9-4=5 -> 5+5");
  EXPECT_EQ(reduced("(1+2-3)*4"), "1+2=3 -> (3-3)*4");
  EXPECT_EQ(reduced("2*(9-(1+2))"), "1+2=3 -> 2*(9-3)");
  EXPECT_EQ(reduced("5-12+1"), "5-12=-7 -> -7+1");
  // What the solutions do not do.
  EXPECT_EQ(reduced("1+(5-12)"), "none");
  EXPECT_EQ(reduced("7/2"), "none");
  EXPECT_EQ(reduced("999+1"), "none");
}

TEST(ReasonerExpression, WritesTheWorkOfAnOperation) {
  EXPECT_EQ(work(27, '*', 6)->text, "27*6=120+42=162");
  EXPECT_EQ(work(6, '*', 27)->text, "6*27=120+42=162");
  EXPECT_EQ(work(7, '*', 8)->text, "7*8=56");
  EXPECT_EQ(work(40, '*', 6)->text, "40*6=240");
  EXPECT_EQ(work(23, '*', 14)->text, "23*14=23*10+23*4=230+92=322");
  EXPECT_EQ(work(162, '/', 6)->text, "162/6=120/6+42/6=20+7=27");
  EXPECT_EQ(work(56, '/', 8)->text, "56/8=7");
  EXPECT_EQ(work(-7, '*', 3)->text, "-7*3=-21");
  EXPECT_EQ(work(3, '-', 10)->result, -7);
  EXPECT_FALSE(work(99, '*', 99));
  EXPECT_FALSE(work(5, '/', 0));
  EXPECT_EQ(undo(20, '-', 5, 15), "15+5=20");
}

TEST(ReasonerExpression, TellsEveryStepAndWhatIsLeft) {
  Rng rng(1, 2, 3);
  const auto r = reduce_aloud(rng, Language::kChinese, *Expression::parse("2+3*4"));
  ASSERT_TRUE(r);
  EXPECT_EQ(r->value, 14);
  EXPECT_NE(r->lines.find("3*4=12，得2+12\n"), std::string::npos) << r->lines;
  EXPECT_TRUE(r->lines.ends_with("2+12=14。"));
}

TEST(ReasonerExpression, ReadsSchoolSigns) {
  EXPECT_EQ(Expression::parse("（12 ÷ 4）× 3 − 1")->text(), "(12/4)*3-1");
  EXPECT_EQ(Expression::parse("12/4")->text(true, "×", "÷"), "12 ÷ 4");
  for (const std::string_view text : {"", "+", "1 2", "()", "1+", "-1", "1+2)", "12345", "a"}) {
    EXPECT_FALSE(Expression::parse(text)) << text;
  }
}

}  // namespace
}  // namespace ponder::reasoner
