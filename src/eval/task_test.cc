#include "eval/task.h"

#include <gtest/gtest.h>

#include <set>

namespace ponder {
namespace {

TEST(Task, TableIsFoundByName) {
  for (const Task& task : tasks()) EXPECT_EQ(find_task(task.name), &task);
  EXPECT_EQ(find_task("chain98"), nullptr);
  TaskParams params;
  params.chain.modulo = 31;
  EXPECT_TRUE(find_task("chain")->validate(params).ok());
  EXPECT_NE(find_task("chain97")->validate(params).message().find("modulo"), std::string::npos);
}

// What the three verbs rely on, for every task alike.
TEST(Task, ExamplesEarnFullMarksAndTheKeyOfTheGold) {
  TaskParams params;
  params.chain_mixture.drill = 0;
  for (const Task& task : tasks()) {
    if (task.name == "reasoner") continue;  // its questions cannot be read back (reasoner_test.cc)
    ASSERT_TRUE(task.validate(params).ok());
    for (uint64_t index = 0; index < 50; ++index) {
      const Example example = task.make_example(params, 7, index).value();
      const Problem problem = task.parse_problem(params, example.prompt).value();
      EXPECT_EQ(problem.prompt, example.prompt);
      EXPECT_GE(problem.difficulty, 3);
      const Grade grade = task.grade(problem, example.completion);
      EXPECT_EQ(grade.reason, "ok") << task.name << " " << example.prompt;
      EXPECT_EQ(grade.accuracy + grade.format, 2);
      EXPECT_TRUE(grade.has_key);
      EXPECT_EQ(grade.key, problem.key);
      const Grade nothing = task.grade(problem, "<think></think><answer></answer>");
      EXPECT_EQ(nothing.accuracy, 0);
      EXPECT_FALSE(nothing.has_key);
    }
    EXPECT_FALSE(task.parse_problem(params, "what is the meaning of life?").ok());
  }
}

TEST(Task, ProblemSetsHaveNoRepeatsAndSplitsShareNothing) {
  TaskParams params;
  params.chain = {11, 2, 2};
  const Task& chain = *find_task("chain");
  std::set<std::string> prompts;
  for (Split split : {Split::kDev, Split::kTest, Split::kTrain}) {
    const auto problems = make_problem_set(chain, params, split, 1, 40);
    ASSERT_TRUE(problems.ok()) << problems.status().message();
    EXPECT_EQ(problems->size(), 40u);
    for (const Problem& problem : *problems) EXPECT_TRUE(prompts.insert(problem.prompt).second);
  }
  // 11 * 24 * 24 prompts in all, about 63 of them in the test split.
  const auto too_many = make_problem_set(chain, params, Split::kTest, 1, 1000);
  ASSERT_FALSE(too_many.ok());
  EXPECT_NE(too_many.status().message().find("1000 wanted"), std::string::npos);
}

}  // namespace
}  // namespace ponder
