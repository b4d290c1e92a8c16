// The procedural tasks against goldens/tasks: every row must match.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "eval/chain.h"
#include "eval/countdown.h"

namespace ponder {
namespace {

using Json = nlohmann::json;

// The rows of a file of goldens/tasks; empty where it is absent.
std::vector<Json> rows_of(const std::string& name) {
  std::ifstream file(PONDER_SOURCE_DIR "/../shared/goldens/tasks/" + name);
  std::vector<Json> rows;
  for (std::string line; std::getline(file, line);) rows.push_back(Json::parse(line));
  return rows;
}

CountdownProblem problem_of(const Json& row) {
  return {row["numbers"].get<std::vector<int>>(), row["target"].get<int64_t>()};
}

TEST(TasksGolden, ChainStepsAndTraces) {
  const auto rows = rows_of("chain97.jsonl");
  if (rows.empty()) GTEST_SKIP() << "goldens/tasks/chain97.jsonl is absent";
  EXPECT_EQ(rows.size(), 400u);
  for (const Json& row : rows) {
    SCOPED_TRACE(row["prompt"].get<std::string>());
    const auto parsed = parse_chain_prompt(row["prompt"].get<std::string>(), row["modulo"]);
    ASSERT_TRUE(parsed.ok()) << parsed.status().message();
    const ChainProblem& problem = *parsed;
    EXPECT_EQ(problem.answer, row["answer"].get<int>());
    Json steps = Json::array();
    for (const ChainStep& s : problem.steps) {
      steps.push_back({s.left, std::string(1, s.op), s.operand, s.result});
    }
    EXPECT_EQ(steps, row["steps"]);
    EXPECT_EQ(chain_completion(problem, ChainMode::kDirect), row["direct"].get<std::string>());
    EXPECT_EQ(chain_completion(problem, ChainMode::kSkip2), row["skip2"].get<std::string>());
    EXPECT_EQ(chain_completion(problem, ChainMode::kFull), row["full"].get<std::string>());
    EXPECT_EQ(chain_completion(problem, ChainMode::kCheck), row["check"].get<std::string>());
  }
}

TEST(TasksGolden, ChainVerdicts) {
  const auto rows = rows_of("chain97_verdicts.jsonl");
  if (rows.empty()) GTEST_SKIP() << "goldens/tasks/chain97_verdicts.jsonl is absent";
  EXPECT_EQ(rows.size(), 300u);
  for (const Json& row : rows) {
    const auto completion = row["completion"].get<std::string>();
    SCOPED_TRACE(completion.substr(0, 200));
    const Grade grade = grade_chain(completion, row["answer"]);
    EXPECT_EQ(grade.accuracy, row["accuracy"].get<int>());
    EXPECT_EQ(grade.format, row["format"].get<int>());
    EXPECT_EQ(grade.reason, row["reason"].get<std::string>());
  }
}

TEST(TasksGolden, CountdownSolver) {
  const auto rows = rows_of("countdown.jsonl");
  if (rows.empty()) GTEST_SKIP() << "goldens/tasks/countdown.jsonl is absent";
  EXPECT_EQ(rows.size(), 300u);
  for (const Json& row : rows) {
    const CountdownProblem problem = problem_of(row);
    SCOPED_TRACE(countdown_prompt(problem));
    const auto any = solve_countdown(problem, false);
    const auto integers = solve_countdown(problem, true);
    EXPECT_EQ(any.has_value(), row["solvable"].get<bool>());
    EXPECT_EQ(any.has_value() && !integers.has_value(), row["fractions_needed"].get<bool>());
    for (const auto& solution : {any, integers}) {
      if (solution) {
        EXPECT_EQ(grade_countdown(*solution, problem).reason, "ok") << *solution;
      }
    }
    if (!row["solution"].is_null()) {
      EXPECT_TRUE(grade_countdown(row["solution"].get<std::string>(), problem).correct);
    }
  }
}

TEST(TasksGolden, CountdownVerdicts) {
  const auto rows = rows_of("countdown_verdicts.jsonl");
  if (rows.empty()) GTEST_SKIP() << "goldens/tasks/countdown_verdicts.jsonl is absent";
  EXPECT_EQ(rows.size(), 400u);
  for (const Json& row : rows) {
    std::string expression;
    if (row.contains("repeat")) {
      const auto unit = row["repeat"]["unit"].get<std::string>();
      const auto times = row["repeat"]["times"].get<int>();
      for (int i = 0; i < times; ++i) expression += unit;
    } else {
      expression = row["expression"].get<std::string>();
    }
    SCOPED_TRACE(expression.substr(0, 200));
    const CountdownVerdict verdict = grade_countdown(expression, problem_of(row));
    EXPECT_EQ(verdict.correct, row["correct"].get<bool>());
    EXPECT_EQ(verdict.reason, row["reason"].get<std::string>());
  }
}

}  // namespace
}  // namespace ponder
