#include "eval/countdown.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "eval/answer_tags.h"

namespace ponder {
namespace {

std::string_view reason(std::string_view expression, std::vector<int> numbers, int64_t target) {
  return grade_countdown(expression, {std::move(numbers), target}).reason;
}

TEST(CountdownGrade, Reasons) {
  EXPECT_EQ(reason("(3+11)+19", {11, 19, 3}, 33), "ok");
  EXPECT_EQ(reason(" 9 \u00D7 2\t\u00F7 2 \n= 9", {9, 2, 2}, 9), "ok");
  EXPECT_EQ(reason("9\u22122\u22122", {9, 2, 2}, 5), "ok");
  EXPECT_EQ(reason("8/(3-8/3)", {3, 3, 8, 8}, 24), "ok");  // exact, through fractions
  EXPECT_EQ(reason("", {1, 2}, 3), "empty");
  EXPECT_EQ(reason(" \t\r\n", {1, 2}, 3), "empty");
  EXPECT_EQ(reason("1+1", {1, 2}, 3), "wrong_numbers");
  EXPECT_EQ(reason("1+2+0", {1, 2}, 3), "wrong_numbers");
  EXPECT_EQ(reason("4294967297+2", {1, 2}, 3), "wrong_numbers");
  EXPECT_EQ(reason("2/(1-1)", {1, 1, 2}, 3), "division_by_zero");
  EXPECT_EQ(reason("(1-1)/2", {1, 1, 2}, 0), "ok");
  EXPECT_EQ(reason("2-1", {1, 2}, 3), "wrong_value");
  EXPECT_EQ(reason("1+2=4", {1, 2}, 3), "equality_wrong");
  EXPECT_EQ(reason("1+2=18446744073709551619", {1, 2}, 3), "equality_wrong");
  EXPECT_EQ(reason("12/2*3", {12, 2, 3}, 2), "wrong_value");  // groups from the left
  EXPECT_EQ(reason("2+3*4", {2, 3, 4}, 14), "ok");
  EXPECT_EQ(reason("10-4-3", {10, 4, 3}, 3), "ok");
}

TEST(CountdownGrade, Syntax) {
  for (const char* bad :
       {"1+",   "+1+2", "-1+2",   "1 2",     "(1+2",     "1+2)",   "()",     "1+(2)(3)", "2(1)",
        "1**2", "01+2", "1+2=",   "1+2=3=3", "1+2=(3)",  "1+2=-3", "1.0+2",  "1+2x",     "=3",
        "1^2",  "1//2", "\u00D7", "\xC3",    "\xE2\x88", "1+2=03", "1 +\v2", "1+2;",     "\xff"}) {
    EXPECT_EQ(reason(bad, {1, 2}, 3), "syntax") << bad;
  }
}

TEST(CountdownGrade, LengthIsInCodePointsAndBoundsTheWork) {
  const std::string sum = "9\u00D72\u00F72";  // 5 code points, 7 bytes
  EXPECT_EQ(reason(sum + std::string(195, ' '), {9, 2, 2}, 9), "ok");
  EXPECT_EQ(reason(sum + std::string(196, ' '), {9, 2, 2}, 9), "too_long");
  EXPECT_EQ(reason(std::string(201, ' '), {9}, 9), "too_long");
  EXPECT_EQ(reason(std::string(10'000'000, '('), {9}, 9), "too_long");
  EXPECT_EQ(reason(std::string(10'000'000, '\x80'), {9}, 9), "too_long");
  EXPECT_EQ(reason(std::string(99, '(') + "9" + std::string(99, ')'), {9}, 9), "ok");
  EXPECT_EQ(reason(std::string(200, '9'), {9}, 9), "wrong_numbers");
}

TEST(CountdownGrade, LargestNumbersDoNotOverflow) {
  const std::vector<int> all(8, 1000);
  const CountdownProblem problem{all, 0};
  const auto verdict = grade_countdown("1000*1000*1000*1000*1000*1000*1000*1000", problem);
  EXPECT_EQ(verdict.value, "1" + std::string(24, '0'));
  const auto fraction = grade_countdown("1000-(1000/1000+1000/(1000*1000*1000*1000))", problem);
  EXPECT_EQ(fraction.reason, "wrong_value");
  EXPECT_EQ(fraction.value, "998999999999/1000000000");
}

TEST(CountdownGrade, Completions) {
  const CountdownProblem problem{{3, 7, 12}, 15};
  const auto grade = [&](const char* answer) {
    return grade_countdown_completion(tagged_completion("", answer), problem);
  };
  EXPECT_EQ(grade("(12-7)*3").reason, "ok");
  EXPECT_EQ(grade("(12-7)*3").key, "15");
  EXPECT_EQ(grade(" ").reason, "empty_answer");
  EXPECT_EQ(grade("3+7+12").key, "22");
  EXPECT_EQ(grade("3*7/12").key, "7/4");
  EXPECT_EQ(grade("15").reason, "wrong_numbers");
  EXPECT_FALSE(grade("15").has_key);  // or it would vote with the right answers
  EXPECT_FALSE(grade("(12-7)*3=14").has_key);
  const Grade untidy = grade_countdown_completion("<answer>(12-7)*3</answer>", problem);
  EXPECT_EQ(untidy.reason, "bad_format");
  EXPECT_EQ(untidy.accuracy, 1);
  EXPECT_EQ(grade_countdown_completion("(12-7)*3", problem).reason, "no_answer");
}

TEST(Countdown, PromptsReadBack) {
  const auto problem = parse_countdown_prompt(" 3  7 12->15\n");
  ASSERT_TRUE(problem.ok());
  EXPECT_EQ(countdown_prompt(*problem), "3 7 12 -> 15");
  for (const char* bad : {"", "->", "-> 3", "3 7", "3 7 ->", "3 7 -> x", "3 7 -> 3 4", "0 1 -> 1",
                          "1001 -> 1", "3 7 -> -4", "1 1 1 1 1 1 1 1 1 -> 9", "3,7 -> 10",
                          "99999999999999999999 -> 1", "1 -> 1000000001"}) {
    EXPECT_FALSE(parse_countdown_prompt(bad).ok()) << bad;
  }
}

TEST(Countdown, Solver) {
  EXPECT_FALSE(solve_countdown({{8, 12, 20}, 33}, false).has_value());
  EXPECT_EQ(solve_countdown({{3, 3, 8, 8}, 24}, false), "8/(3-8/3)");
  EXPECT_FALSE(solve_countdown({{3, 3, 8, 8}, 24}, true).has_value());
  EXPECT_EQ(solve_countdown({{5}, 5}, true), "5");
  // Every order of grouping keeps its value when written with few parentheses.
  for (int64_t target = 0; target <= 200; ++target) {
    const CountdownProblem problem{{2, 3, 7, 11}, target};
    const auto solution = solve_countdown(problem, false);
    if (solution) {
      EXPECT_EQ(grade_countdown(*solution, problem).reason, "ok") << *solution;
    }
  }
}

TEST(Countdown, ProblemsArePureSolvableAndKeepTheirSplit) {
  std::map<size_t, int> counts;
  for (Split split : {Split::kTrain, Split::kDev, Split::kTest}) {
    for (uint64_t index = 0; index < 30; ++index) {
      CountdownProblem p = make_countdown_problem({}, split, 1, index).value();
      EXPECT_EQ(countdown_prompt(p),
                countdown_prompt(make_countdown_problem({}, split, 1, index).value()));
      EXPECT_TRUE(solve_countdown(p, true).has_value());
      EXPECT_LE(*std::max_element(p.numbers.begin(), p.numbers.end()), 20);
      EXPECT_TRUE(p.target >= 1 && p.target <= 60);
      ++counts[p.numbers.size()];
      std::sort(p.numbers.begin(), p.numbers.end());
      EXPECT_EQ(split_of(countdown_prompt(p)), split);
    }
  }
  EXPECT_EQ(counts.size(), 2u);
}

// Evaluations of different builds are comparable only while these stay as they are.
TEST(Countdown, ProblemsNeverChange) {
  EXPECT_EQ(countdown_prompt(*make_countdown_problem({}, Split::kTrain, 1, 0)), "15 8 16 17 -> 34");
  EXPECT_EQ(countdown_prompt(*make_countdown_problem({}, Split::kTest, 1, 0)), "11 4 3 10 -> 17");
}

TEST(Countdown, BadParamsNameTheKey) {
  EXPECT_NE(validate(CountdownParams{1}).message().find("min_numbers"), std::string::npos);
  EXPECT_NE(validate(CountdownParams{4, 3}).message().find("max_numbers"), std::string::npos);
  EXPECT_NE(validate(CountdownParams{3, 4, 0}).message().find("max_number:"), std::string::npos);
  EXPECT_NE(validate(CountdownParams{3, 4, 20, 0}).message().find("max_target"), std::string::npos);
  // Two ones make 0, 1 and 2 alone: few targets up to 10^6, and none of them in one of the small
  // splits.
  const CountdownParams hopeless{2, 2, 1, 1000000};
  EXPECT_FALSE(make_countdown_problem(hopeless, Split::kTest, 1, 0).ok());
}

// Reads a thinking text by the documented grammar; the number of branches, or 0 for any fault.
int branches_of(std::string_view thinking, const CountdownProblem& problem) {
  int branches = 0;
  for (;;) {
    std::vector<int64_t> left(problem.numbers.begin(), problem.numbers.end());
    while (left.size() > 1) {
      const size_t stop = thinking.find(';');
      if (stop == std::string_view::npos) return 0;
      const std::string line(thinking.substr(0, stop));
      thinking.remove_prefix(stop + 1);
      size_t used = 0;
      const int64_t a = std::stoll(line, &used);
      const char op = line[used];
      const std::string rest = line.substr(used + 1);
      const int64_t b = std::stoll(rest, &used);
      const int64_t result = std::stoll(rest.substr(used + 1));
      for (int64_t operand : {a, b}) {
        const auto found = std::find(left.begin(), left.end(), operand);
        if (found == left.end()) return 0;
        left.erase(found);
      }
      const bool right = op == '+'   ? a + b == result
                         : op == '-' ? a - b == result
                         : op == '*' ? a * b == result
                                     : b != 0 && b * result == a;
      if (!right || result < 0) return 0;
      left.push_back(result);
    }
    ++branches;
    if (thinking == "so") return left[0] == problem.target ? branches : 0;
    if (left[0] == problem.target || !thinking.starts_with("wait ")) return 0;
    thinking.remove_prefix(5);
  }
}

TEST(Countdown, SearchesKeepTheirGrammar) {
  int longest = 0;
  for (uint64_t index = 0; index < 300; ++index) {
    const CountdownProblem problem = make_countdown_problem({}, Split::kTrain, 2, index).value();
    Rng rng(2, 0, index);
    const auto text = countdown_search(problem, 3, rng);
    ASSERT_TRUE(text.has_value());
    EXPECT_EQ(grade_countdown_completion(*text, problem).reason, "ok") << *text;
    const std::string_view thinking = std::string_view(*text).substr(7, text->find("</think>") - 7);
    const int branches = branches_of(thinking, problem);
    EXPECT_TRUE(branches >= 1 && branches <= 4) << *text;
    longest = std::max(longest, branches);
    Rng same(2, 0, index);
    EXPECT_EQ(countdown_search(problem, 3, same), text);
  }
  EXPECT_EQ(longest, 4);
  Rng rng(1, 0, 0);
  EXPECT_FALSE(countdown_search({{3, 3, 8, 8}, 24}, 3, rng).has_value());
}

TEST(Countdown, Examples) {
  int direct = 0;
  for (uint64_t index = 0; index < 400; ++index) {
    const Example e = make_countdown_example({}, {0.25, 2}, 5, index).value();
    const CountdownProblem problem = parse_countdown_prompt(e.prompt).value();
    EXPECT_EQ(grade_countdown_completion(e.completion, problem).reason, "ok") << e.completion;
    direct += e.completion.starts_with("<think></think>");
  }
  EXPECT_NEAR(direct, 100, 35);
  EXPECT_FALSE(make_countdown_example({}, {1.5, 2}, 5, 0).ok());
  EXPECT_FALSE(make_countdown_example({}, {0.5, 65}, 5, 0).ok());
}

}  // namespace
}  // namespace ponder
