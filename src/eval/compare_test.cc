#include "eval/compare.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace ponder {
namespace {

using Json = nlohmann::json;

TEST(PairedTest, AgreesWithFiguresByHand) {
  const std::vector<double> a = {0.25, 0.5, 0, 1, 0.75, 0.5, 0.25, 0, 1, 0.5};
  const std::vector<double> b = {0.5, 0.75, 0.25, 1, 0.75, 0.25, 0.75, 0.5, 1, 0.75};
  const PairedTest t = paired_test(a, b);
  EXPECT_EQ(t.problems, 10);
  EXPECT_NEAR(t.a, 0.475, 1e-12);
  EXPECT_NEAR(t.b, 0.65, 1e-12);
  EXPECT_NEAR(t.difference, 0.175, 1e-12);
  EXPECT_EQ(t.better, 6);
  EXPECT_EQ(t.worse, 1);
  // The standard error by hand: deviations from 0.175 of 4 x 0.25, 2 x 0.5, 1 x -0.25, 3 x 0.
  const double squares = 4 * 0.075 * 0.075 + 2 * 0.325 * 0.325 + 0.425 * 0.425 + 3 * 0.175 * 0.175;
  EXPECT_NEAR(t.error, std::sqrt(squares / 9 / 10), 1e-12);
  EXPECT_NEAR(t.t, 0.175 / t.error, 1e-12);
  EXPECT_NEAR(t.p_sign, 2 * (1 + 7) / 128.0, 1e-12);  // 2 P(X <= 1) of 7 coins
  EXPECT_NEAR(t.detectable, 2.8 * t.error, 1e-12);
  EXPECT_GT(t.detectable_unpaired, t.detectable);
}

TEST(PairedTest, StudentsTIsThatOfTheTables) {
  // With n equal pairs of differences m +- s the statistic can be set at will: t for two-sided 5% is
  // 12.7062 (1 degree of freedom), 2.26216 (9), 1.98422 (99).
  for (const auto& [n, critical] : {std::pair{2, 12.7062}, {10, 2.26216}, {100, 1.98422}}) {
    std::vector<double> a(static_cast<size_t>(n), 0.0), b;
    const double error = 1 / std::sqrt(n - 1.0);  // of differences +-1 around the mean
    for (int i = 0; i < n; ++i) b.push_back(critical * error + (i % 2 == 0 ? 1 : -1));
    const PairedTest t = paired_test(a, b);
    EXPECT_NEAR(t.t, critical, 1e-9);
    EXPECT_NEAR(t.p_t, 0.05, 1e-5) << n;
  }
}

TEST(PairedTest, FlippedSigns) {
  // All 2^3 sign patterns of 1, 2, 3: only +++ and --- are as far as 6.
  EXPECT_NEAR(paired_test({0, 0, 0}, {1, 2, 3}).p_permutation, 0.25, 1e-12);
  // 1 - 2 + 3 = 2: all but the two patterns with sum 0.
  EXPECT_NEAR(paired_test({0, 2, 0}, {1, 0, 3}).p_permutation, 0.75, 1e-12);
  // Drawn at random: 40 problems, all better. 2 in 2^40 patterns are as far.
  const std::vector<double> none(40, 0.0), all(40, 1.0);
  EXPECT_NEAR(paired_test(none, all).p_permutation, 1 / 20001.0, 1e-12);
  std::vector<double> half = all;
  for (size_t i = 0; i < half.size(); i += 2) half[i] = -1;
  EXPECT_EQ(paired_test(none, half).p_permutation, 1);
}

TEST(PairedTest, Edges) {
  const PairedTest same = paired_test({0.5, 1}, {0.5, 1});
  EXPECT_EQ(same.difference, 0);
  EXPECT_EQ(same.p_t, 1);
  EXPECT_EQ(same.p_permutation, 1);
  EXPECT_EQ(same.p_sign, 1);
  const PairedTest one = paired_test({0}, {1});
  EXPECT_EQ(one.error, 0);
  EXPECT_EQ(one.p_t, 1);
  const PairedTest moved = paired_test({0, 0, 0}, {1, 1, 1});
  EXPECT_EQ(moved.p_t, 0);
  EXPECT_TRUE(std::isinf(moved.t));
  EXPECT_NEAR(moved.p_sign, 0.25, 1e-12);
}

Json result(const std::string& model,
            const std::vector<std::pair<std::string, std::vector<int>>>& rows) {
  Json out = {{"bench", "svamp"},
              {"samples", 2},
              {"model", {{"path", model}}},
              {"settings", {{"temperature", 0.6}}},
              {"rows", Json::array()}};
  for (const auto& [id, correct] : rows) {
    Json samples = Json::array();
    for (const int c : correct) samples.push_back({{"correct", c}});
    out["rows"].push_back({{"id", id},
                           {"prompt", "p" + id},
                           {"gold", "1"},
                           {"groups", {{"type", id < "3" ? "low" : "high"}}},
                           {"samples", samples}});
  }
  return out;
}

ScoredRun read(const Json& json, const std::string& name) {
  auto run = parse_scored_run(json.dump(), name);
  EXPECT_TRUE(run.ok()) << run.status().message();
  return run.ok() ? *run : ScoredRun();
}

TEST(Compare, ProblemsArePairedByIdAndGroup) {
  const ScoredRun a =
      read(result("m1", {{"1", {0, 0}}, {"2", {1, 0}}, {"3", {1, 1}}, {"4", {0, 1}}}), "a.json");
  Json other = result("m2", {{"4", {1, 1}}, {"3", {1, 1}}, {"2", {1, 1}}, {"1", {0, 1}}});
  other["settings"]["temperature"] = 0.0;
  const ScoredRun b = read(other, "b.json");
  const auto c = compare_runs(a, b);
  ASSERT_TRUE(c.ok()) << c.status().message();
  EXPECT_NEAR(c->all.a, 0.5, 1e-12);
  EXPECT_NEAR(c->all.b, 0.875, 1e-12);
  EXPECT_EQ(c->all.better, 3);
  EXPECT_EQ(c->all.worse, 0);
  ASSERT_EQ(c->groups.size(), 2u);
  EXPECT_EQ(c->groups[0].value, "high");
  EXPECT_NEAR(c->groups[0].test.difference, 0.25, 1e-12);
  EXPECT_NEAR(c->groups[1].test.difference, 0.5, 1e-12);
  ASSERT_EQ(c->notes.size(), 1u);
  EXPECT_EQ(c->notes[0], "temperature: 0.6 and 0.0");
  const Json json = comparison_json(a, b, *c);
  EXPECT_NEAR(json["difference"].get<double>(), 0.375, 1e-12);
  EXPECT_EQ(json["groups"].size(), 2u);
}

TEST(Compare, OtherProblemsAreRefused) {
  const Json base = result("m", {{"1", {0}}, {"2", {1}}});
  const ScoredRun a = read(base, "a.json");
  const auto refused = [&](const Json& other) {
    const auto c = compare_runs(a, read(other, "b.json"));
    EXPECT_FALSE(c.ok()) << other;
    return c.ok() ? "" : c.status().message();
  };
  EXPECT_NE(refused(result("m", {{"1", {0}}})).find("2 problems and b.json has 1"),
            std::string::npos);
  EXPECT_NE(refused(result("m", {{"1", {0}}, {"5", {1}}})).find("\"5\" is in the second alone"),
            std::string::npos);
  Json changed = base;
  changed["rows"][1]["prompt"] = "another";
  EXPECT_NE(refused(changed).find("another prompt"), std::string::npos);
  changed = base;
  changed["rows"][1]["gold"] = "2";
  EXPECT_NE(refused(changed).find("another gold"), std::string::npos);
  changed = base;
  changed["bench"] = "gsm8k";
  EXPECT_NE(refused(changed).find("gsm8k"), std::string::npos);
}

TEST(Compare, FilesThatAreNoResults) {
  for (
      const char* text :
      {"", "[]", "{}", R"({"bench": "x"})", R"({"bench": "x", "rows": []})",
       R"({"bench": 1, "rows": [1]})", R"({"bench": "x", "rows": [1]})",
       R"({"bench": "x", "rows": [{"id": "1", "prompt": "p", "gold": "g"}]})",
       R"({"bench": "x", "rows": [{"id": "1", "prompt": "p", "gold": "g", "samples": []}]})",
       R"({"bench": "x", "rows": [{"id": "1", "prompt": "p", "gold": "g", "samples": [{"correct": 2}]}]})",
       R"({"bench": "x", "rows": [{"id": 1, "prompt": "p", "gold": "g", "samples": [{"correct": 1}]}]})"}) {
    const auto run = parse_scored_run(text, "r.json");
    ASSERT_FALSE(run.ok()) << text;
    EXPECT_EQ(run.status().message().rfind("r.json", 0), 0u) << run.status().message();
  }
}

}  // namespace
}  // namespace ponder
