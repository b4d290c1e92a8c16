#include "eval/reasoner.h"

#include <gtest/gtest.h>

#include <set>

#include "eval/reasoner_language.h"

namespace ponder {
namespace {

constexpr std::string_view kFamilies[] = {"arithmetic", "words", "compare", "equation",
                                          "countdown",  "logic", "outside"};

ReasonerParams params_of(std::string_view family, std::string_view language, int longer = 0) {
  return {std::string(family), std::string(language), longer};
}

Problem problem_of(std::string prompt, std::string gold) {
  return {std::move(prompt), std::move(gold), "", 1};
}

// Every family, language and length that there is.
template <typename F>
void for_each_choice(F visit) {
  for (const std::string_view family : kFamilies) {
    for (const std::string_view language : {"en", "zh"}) {
      for (int longer = 0; longer <= 2; ++longer) {
        const ReasonerParams params = params_of(family, language, longer);
        if (validate(params).ok()) visit(params);
      }
    }
  }
}

TEST(Reasoner, SolutionsEarnFullMarks) {
  int choices = 0;
  for_each_choice([&](const ReasonerParams& params) {
    ++choices;
    for (uint64_t index = 0; index < 60; ++index) {
      const Split split = index % 5 == 0 ? Split::kTest : Split::kTrain;
      const auto s = make_reasoner_solution(params, split, 11, index);
      ASSERT_TRUE(s.ok()) << s.status().message();
      const Grade grade = grade_reasoner(s->problem, s->completion);
      EXPECT_EQ(grade.reason, "ok") << s->problem.prompt << "\n" << s->completion;
      EXPECT_EQ(grade.accuracy + grade.format, 2);
      EXPECT_TRUE(grade.has_key);
      EXPECT_EQ(grade.key, s->problem.key);
      EXPECT_EQ(reasoner_language_share(s->problem, s->completion), 1.0) << s->completion;
      EXPECT_TRUE(s->problem.gold.starts_with(params.languages));
      EXPECT_EQ(grade_reasoner(s->problem, "").accuracy, 0);
      EXPECT_EQ(grade_reasoner(s->problem, "?\n</think>\n\\boxed{-7654321}").accuracy, 0);
    }
  });
  EXPECT_EQ(choices, 2 * (7 + 5 * 2));
}

TEST(Reasoner, LongerProblemsHaveThatManySteps) {
  const auto steps = [](std::string_view family, int longer) {
    std::set<int> out;
    for (uint64_t i = 0; i < 200; ++i) {
      out.insert(make_reasoner_problem(params_of(family, "all", longer), Split::kTest, 3, i)
                     .value()
                     .difficulty);
    }
    return out;
  };
  EXPECT_EQ(steps("arithmetic", 0), (std::set<int>{1, 2, 3, 4, 5}));
  EXPECT_EQ(steps("arithmetic", 1), std::set<int>{6});
  EXPECT_EQ(steps("words", 2), std::set<int>{7});
  EXPECT_EQ(steps("equation", 0), (std::set<int>{1, 2, 3, 4}));
  EXPECT_EQ(steps("logic", 1), std::set<int>{6});
}

TEST(Reasoner, QuestionsVary) {
  for_each_choice([](const ReasonerParams& params) {
    std::set<std::string> questions;
    for (uint64_t i = 0; i < 500; ++i) {
      questions.insert(make_reasoner_problem(params, Split::kTrain, 5, i).value().prompt);
    }
    EXPECT_GE(questions.size(), params.families == "outside" ? 400u : 490u) << params.families;
  });
}

TEST(Reasoner, NothingThatIsTrainedOnIsAsked) {
  std::set<std::string> asked;
  for (uint64_t i = 0; i < 2000; ++i) {
    asked.insert(make_reasoner_problem({}, Split::kTest, 1, i).value().prompt);
  }
  for (uint64_t i = 0; i < 5000; ++i) {
    const Example example = make_reasoner_example({}, {}, 1, i).value();
    EXPECT_FALSE(asked.contains(example.prompt)) << example.prompt;
  }
}

TEST(Reasoner, EqualArgumentsGiveEqualProblems) {
  for (uint64_t i = 0; i < 50; ++i) {
    const auto a = make_reasoner_solution({}, Split::kDev, 9, i).value();
    const auto b = make_reasoner_solution({}, Split::kDev, 9, i).value();
    EXPECT_EQ(a.problem.prompt, b.problem.prompt);
    EXPECT_EQ(a.completion, b.completion);
    EXPECT_NE(a.problem.prompt, make_reasoner_problem({}, Split::kDev, 10, i).value().prompt);
  }
}

TEST(Reasoner, MixtureShowsEachKindOfExample) {
  int drills = 0, comparisons = 0, direct = 0, earlier = 0, checked = 0;
  for (uint64_t i = 0; i < 2000; ++i) {
    const Example e = make_reasoner_example({}, {0.2, 0.2, 1.0, 0.2}, 4, i).value();
    drills += e.think.has_value() ? 0 : 1;
    direct += e.think == false ? 1 : 0;
    earlier += e.earlier.empty() ? 0 : 1;
    checked += e.completion.find("Check: ") != std::string::npos ? 1 : 0;
    EXPECT_EQ(e.think == true, e.completion.find("</think>") != std::string::npos);
    if (!e.think) {
      const bool compares = e.prompt.ends_with("est: ") || e.prompt.ends_with("：");
      comparisons += compares ? 1 : 0;
      EXPECT_TRUE(e.prompt.starts_with("\n") && (compares || e.prompt.ends_with("="))) << e.prompt;
      EXPECT_TRUE(e.completion.ends_with(".") || e.completion.ends_with("。")) << e.completion;
      // What it is compared with comes before it.
      if (compares) {
        const size_t end = e.completion.find_first_not_of("-0123456789");
        EXPECT_NE(e.prompt.find(e.completion.substr(0, end)), std::string::npos);
      }
    }
  }
  EXPECT_NEAR(drills, 400, 80);
  EXPECT_NEAR(comparisons, 48, 30);
  EXPECT_NEAR(direct, 320, 80);
  EXPECT_NEAR(earlier, 320, 80);
  EXPECT_GT(checked, 100);
}

TEST(Reasoner, BadChoicesNameTheirKey) {
  const auto message = [](const ReasonerParams& p) { return validate(p).message(); };
  EXPECT_EQ(message({}), "");
  EXPECT_EQ(message(params_of("arithmetic logic", "zh en", 2)), "");
  EXPECT_TRUE(message(params_of("algebra", "all")).starts_with("families: "));
  EXPECT_TRUE(message(params_of(" ", "all")).starts_with("families: "));
  EXPECT_TRUE(message(params_of("all", "fr")).starts_with("languages: "));
  EXPECT_TRUE(message(params_of("all", "")).starts_with("languages: "));
  EXPECT_TRUE(message(params_of("all", "all", 3)).starts_with("longer: "));
  EXPECT_TRUE(message(params_of("countdown", "all", 1)).starts_with("longer: countdown"));
  EXPECT_FALSE(make_reasoner_problem(params_of("x", "all"), Split::kTest, 1, 1).ok());
  EXPECT_FALSE(make_reasoner_example({}, {2, 0, 0, 0}, 1, 1).ok());
}

TEST(Reasoner, GradesWhatIsAfterTheThinking) {
  const Problem p = problem_of("What is 37+8?", "en arithmetic 45");
  const auto grade = [&](std::string_view completion) { return grade_reasoner(p, completion); };
  EXPECT_EQ(grade("First 37+8=45.\n</think>\nThe answer is \\boxed{45}.").reason, "ok");
  const Grade wrong = grade("First 37+8=44.\n</think>\nThe answer is \\boxed{44}.");
  EXPECT_EQ(wrong.reason, "wrong_value");
  EXPECT_EQ(wrong.accuracy, 0);
  EXPECT_EQ(wrong.format, 1);
  EXPECT_EQ(wrong.key, "44");
  // Right, but without thinking, without its end, with two boxes, or with a second </think>.
  for (const std::string_view completion :
       {"The answer is \\boxed{45}.", "\n</think>\nThe answer is \\boxed{45}.",
        "First.\n</think>\nThe answer is 45.", "</think>so</think>\nThe answer is \\boxed{45}."}) {
    EXPECT_EQ(grade(completion).reason, "bad_format") << completion;
    EXPECT_EQ(grade(completion).accuracy, 1) << completion;
    EXPECT_EQ(grade(completion).format, 0) << completion;
  }
  EXPECT_EQ(grade("So \\boxed{45}\n</think>\nI do not know.").accuracy, 0);
  EXPECT_EQ(grade("It is\n</think>\n\\boxed{44} or \\boxed{45}").accuracy, 0);
}

TEST(Reasoner, AnswersInAnotherLanguageAreNotWellFormed) {
  const Problem p = problem_of("计算37+8", "zh arithmetic 45");
  EXPECT_EQ(grade_reasoner(p, "先算37+8=45。\n</think>\n答案是\\boxed{45}。").reason, "ok");
  for (const std::string_view completion :
       {"First 37+8=45.\n</think>\nThe answer is \\boxed{45}.",
        "First 37+8=45.\n</think>\n答案是\\boxed{45}。", "37+8=45\n</think>\n\\boxed{45}"}) {
    const Grade grade = grade_reasoner(p, completion);
    EXPECT_EQ(grade.reason, "wrong_language") << completion;
    EXPECT_EQ(grade.accuracy, 1);
    EXPECT_EQ(grade.format, 0);
  }
}

TEST(Reasoner, CountdownIsGradedByItsExpression) {
  const Problem p = problem_of("Use 3, 7 and 12 to make 15.", "en countdown 3 7 12 -> 15");
  const auto reason = [&](std::string_view box) {
    return grade_reasoner(p, "Keep 3.\n</think>\nThe answer is \\boxed{" + std::string(box) + "}.")
        .reason;
  };
  EXPECT_EQ(reason("(12-7)*3"), "ok");
  EXPECT_EQ(reason("3*(12-7)"), "ok");
  EXPECT_EQ(reason("15"), "wrong_numbers");
  EXPECT_EQ(reason("12+3"), "wrong_numbers");
  EXPECT_EQ(reason("12+3*7"), "wrong_value");
  EXPECT_EQ(reason("12+"), "syntax");
  EXPECT_EQ(grade_reasoner(p, "x\n</think>\n(12-7)*3").reason, "no_answer");
}

TEST(Reasoner, OutsideIsDeclinedAndNothingElseIs) {
  const std::string_view declined =
      "This is not one of my kinds of problem.\n</think>\nSorry, I do not know. This is what I can "
      "do: "
      "arithmetic.";
  const Problem outside = problem_of("Where is Rome?", "en outside declined");
  EXPECT_EQ(grade_reasoner(outside, declined).reason, "ok");
  EXPECT_EQ(grade_reasoner(outside, "Hm.\n</think>\nIn Italy.").reason, "not_declined");
  EXPECT_EQ(grade_reasoner(outside, std::string(declined) + " \\boxed{1}").accuracy, 0);
  const Problem inside = problem_of("What is 1+1?", "en arithmetic 2");
  EXPECT_EQ(grade_reasoner(inside, declined).accuracy, 0);
}

TEST(Reasoner, OrdersCount) {
  const Problem p = problem_of("Sort 3, 1, 2", "en compare 1, 2, 3");
  const auto accuracy = [&](std::string_view box) {
    return grade_reasoner(p, "Smallest: 1.\n</think>\n\\boxed{" + std::string(box) + "}").accuracy;
  };
  EXPECT_EQ(accuracy("1, 2, 3"), 1);
  EXPECT_EQ(accuracy("2, 1, 3"), 0);
  EXPECT_EQ(accuracy("1, 2"), 0);
  const Problem names = problem_of("谁最高？", "zh logic 小明, 小红");
  EXPECT_EQ(grade_reasoner(names, "小\n</think>\n\\boxed{小明, 小红}").accuracy, 1);
  EXPECT_EQ(grade_reasoner(names, "小\n</think>\n\\boxed{小红, 小明}").accuracy, 0);
}

TEST(Reasoner, GradesAnyBytes) {
  const Problem problems[] = {problem_of("1+1", "en arithmetic 2"),
                              problem_of("1 2 3 -> 6", "zh countdown 1 2 3 -> 6"),
                              problem_of("?", "zh outside declined")};
  Rng rng(1, 2, 3);
  for (int i = 0; i < 300; ++i) {
    std::string bytes;
    for (int n = rng.between(0, 60); n > 0; --n) {
      constexpr std::string_view kParts[] = {"</think>", "\\boxed{", "}", "<think>", "\xE5", "2"};
      const uint32_t k = rng.below(8);
      bytes += k < 6 ? std::string(kParts[k]) : std::string(1, static_cast<char>(rng.below(256)));
    }
    for (const Problem& p : problems) {
      const Grade grade = grade_reasoner(p, bytes);
      EXPECT_FALSE(grade.reason.empty());
    }
  }
}

TEST(Reasoner, ReadsArithmeticThatSomebodyTyped) {
  const Problem english = parse_reasoner_prompt("What is 12+3*(4-1)?").value();
  EXPECT_EQ(english.gold, "en arithmetic 21");
  EXPECT_EQ(english.difficulty, 3);
  EXPECT_EQ(english.key, "21");
  EXPECT_EQ(parse_reasoner_prompt("计算 84 ÷ 4 × 2").value().gold, "zh arithmetic 42");
  EXPECT_EQ(parse_reasoner_prompt("5 - 12 = ?").value().gold, "en arithmetic -7");
  EXPECT_EQ(parse_reasoner_prompt("（1＋2）×3=？").value().key, "9");
  for (const std::string_view text :
       {"What is the meaning of life?", "", "12", "1++2", "(1+2", "1+2)", "7/2", "99999+1", "1/0",
        "\xFF+1", "what is 1+1 and 2+2?"}) {
    EXPECT_FALSE(parse_reasoner_prompt(text).ok()) << text;
  }
}

TEST(ReasonerLanguage, CountsWordsOfEitherScript) {
  EXPECT_EQ(script_share("First 37+8=45.", Language::kEnglish), 1.0);
  EXPECT_EQ(script_share("先算37+8=45。", Language::kEnglish), 0.0);
  EXPECT_EQ(script_share("先算 then", Language::kChinese), 2.0 / 3);
  EXPECT_EQ(script_share("", Language::kEnglish), 0.0);
  EXPECT_EQ(script_share("12+3=15 \xFF\xE5", Language::kChinese), 0.0);
  // x, \boxed and tags are in no language.
  EXPECT_EQ(script_share("<think>x=\\boxed{3}</think>答", Language::kChinese), 1.0);
  EXPECT_EQ(language_of("小明 has"), Language::kChinese);
  EXPECT_EQ(language_of("1+1=?"), Language::kEnglish);
}

}  // namespace
}  // namespace ponder
