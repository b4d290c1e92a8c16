// Estimators and length rewards against goldens/eval. Tolerance 1e-12 absolute; paired errors also
// 1e-6 relative.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "eval/estimators.h"

namespace ponder {
namespace {

using Json = nlohmann::json;

constexpr double kTolerance = 1e-12;

std::vector<Json> rows_of(const std::string& name) {
  std::ifstream file(PONDER_SOURCE_DIR "/../shared/goldens/eval/" + name);
  std::vector<Json> rows;
  for (std::string line; std::getline(file, line);) rows.push_back(Json::parse(line));
  return rows;
}

// A number, or an exact "numerator/denominator".
double number(const Json& value) {
  if (value.is_number()) return value.get<double>();
  const auto text = value.get<std::string>();
  const size_t slash = text.find('/');
  return static_cast<double>(std::stold(text.substr(0, slash)) /
                             std::stold(text.substr(slash + 1)));
}

void expect_stderr(const Estimate& estimate, const Json& want) {
  ASSERT_EQ(estimate.stderr_of_mean.has_value(), !want.is_null());
  if (want.is_null()) return;
  EXPECT_NEAR(*estimate.stderr_of_mean, want.get<double>(), kTolerance);
}

void expect_estimate(const Result<Estimate>& result, const Json& row) {
  ASSERT_EQ(result.ok(), !row["mean"].is_null());
  if (!result.ok()) return;
  EXPECT_NEAR(result->mean, row["mean"].get<double>(), kTolerance);
  expect_stderr(*result, row["stderr"]);
  ASSERT_EQ(result->per_problem.size(), row["per_problem"].size());
  for (size_t i = 0; i < result->per_problem.size(); ++i) {
    EXPECT_NEAR(result->per_problem[i], number(row["per_problem"][i]), kTolerance) << i;
  }
}

TEST(EvalGolden, PassAtK) {
  const auto rows = rows_of("passk.jsonl");
  if (rows.empty()) GTEST_SKIP() << "goldens/eval/passk.jsonl is absent";
  for (const Json& row : rows) {
    SCOPED_TRACE(row.dump().substr(0, 100));
    const auto correct = row["correct"].get<std::vector<int>>();
    expect_estimate(pass_at_k(correct, row["n"], row["k"]), row);
  }
}

TEST(EvalGolden, ConsAtK) {
  const auto rows = rows_of("consk.jsonl");
  if (rows.empty()) GTEST_SKIP() << "goldens/eval/consk.jsonl is absent";
  for (const Json& row : rows) {
    SCOPED_TRACE(row.dump().substr(0, 100));
    std::vector<Votes> problems;
    for (const Json& problem : row["problems"]) {
      Votes votes{problem["gold"].get<std::string>(), {}};
      for (const Json& key : problem["keys"]) {
        votes.keys.push_back(key.is_null() ? std::nullopt : std::optional(key.get<std::string>()));
      }
      problems.push_back(std::move(votes));
    }
    expect_estimate(cons_at_k(problems, row["k"]), row);
  }
}

TEST(EvalGolden, PairedDifference) {
  const auto rows = rows_of("paired.jsonl");
  if (rows.empty()) GTEST_SKIP() << "goldens/eval/paired.jsonl is absent";
  for (const Json& row : rows) {
    SCOPED_TRACE(row.dump().substr(0, 100));
    const auto result =
        paired_difference(row["a"].get<std::vector<double>>(), row["b"].get<std::vector<double>>());
    ASSERT_TRUE(result.ok());
    EXPECT_NEAR(result->mean, row["difference"].get<double>(), kTolerance);
    expect_stderr(*result, row["stderr"]);
    if (result->stderr_of_mean) {
      const auto want = row["stderr"].get<double>();
      EXPECT_NEAR(*result->stderr_of_mean, want, 1e-6 * want);
    }
  }
}

double reward_of(const Json& row) {
  const auto kind = row["kind"].get<std::string>();
  if (kind == "repetition") {
    return repetition_reward(row["ids"].get<std::vector<int32_t>>(), row["ngram"],
                             row["max_penalty"]);
  }
  if (kind == "overlong") return overlong_reward(row["len"], row["L"], row["c"]);
  EXPECT_EQ(kind, "cosine");
  const Json &right = row["correct_range"], &wrong = row["wrong_range"];
  return cosine_length_reward(row["len"], row["L"], row["correct"], {right[0], right[1]},
                              {wrong[0], wrong[1]});
}

TEST(EvalGolden, LengthRewards) {
  const auto rows = rows_of("repetition.jsonl");
  if (rows.empty()) GTEST_SKIP() << "goldens/eval/repetition.jsonl is absent";
  for (const Json& row : rows) {
    SCOPED_TRACE(row.dump().substr(0, 200));
    const double got = reward_of(row);
    EXPECT_NEAR(got, row["value"].get<double>(), kTolerance);
    EXPECT_FALSE(got == 0 && std::signbit(got));
  }
}

}  // namespace
}  // namespace ponder
