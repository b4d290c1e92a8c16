#include "eval/chain.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace ponder {
namespace {

ChainProblem worked() { return parse_chain_prompt("37+8*3-5*7=?", 97).value(); }

TEST(Chain, TheFourTraces) {
  const ChainProblem p = worked();
  EXPECT_EQ(p.answer, 37);
  EXPECT_EQ(chain_completion(p, ChainMode::kDirect), "<think></think><answer>37</answer>");
  EXPECT_EQ(chain_completion(p, ChainMode::kSkip2),
            "<think>37+8*3=38;38-5*7=37;</think><answer>37</answer>");
  EXPECT_EQ(chain_completion(p, ChainMode::kFull),
            "<think>37+8=45;45*3=38;38-5=33;33*7=37;</think><answer>37</answer>");
  EXPECT_EQ(chain_completion(p, ChainMode::kCheck),
            "<think>37+8=45;45*3=38;38-5=33;33*7=37;wait check "
            "37+8=45;45*3=38;38-5=33;33*7=37;so</think><answer>37</answer>");
  const ChainProblem odd = parse_chain_prompt("2-9+8*3=?", 11).value();
  EXPECT_EQ(chain_completion(odd, ChainMode::kSkip2),
            "<think>2-9+8=1;1*3=3;</think><answer>3</answer>");
}

TEST(Chain, ParseRejects) {
  for (const char* bad : {"", "=?", "37=?", "37+=?", "37+8", "37+8=", "37+8=? ", "37/8=?",
                          "037+8=?", "1000+8=?", "37++8=?", "-3+8=?", " 3+8=?"}) {
    EXPECT_FALSE(parse_chain_prompt(bad, 97).ok()) << bad;
  }
  std::string longest = "1";
  for (int i = 0; i < 64; ++i) longest += "+2";
  EXPECT_TRUE(parse_chain_prompt(longest + "=?", 97).ok());
  EXPECT_FALSE(parse_chain_prompt(longest + "+2=?", 97).ok());
  EXPECT_NE(parse_chain_prompt("37+x=?", 97).status().message().find("byte 3"), std::string::npos);
}

TEST(Chain, ProblemsArePureAndKeepTheirSplit) {
  const ChainParams params{31, 2, 4};
  std::map<size_t, int> lengths;
  for (Split split : {Split::kTrain, Split::kDev, Split::kTest}) {
    for (uint64_t index = 0; index < 100; ++index) {
      const ChainProblem p = make_chain_problem(params, split, 1, index).value();
      EXPECT_EQ(split_of(p.prompt), split);
      EXPECT_EQ(p.prompt, make_chain_problem(params, split, 1, index).value().prompt);
      const ChainProblem again = parse_chain_prompt(p.prompt, 31).value();
      EXPECT_EQ(again.answer, p.answer);
      EXPECT_LT(p.steps[0].left, 31);
      for (const ChainStep& s : p.steps) {
        EXPECT_GE(s.operand, 2);
        EXPECT_LE(s.operand, 9);
      }
      ++lengths[p.steps.size()];
    }
  }
  EXPECT_EQ(lengths.size(), 3u);
  EXPECT_NE(make_chain_problem(params, Split::kTrain, 1, 0)->prompt,
            make_chain_problem(params, Split::kTrain, 2, 0)->prompt);
}

// Evaluations of different builds are comparable only while these stay as they are.
TEST(Chain, ProblemsNeverChange) {
  EXPECT_EQ(make_chain_problem({}, Split::kTrain, 1, 0)->prompt, "46*2*4+9-6-8=?");
  EXPECT_EQ(make_chain_problem({}, Split::kTest, 1, 0)->prompt, "41+4+5*7-5=?");
}

TEST(Chain, SplitsHaveTheirShares) {
  int train = 0;
  for (int i = 0; i < 20000; ++i) train += split_of(std::to_string(i)) == Split::kTrain;
  EXPECT_NEAR(train, 19600, 80);
}

TEST(Chain, EmptySplitIsAnError) {
  // 2 * 24 prompts: whichever split holds none of them must say so.
  const ChainParams tiny{2, 1, 1};
  int empty = 0;
  for (Split split : {Split::kDev, Split::kTest}) {
    const auto result = make_chain_problem(tiny, split, 1, 0);
    if (result.ok()) continue;
    ++empty;
    EXPECT_NE(result.status().message().find("max_ops"), std::string::npos);
  }
  EXPECT_GT(empty, 0);
}

TEST(Chain, BadParamsNameTheKey) {
  EXPECT_NE(validate(ChainParams{1, 3, 6}).message().find("modulo"), std::string::npos);
  EXPECT_NE(validate(ChainParams{97, 0, 6}).message().find("min_ops"), std::string::npos);
  EXPECT_NE(validate(ChainParams{97, 4, 3}).message().find("max_ops"), std::string::npos);
  EXPECT_NE(validate(ChainParams{97, 4, 65}).message().find("max_ops"), std::string::npos);
  EXPECT_FALSE(make_chain_problem({1001, 1, 1}, Split::kTrain, 0, 0).ok());
  ChainMixture nothing{0, 0, 0, 0, 0, 0, 0};
  EXPECT_FALSE(validate(nothing).ok());
  nothing.drill = -1;
  EXPECT_FALSE(validate(nothing).ok());
}

TEST(Chain, CheckWithErrorHasOneWrongStepThenTwoRightPasses) {
  const ChainProblem p = worked();
  const std::string right = "37+8=45;45*3=38;38-5=33;33*7=37;";
  std::set<std::string> firsts;
  for (uint64_t index = 0; index < 50; ++index) {
    Rng rng(1, 0, index);
    const std::string text = chain_check_with_error(p, rng);
    const std::string end =
        "wait check " + right + "wait check " + right + "so</think><answer>37</answer>";
    ASSERT_TRUE(text.ends_with(end)) << text;
    const std::string first = text.substr(7, text.size() - 7 - end.size());
    EXPECT_NE(first, right);
    firsts.insert(first);
    // Read line by line: exactly one result is wrong, and each line starts from the result before
    // it.
    int wrong = 0, value = 37;
    size_t at = 0;
    for (const ChainStep& step : p.steps) {
      const std::string head = std::to_string(value) + step.op + std::to_string(step.operand);
      ASSERT_EQ(first.substr(at, head.size()), head);
      const int expected = parse_chain_prompt(head + "=?", 97)->answer;
      at += head.size() + 1;
      const size_t stop = first.find(';', at);
      value = std::stoi(first.substr(at, stop - at));
      wrong += value != expected;
      at = stop + 1;
    }
    EXPECT_EQ(wrong, 1) << first;
    EXPECT_EQ(at, first.size());
  }
  EXPECT_GT(firsts.size(), 30u);
}

TEST(Chain, ExamplesFollowTheMixture) {
  ChainMixture mixture{1, 1, 1, 1, 1, 0.5, 0};
  int drills = 0, direct = 0, checks = 0, errors = 0;
  for (uint64_t index = 0; index < 2000; ++index) {
    const Example e = make_chain_example({}, mixture, 3, index).value();
    if (!e.prompt.ends_with("=?")) {
      ++drills;
      ASSERT_TRUE(e.completion.ends_with(";"));
      ASSERT_EQ(parse_chain_prompt(e.prompt + "?", 97)->answer, std::stoi(e.completion));
      continue;
    }
    EXPECT_EQ(split_of(e.prompt), Split::kTrain);
    const Grade grade = grade_chain(e.completion, parse_chain_prompt(e.prompt, 97)->answer);
    EXPECT_EQ(grade.reason, "ok") << e.completion;
    direct += e.completion.starts_with("<think></think>");
    const size_t wait = e.completion.find("wait");
    if (wait == std::string::npos) continue;
    ++checks;
    errors += e.completion.find("wait", wait + 1) != std::string::npos;
  }
  EXPECT_NEAR(drills, 400, 75);
  EXPECT_NEAR(direct, 400, 75);
  EXPECT_NEAR(checks, 400, 75);
  EXPECT_NEAR(errors, 200, 60);
}

TEST(Chain, MessyExamplesStayRightButNotTidy) {
  ChainMixture mixture{0, 0, 0, 1, 1, 0.3, 1.0};
  int bad_format = 0;
  for (uint64_t index = 0; index < 200; ++index) {
    const Example e = make_chain_example({}, mixture, 3, index).value();
    const Grade grade = grade_chain(e.completion, parse_chain_prompt(e.prompt, 97)->answer);
    EXPECT_EQ(grade.accuracy, 1);
    if (grade.format == 0) {
      ++bad_format;
    } else {
      EXPECT_EQ(e.completion.find(';'), std::string::npos);
    }
  }
  EXPECT_NEAR(bad_format, 100, 35);
}

TEST(ChainGrade, Numbers) {
  EXPECT_EQ(grade_chain("<think></think><answer>\n 0 </answer>", 0).reason, "ok");
  for (const char* bad : {"", "00", "07", "+7", "-7", "7.0", "7 7", "1007", "0x7", "4294967303"}) {
    const Grade grade = grade_chain(std::string("<think></think><answer>") + bad + "</answer>", 7);
    EXPECT_EQ(grade.reason, "not_a_number") << bad;
    EXPECT_FALSE(grade.has_key);
    EXPECT_EQ(grade.format, 1);
  }
  const Grade wrong = grade_chain("<think></think><answer> 104</answer>", 7);
  EXPECT_EQ(wrong.reason, "wrong_value");  // not modulo anything
  EXPECT_EQ(wrong.key, "104");
  const Grade untidy = grade_chain("<answer>7</answer>", 7);
  EXPECT_EQ(untidy.reason, "bad_format");
  EXPECT_EQ(untidy.accuracy, 1);
  EXPECT_EQ(untidy.key, "7");
}

}  // namespace
}  // namespace ponder
