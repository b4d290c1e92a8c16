// The files of ../shared/data/eval as `ponder eval` reads them: every row, its gold, and the
// reference solution that comes with it, graded. docs/evaluation.md has the counts.
#include "eval/benchmarks.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <ostream>
#include <string>

namespace ponder {
namespace {

const std::string kFolder = PONDER_SOURCE_DIR "/../shared/data/eval/";

struct Expected {
  const char* bench;
  size_t rows;
  size_t solutions;  // rows with a reference solution of more than the bare answer
  size_t right;      // of these, graded right
  size_t restated;   // questions that are graded right as answers: their last number is a choice
};

void PrintTo(const Expected& expected, std::ostream* out) { *out << expected.bench; }

class EvalFiles : public testing::TestWithParam<Expected> {};

TEST_P(EvalFiles, EveryRowIsReadAndItsSolutionGraded) {
  const Expected& want = GetParam();
  const Benchmark& bench = *find_benchmark(want.bench);
  const std::string path = kFolder + std::string(bench.file);
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is absent";
  const auto questions = load_benchmark(bench, path);
  ASSERT_TRUE(questions.ok()) << questions.status().message();
  EXPECT_EQ(questions->size(), want.rows);
  size_t solutions = 0, right = 0, restated = 0;
  for (const BenchQuestion& q : *questions) {
    EXPECT_FALSE(q.question.empty() || q.gold.empty() || q.key.empty()) << q.id;
    EXPECT_EQ(grade_benchmark(q, "\\boxed{" + q.gold + "}", false).accuracy, 1) << q.id;
    EXPECT_EQ(grade_benchmark(q, "<think>so</think>\n\\boxed{" + q.gold + "}", true).accuracy, 1)
        << q.id;
    EXPECT_EQ(grade_benchmark(q, "", false).accuracy, 0) << q.id;
    restated += static_cast<size_t>(grade_benchmark(q, q.question, false).accuracy);
    if (q.solution.empty() || q.solution == q.gold) continue;
    ++solutions;
    const Grade grade = grade_benchmark(q, q.solution, false);
    right += static_cast<size_t>(grade.accuracy);
    if (grade.accuracy == 0) {
      std::printf("%s %s: gold %s, the solution is graded %s (%s)\n", want.bench, q.id.c_str(),
                  q.gold.c_str(), std::string(grade.reason).c_str(), grade.key.c_str());
    }
  }
  EXPECT_EQ(solutions, want.solutions);
  EXPECT_EQ(right, want.right);
  EXPECT_EQ(restated, want.restated);
}

INSTANTIATE_TEST_SUITE_P(
    All, EvalFiles,
    testing::Values(Expected{"aime24", 30, 30, 30, 0}, Expected{"aime25", 30, 0, 0, 0},
                    Expected{"aime26", 30, 0, 0, 0}, Expected{"hmmt", 60, 0, 0, 0},
                    Expected{"math500", 500, 500, 500, 0}, Expected{"amc23", 40, 0, 0, 0},
                    Expected{"gsm8k", 1319, 1319, 1319, 0}, Expected{"svamp", 1000, 0, 0, 0},
                    Expected{"cmath", 1098, 0, 0, 0}, Expected{"mmlu_stem", 3018, 0, 0, 8}),
    [](const auto& row) { return std::string(row.param.bench); });

}  // namespace
}  // namespace ponder
